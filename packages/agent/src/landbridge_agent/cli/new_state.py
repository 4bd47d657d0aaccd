"""What a machine that has just been enrolled writes down about itself."""

from __future__ import annotations

import json
from pathlib import Path

from landbridge_agent import keys
from landbridge_agent.cloud import Cloud, Metadata
from landbridge_agent.machine import AgentConfig, Machine
from landbridge_wire.agent_api import Enrollment


def agent_config(
    machine: Machine,
    cloud: Cloud,
    names: Metadata,
    enrollment: Enrollment,
    *,
    location: str,
    correlation_id: str,
    physical_location: str = "",
) -> AgentConfig:
    """Return ``agentconfig.json`` of a machine, from what its cloud said."""
    _, _, subscription, _, group, _, _, _, name = enrollment.resourceId.split("/")
    return AgentConfig(
        resourceName=name,
        resourceGroup=group,
        subscriptionId=subscription,
        tenantId=enrollment.tenantId,
        vmId=enrollment.vmId,
        location=location,
        cloud=names.name or cloud.endpoint,
        correlationId=correlation_id,
        resourceId=enrollment.resourceId,
        principalId=enrollment.principalId,
        clientId=enrollment.clientId,
        tokenEndpoint=enrollment.tokenEndpoint,
        endpoint=names.resource_manager,
        caFile=str(machine.paths.cloud_ca) if cloud.ca_file else "",
        portal=names.portal,
        physicalLocation=physical_location,
    )


def write(machine: Machine, cloud: Cloud, config: AgentConfig, private_key: str, chain: str) -> None:
    """Write identity and configuration, once it is sure that they fit.

    Raises:
        UnusableKey: the certificate is for another key.
        OSError, StateError: it cannot be written.
    """
    keys.check_pair(private_key, chain)
    ca_pem = Path(cloud.ca_file).read_bytes() if cloud.ca_file else None
    machine.connect(config, private_key, chain, ca_pem)
    machine.note_hardware()
    if machine.paths.relocated:
        return
    if not machine.paths.cloud.exists():
        name_cloud(machine, config.endpoint, ca_pem)
    name_machine(machine, config.clientId, config.tokenEndpoint)


def name_machine(machine: Machine, client_id: str, token_endpoint: str = "") -> None:
    """Have root's own folder say which machine this is, and who gives it tokens; empty: none.

    The daemon's user, who owns the rest of the state, cannot make it another one for ``extd``.

    Raises:
        OSError: it cannot be written.
    """
    machine.paths.root_identity.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    known = {"clientId": client_id, "tokenEndpoint": token_endpoint}
    _replace(machine.paths.root_identity, (json.dumps(known) + "\n").encode())


def name_cloud(machine: Machine, endpoint: str, ca_pem: bytes | None) -> None:
    """Have root's own folder name the cloud, where no installer did.

    ``extd`` carries out as root what that cloud asks, and no other's.

    Raises:
        OSError: it cannot be written.
    """
    folder = machine.paths.cloud.parent
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    own = folder / "ca.pem"
    if ca_pem is not None:
        _replace(own, ca_pem)
    known = {"endpoint": endpoint, "caFile": str(own) if ca_pem is not None else ""}
    _replace(machine.paths.cloud, (json.dumps(known) + "\n").encode())


def _replace(path: Path, content: bytes) -> None:
    """Write a file that all may read and nobody but its owner may change."""
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(content)
    new.chmod(0o644)
    new.replace(path)
