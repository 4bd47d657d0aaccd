"""Whom root believes: the cloud that the installation names, and no file that the daemon's user may change.

``himdsd`` is not root and owns the agent's state folder. Who takes it over has the machine's
identity, but must not have root run anything. So ``extd`` takes orders only from the cloud that
``/etc/opt/azcmagent/cloud.json`` names, over TLS that it verifies with that file's CA and with the
roots that this very cloud has named since, and only as the machine that root has connected
(``machine.json`` beside it): else one could be passed off on root that obeys others. An agent in a
folder of its own has nobody else's rights.
"""

from __future__ import annotations

import json
import os
import ssl
import stat
from pathlib import Path

from landbridge_agent.dial import trust, trust_text
from landbridge_agent.machine import AgentConfig, CloudFile, Machine, StateError
from landbridge_agent.paths import Paths
from landbridge_agent.roots import certificates
from landbridge_agent.work import entry

LEARNT = "roots.pem"


def cloud_of(machine: Machine, config: AgentConfig) -> CloudFile:
    """Return the cloud whose orders are carried out, and its CA file.

    Raises:
        StateError: the machine is connected elsewhere, or as another, than root has said, or anybody
            could have said it. OSError: what root has said cannot be written.
    """
    paths = machine.paths
    if paths.relocated or os.geteuid():
        return CloudFile(config.endpoint.rstrip("/"), config.caFile)
    _check_owner(paths.cloud)
    found = machine.cloud_file()
    if found is None:
        raise StateError(
            f"{paths.cloud} does not exist, so root does not know whose orders to carry out: extensions, run "
            'commands and guest configuration wait. Write {"endpoint": URL, "caFile": FILE} there.'
        )
    if found.endpoint.rstrip("/").lower() != config.endpoint.rstrip("/").lower():
        raise StateError(
            f"The machine is connected to {config.endpoint}, but {paths.cloud} names {found.endpoint}: "
            "nothing is carried out for a cloud that root has not named."
        )
    if found.ca_file:
        _check_owner(Path(found.ca_file))
    _check_machine(paths, config)
    return found._replace(endpoint=found.endpoint.rstrip("/"))


def _check_machine(paths: Paths, config: AgentConfig) -> None:
    """Check that the machine is the one that root has connected.

    Whose orders count follows from its identity: those of people who have rights over this machine,
    not over one that the daemon's user would rather be. So do those of whoever gives out its tokens:
    another could give one of another machine. A machine that was connected before there was such
    a file is taken as it is found the first time.
    """
    own = {"clientId": config.clientId, "tokenEndpoint": config.tokenEndpoint}
    _check_owner(paths.root_identity)
    if not paths.root_identity.exists():
        paths.root_identity.write_text(json.dumps(own) + "\n")
        paths.root_identity.chmod(0o644)
        return
    known = entry.read_object(paths.root_identity) or {}
    if any(known.get(name) != value for name, value in own.items()):
        raise StateError(
            f"{paths.agent_config} is not what root has connected ({paths.root_identity}): nothing is "
            "carried out. Disconnect the machine, and connect it again, as root."
        )


def _check_owner(path: Path) -> None:
    """Refuse a file that others than root may change, or put another in the place of."""
    try:
        real = path.resolve(strict=True)
    except FileNotFoundError:
        return
    except (OSError, RuntimeError) as error:
        raise StateError(f"{path} cannot be read: {error}.") from error
    for one in (real, *real.parents, *path.absolute().parents):
        try:
            known = one.stat()
        except OSError as error:
            raise StateError(f"{one} cannot be read: {error.strerror}.") from error
        others = known.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if one != real and known.st_mode & stat.S_ISVTX:
            others = 0  # as in /tmp: nobody can replace what root has there
        if known.st_uid or others:
            named = path if one == real else one
            raise StateError(
                f"{named} can be changed by others than root: chown root {named}; chmod go-w {named}"
            )


def context_of(paths: Paths, cloud: CloudFile) -> ssl.SSLContext:
    """Return a context that trusts the cloud's CA file and the roots that the cloud has named since.

    Raises:
        Untrusted: the CA file cannot be used.
    """
    learnt = _learnt(paths) if cloud.ca_file else ""
    if not learnt:
        return trust(cloud.ca_file)
    try:
        held = Path(cloud.ca_file).read_text("ascii", "replace")
    except OSError:
        return trust(cloud.ca_file)
    return trust_text("".join([*certificates(held), learnt]))


def _learnt(paths: Paths) -> str:
    return (entry.read(paths.work / LEARNT) or b"").decode("ascii", "replace")


def learn(paths: Paths, cloud: CloudFile, told: str) -> bool:
    """Note the roots that the cloud names (PEM); say whether they are others than before.

    What the CA file holds stays trusted, so nothing that is named can lock the machine out.

    Raises:
        Untrusted: what it names are no certificates.
        OSError: they cannot be written.
    """
    named = "".join(certificates(told))
    if not named or not cloud.ca_file or named == _learnt(paths):
        return False
    trust_text(named)
    entry.write(paths.work / LEARNT, named.encode("ascii"))
    return True


def forget(paths: Paths) -> None:
    """Forget the roots that a cloud named: the machine is another one's now."""
    (paths.work / LEARNT).unlink(missing_ok=True)
