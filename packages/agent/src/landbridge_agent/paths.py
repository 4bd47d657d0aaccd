"""Where the agent keeps its files: the original's paths, or the same tree under a folder.

With ``LANDBRIDGE_AGENT_ROOT=DIR`` (read only by the two ``main()``) an ordinary user runs an
agent of their own, and several agents can run on one machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

ROOT_VARIABLE = "LANDBRIDGE_AGENT_ROOT"
"""The environment variable that moves the tree."""


class Paths(NamedTuple):
    """The agent's files below ``root``; ``relocated`` when that is not ``/``."""

    root: Path
    relocated: bool

    @property
    def state(self) -> Path:
        """The folder of everything that the agent writes."""
        return self.root / "var/opt/azcmagent"

    @property
    def agent_config(self) -> Path:
        """What the machine is in the cloud; it exists exactly while the machine is connected."""
        return self.state / "agentconfig.json"

    @property
    def local_config(self) -> Path:
        """What the machine's administrator allows (``azcmagent config``)."""
        return self.state / "localconfig.json"

    @property
    def hardware(self) -> Path:
        """What only root may read of the hardware, noted for the daemon."""
        return self.state / "hardware.json"

    @property
    def known_tags(self) -> Path:
        """The machine's tags as the cloud last told them, for when it is away after a restart."""
        return self.agent_config.parent / "tags.json"

    @property
    def certificates(self) -> Path:
        """The folder of keys and certificates."""
        return self.state / "certs"

    @property
    def identity(self) -> Path:
        """Private key and certificate chain of the machine's identity, PEM, in one file."""
        return self.certificates / "identity.pem"

    @property
    def cloud_ca(self) -> Path:
        """A copy of the ``--ca-file`` that was given to ``connect``."""
        return self.certificates / "cloud-ca.pem"

    @property
    def pending(self) -> Path:
        """A connect that has begun and not ended, with its private key."""
        return self.certificates / "pending.json"

    @property
    def onboarding_key(self) -> Path:
        """The private key that ``genkey`` made, for ``connect existing``."""
        return self.certificates / "onboarding.key"

    @property
    def tokens(self) -> Path:
        """The folder of the identity service's challenge files."""
        return self.state / "tokens"

    @property
    def sockets(self) -> Path:
        """The folder of local sockets."""
        return self.state / "socks"

    @property
    def socket(self) -> Path:
        """Where ``azcmagent`` speaks to ``himdsd``."""
        return self.sockets / "himds.sock"

    @property
    def logs(self) -> Path:
        """The folder of logs."""
        return self.state / "log"

    @property
    def daemon_log(self) -> Path:
        """The log of ``himdsd``."""
        return self.logs / "himds.log"

    @property
    def command_log(self) -> Path:
        """The log of ``azcmagent``."""
        return self.logs / "azcmagent.log"

    @property
    def extensions(self) -> Path:
        """The folder of installed extensions, one folder each: ``Publisher.Type-version``."""
        return self.root / "var/lib/waagent"

    @property
    def guest_configuration(self) -> Path:
        """The folder of guest configuration and of the logs of extensions."""
        return self.root / "var/lib/GuestConfig"

    @property
    def work(self) -> Path:
        """The folder of ``extd``, root's own: its journal, and the roots that it learnt."""
        return self.guest_configuration / "extd"

    @property
    def work_lock(self) -> Path:
        """Held by ``extd`` for as long as it runs; everybody may look."""
        return self.guest_configuration / "extd.lock"

    @property
    def work_log(self) -> Path:
        """The log of ``extd``."""
        return self.guest_configuration / "ext_mgr_logs/gc_ext.log"

    @property
    def run_commands(self) -> Path:
        """The folder of what run commands left, ``download/NAME/SEQUENCE`` each."""
        return self.extensions / "run-command-handler"

    @property
    def cloud(self) -> Path:
        """Written by the installer: ``{"endpoint": URL, "caFile": PATH}``."""
        return self.root / "etc/opt/azcmagent/cloud.json"

    @property
    def root_identity(self) -> Path:
        """Beside ``cloud``, by root's ``connect``: the machine's ``clientId`` and ``tokenEndpoint``."""
        return self.cloud.with_name("machine.json")


def paths_from(environment: Mapping[str, str]) -> Paths:
    """Return the paths that the environment asks for."""
    root = environment.get(ROOT_VARIABLE, "")
    if root:
        return Paths(Path(root).absolute(), True)
    return Paths(Path("/"), False)
