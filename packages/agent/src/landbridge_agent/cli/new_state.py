"""What a machine that has just been enrolled writes down about itself."""

from __future__ import annotations

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
