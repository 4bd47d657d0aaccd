"""``azcmagent connect existing``: become a resource that was created in the cloud beforehand.

The private key of ``genkey`` proves whose resource it is; no credential of the cloud comes to
this machine. The identity that it gets has a new key of its own, and the old one is removed.
"""

from __future__ import annotations

import asyncio
import uuid

from landbridge_agent import keys, rejoining
from landbridge_agent.cli import new_state
from landbridge_agent.cli.command import Call
from landbridge_agent.cli.flags import Flag
from landbridge_agent.cli.parameters import check_group, check_guid, resource_name
from landbridge_agent.cli.proxy import proxy_of
from landbridge_agent.cli.resource_manager import enrollment_of, machine_id, rejoin
from landbridge_agent.cloud import choose, client_for, metadata
from landbridge_agent.codes import AgentError
from landbridge_agent.machine import AgentConfig, Machine, StateError

FLAGS = (
    Flag("private-key", "", "existing: the private key (base64 of PKCS#1 DER). Defaults to genkey's"),
    Flag("vmid", "", "existing: the vmId that the resource was created with"),
)


def run(call: Call, machine: Machine, config: AgentConfig | None) -> AgentConfig:
    """Return what this machine is in the cloud now.

    Raises:
        AgentError: AZCM0067 it is another one, AZCM0081 the resource has another key, and what
            the flags or the network can be.
    """
    values = call.values
    if len(values.arguments) > 1:
        raise AgentError(23, f"Unexpected argument '{values.arguments[1]}'.")
    values.require("subscription-id", "resource-group", "resource-name")
    resource = machine_id(
        check_guid("subscription-id", values.text("subscription-id")),
        check_group(values.text("resource-group")),
        resource_name(values.text("resource-name"), ""),
    )
    check_guid("tenant-id", values.text("tenant-id"))
    if config is not None:
        if config.resourceId.lower() != resource.lower():
            raise AgentError(67, f"This machine is already connected as {config.resourceId}.")
        call.out.info(f"This machine is already connected as {config.resourceId}.")
        return config
    private = values.text("private-key").strip() or machine.onboarding_key()
    if not private:
        raise AgentError(104, f"There is no key at {machine.paths.onboarding_key}.")
    return asyncio.run(_join(call, machine, resource, private))


async def _join(call: Call, machine: Machine, resource: str, private: str) -> AgentConfig:
    values, out = call.values, call.out
    cloud = choose(machine, values.text("cloud"), values.text("ca-file"))
    client = client_for(cloud, proxy_of(machine, call.environment))
    out.info("Connecting machine to Azure... This might take a few minutes.")
    names = await metadata(client, cloud)
    out.percent(20)
    new_key = keys.new_private_key()
    try:
        request = rejoining.by_onboarding_key(
            private, resource, names.resource_manager, new_key, call.clock()
        )
    except keys.UnusableKey as error:
        raise AgentError(104, str(error)) from error
    enrollment = enrollment_of(await rejoin(client, names.resource_manager, request), 81)
    out.percent(60)
    found = values.text("vmid") or enrollment.vmId
    if found.lower() != enrollment.vmId.lower():
        out.warn(f"The resource has the vmId {enrollment.vmId}, not {found}.")
    config = new_state.agent_config(
        machine,
        cloud,
        names,
        enrollment,
        location=values.text("location").replace(" ", ""),
        correlation_id=str(uuid.uuid4()),
    )
    try:
        new_state.write(machine, cloud, config, new_key, enrollment.certificate)
    except keys.UnusableKey as error:
        raise AgentError(81, str(error)) from error
    except (OSError, StateError) as error:
        raise AgentError(62, f"The machine's state cannot be written: {error}") from error
    machine.forget_onboarding_key()
    out.percent(100)
    return config
