"""The machine's identity and state on disk. The only writer of the agent's state.

Every file appears whole or not at all (temporary file, fsync, rename, fsync of the folder),
readable by its owner only. One file marks each transition, so a ``kill -9`` at any point
leaves one of three states: not connected, a connect that can be resumed (``pending.json``),
or connected (``agentconfig.json``; it is written last and removed first).
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from landbridge_agent.facts.dmi import Dmi
from landbridge_agent.paths import Paths
from landbridge_agent.platform import Group, here

NOTED = ("serial", "uuid")

MAX_FILE = 256 * 1024
"""The largest state file that is read, in bytes."""


class StateError(Exception):
    """A state file cannot be read or written; the text names it and says why."""


class AgentConfig(NamedTuple):
    """``agentconfig.json``: what this machine is in the cloud. All text, under the original's names."""

    resourceName: str
    resourceGroup: str
    subscriptionId: str
    tenantId: str
    vmId: str
    location: str
    cloud: str
    correlationId: str
    resourceId: str
    principalId: str
    clientId: str
    tokenEndpoint: str
    endpoint: str
    caFile: str
    portal: str
    physicalLocation: str

    @property
    def identity(self) -> tuple[str, ...]:
        """What a machine keeps when it is moved: who it is, where it proves that, whom it trusts."""
        return (self.principalId, self.clientId, self.tokenEndpoint, self.endpoint, self.caFile)

    @property
    def portal_page(self) -> str:
        """The machine's page in the cloud's portal; empty where there is none."""
        return f"{self.portal}/#@{self.tenantId}/resource{self.resourceId}/overview" if self.portal else ""


class Pending(NamedTuple):
    """A connect that has begun: enough to repeat or to undo it. All text."""

    resourceId: str
    endpoint: str
    vmId: str
    clientPublicKey: str
    privateKey: str


class CloudFile(NamedTuple):
    """What the installer wrote: where the cloud is, and the CA that signs for it."""

    endpoint: str
    ca_file: str


@contextlib.contextmanager
def _explained(path: Path, verb: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StateError(f"{path} cannot be {verb}: {error.strerror or error}.") from error


def _write(path: Path, content: bytes) -> None:
    with _explained(path, "written"):
        here().write(path, content)


def _remove(path: Path) -> None:
    with _explained(path, "removed"):
        here().remove(path)


def _read(path: Path) -> bytes | None:
    """Return the content, or None when there is no such file."""
    with _explained(path, "read"):
        try:
            with path.open("rb") as file:
                content = file.read(MAX_FILE + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
    if len(content) > MAX_FILE:
        raise StateError(f"{path} is larger than {MAX_FILE} bytes; it is not a file of this agent.")
    return content


def _read_object(path: Path) -> dict[str, object] | None:
    content = _read(path)
    if content is None:
        return None
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise StateError(f"{path} is not JSON: {error}.") from error
    if not isinstance(value, dict):
        raise StateError(f"{path} must hold a JSON object.")
    return value


def _texts(path: Path, value: Mapping[str, object], names: tuple[str, ...]) -> list[str]:
    found = [value.get(name, "") for name in names]
    if not all(isinstance(one, str) for one in found):
        raise StateError(f"{path}: {', '.join(names)} must be strings.")
    return [str(one) for one in found]


def _as_json(value: Mapping[str, object]) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()


class Machine:
    """The state folder of one agent."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths

    def prepare(self) -> None:
        """Make the state folders, 0700; the group ``himds`` may reach and read the challenge files.

        Raises:
            StateError: they cannot be made.
        """
        paths, group = self.paths, here().token_group()
        for folder in (paths.state, paths.tokens):
            self._private(folder, group)
        for folder in (paths.certificates, paths.sockets, paths.logs):
            self._private(folder)
        if paths.agent_config.parent != paths.state:
            self._private(paths.agent_config.parent)

    def _private(self, folder: Path, group: Group = None) -> None:
        with _explained(folder, "made"):
            here().private_folder(folder, self.paths, group)

    # -- who this machine is ---------------------------------------------------------------

    def config(self) -> AgentConfig | None:
        """Return what this machine is in the cloud, or None while it is not connected.

        Raises:
            StateError: the file is damaged or may not be read.
        """
        value = _read_object(self.paths.agent_config)
        if value is None:
            return None
        config = AgentConfig(*_texts(self.paths.agent_config, value, AgentConfig._fields))
        if not config.resourceId or not config.endpoint or not config.tokenEndpoint:
            raise StateError(f"{self.paths.agent_config} lacks resourceId, endpoint or tokenEndpoint.")
        return config

    def identity(self) -> bytes | None:
        """Return private key and certificate chain (PEM), or None."""
        return _read(self.paths.identity)

    def connect(self, config: AgentConfig, private_key: str, chain: str, ca_pem: bytes | None) -> None:
        """Write the identity, then ``agentconfig.json``; then the pending connect is over."""
        self.prepare()
        if ca_pem is not None:
            _write(self.paths.cloud_ca, ca_pem)
        self.replace_identity(private_key, chain)
        _write(self.paths.agent_config, _as_json(config._asdict()))
        _remove(self.paths.pending)

    def replace_identity(self, private_key: str, chain: str) -> None:
        """Write private key and chain (PEM) in one step, so that they always fit together."""
        _write(self.paths.identity, f"{private_key.strip()}\n{chain.strip()}\n".encode())

    def roots(self) -> bytes | None:
        """Return the machine's own copy of whom it trusts (PEM), or None."""
        return _read(self.paths.cloud_ca)

    def replace_roots(self, pem: bytes) -> None:
        """Trust these certificates from the next start on."""
        self.prepare()
        _write(self.paths.cloud_ca, pem)

    def trust_from_now_on(self, config: AgentConfig, pem: bytes) -> None:
        """Trust these certificates instead of whatever the machine trusted before.

        Raises:
            StateError: it cannot be written.
        """
        self.replace_roots(pem)
        changed = config._replace(caFile=str(self.paths.cloud_ca))
        if changed != config:
            _write(self.paths.agent_config, _as_json(changed._asdict()))

    def moved(self, config: AgentConfig, resource_id: str) -> AgentConfig:
        """Note the id that this machine has now; what it is and how it proves it stays.

        Raises:
            StateError: it cannot be written.
            ValueError: that is not the id of a machine.
        """
        parts = resource_id.split("/")
        if len(parts) != 9:
            raise ValueError(f"'{resource_id}' is not the id of a machine.")
        place = {"subscriptionId": parts[2], "resourceGroup": parts[4], "resourceName": parts[8]}
        changed = config._replace(resourceId=resource_id, **place)
        _write(self.paths.agent_config, _as_json(changed._asdict()))
        return changed

    def forget(self) -> None:
        """Go back to not connected; the local configuration and the logs stay."""
        paths = self.paths
        for path in (paths.agent_config, paths.identity, paths.pending, paths.cloud_ca, paths.known_tags):
            _remove(path)

    def known_tags(self, principal_id: str) -> dict[str, str]:
        """Return the tags that were noted for an identity; empty where there are none.

        Raises:
            StateError: the file is damaged or may not be read.
        """
        value = _read_object(self.paths.known_tags) or {}
        tags = value.get("tags")
        if value.get("principalId") != principal_id or not isinstance(tags, dict):
            return {}
        return {str(name): one for name, one in tags.items() if isinstance(one, str)}

    def note_tags(self, principal_id: str, tags: Mapping[str, str]) -> None:
        """Keep the tags of this machine, which are no secret of it: every program here may ask for them.

        Raises:
            StateError: they cannot be written.
        """
        _write(self.paths.known_tags, _as_json({"principalId": principal_id, "tags": dict(tags)}))

    # -- a connect under way ---------------------------------------------------------------

    def pending(self) -> Pending | None:
        """Return the connect that has begun and not ended, or None."""
        value = _read_object(self.paths.pending)
        if value is None:
            return None
        pending = Pending(*_texts(self.paths.pending, value, Pending._fields))
        return pending if all(pending) else None

    def begin(self, pending: Pending) -> None:
        """Remember a connect before anything is created in the cloud."""
        self.prepare()
        _write(self.paths.pending, _as_json(pending._asdict()))

    def abandon(self) -> None:
        """Forget the connect that has begun, with its key."""
        _remove(self.paths.pending)

    def onboarding_key(self) -> str:
        """Return the private key that ``genkey`` made; empty when there is none."""
        return (_read(self.paths.onboarding_key) or b"").decode("ascii", "replace").strip()

    def save_onboarding_key(self, private: str) -> None:
        """Replace the private key of ``genkey``."""
        self.prepare()
        _write(self.paths.onboarding_key, private.encode())

    def forget_onboarding_key(self) -> None:
        """Remove the private key of ``genkey``: it has done what it was for."""
        _remove(self.paths.onboarding_key)

    # -- settings --------------------------------------------------------------------------

    def local_settings(self) -> dict[str, object]:
        """Return ``localconfig.json``; empty when it does not exist.

        Raises:
            StateError: the file is damaged or may not be read.
        """
        return _read_object(self.paths.local_config) or {}

    def save_local_settings(self, settings: Mapping[str, object]) -> None:
        """Replace ``localconfig.json``."""
        self.prepare()
        _write(self.paths.local_config, _as_json(settings))

    @contextlib.contextmanager
    def changing_settings(self) -> Iterator[dict[str, object]]:
        """Yield ``localconfig.json`` while no other command changes it: none of two changes is lost.

        Raises:
            StateError: the folder cannot be written, or the file is damaged.
        """
        self.prepare()
        file = self.paths.sockets / "localconfig.lock"
        with _explained(file, "opened"):
            lock = here().lock(file, wait=True)
        try:
            yield self.local_settings()
        finally:
            lock.close()

    def hardware(self) -> Dmi:
        """Return what is known of the hardware: what this user may read, and what root has noted.

        Raises:
            StateError: the note is damaged.
        """
        found, noted = here().hardware(), _read_object(self.paths.hardware) or {}
        serial, uuid = (value if isinstance(value, str) else "" for value in map(noted.get, NOTED))
        return found._replace(serial=found.serial or serial, uuid=found.uuid or uuid)

    def note_hardware(self) -> None:
        """Note for the daemon what only root may read of the hardware."""
        found = here().hardware()
        self.prepare()
        _write(self.paths.hardware, _as_json({"serial": found.serial, "uuid": found.uuid}))

    def cloud_file(self) -> CloudFile | None:
        """Return what the installer wrote about the cloud, or None."""
        value = _read_object(self.paths.cloud)
        if value is None:
            return None
        return CloudFile(*_texts(self.paths.cloud, value, ("endpoint", "caFile")))
