"""``azcmagent disconnect``: delete the resource in the cloud, then forget it here.

Deleting comes first: should it fail, the machine is connected as before and can try again.
Services and local configuration stay.
"""

from __future__ import annotations

import asyncio

from landbridge_agent.cli import authenticate, new_state
from landbridge_agent.cli.authenticate import SignIn
from landbridge_agent.cli.command import Call, Command
from landbridge_agent.cli.daemon import tell
from landbridge_agent.cli.flags import Flag
from landbridge_agent.cli.proxy import proxy_of
from landbridge_agent.cli.refusals import another_resource, no_arguments
from landbridge_agent.cli.resource_manager import ResourceManager
from landbridge_agent.cloud import choose, client_for, metadata
from landbridge_agent.codes import AgentError
from landbridge_agent.machine import AgentConfig, Machine

ROLE = "Azure Connected Machine Resource Administrator"

FLAGS = (
    Flag("force-local-only", "f", "Forget the connection here only; the resource stays", switch=True),
    Flag("resource-group", "r", "Name of the resource group"),
    Flag("resource-name", "n", "Name of the resource"),
    Flag("subscription-id", "s", "Subscription Id"),
    *authenticate.FLAGS,
)


def run(call: Call) -> int:
    """Disconnect this machine; 0 when it is no longer connected."""
    no_arguments(call.values)
    machine = Machine(call.paths)
    force = call.values.on("force-local-only")
    config = None if force else machine.config()
    if config is None and not force:
        raise AgentError(65, "This machine is not connected.", "There is nothing to disconnect.")
    if config is not None:
        another_resource(call.values, config)
        tenant = call.values.text("tenant-id") or config.tenantId
        authenticate.check(call.values, tenant)
        asyncio.run(_delete(call, machine, config, tenant))
    machine.forget()
    if not call.paths.relocated:
        new_state.name_machine(machine, "")
    tell(call)
    if call.out.json:
        call.out.object({"status": "success", "resourceId": config.resourceId if config else ""})
    elif force:
        call.out.info("Disconnected machine locally; its resource in Azure, if any, was not touched")
    else:
        call.out.info("Disconnected machine from Azure")
    return 0


async def _delete(call: Call, machine: Machine, config: AgentConfig, tenant: str) -> None:
    cloud = choose(machine, call.values.text("cloud"), call.values.text("ca-file"), config)
    client = client_for(cloud, proxy_of(machine, call.environment))
    call.out.info("Disconnecting machine from Azure...")
    names = await metadata(client, cloud)
    token = await SignIn(client, names, call.out, call.environment, call.clock).token(call.values, tenant)
    own = bool(call.values.text("access-token"))
    manager = ResourceManager(client, names.resource_manager, token, own)
    answer = await manager.delete_machine(config.resourceId)
    if answer.ok:
        return
    if answer.status == 404:
        call.out.warn(f"{config.resourceId} does not exist in Azure any more.")
        return
    if answer.status == 403:
        raise AgentError(
            43,
            answer.reason,
            f"Ask for the role '{ROLE}' on the machine or its resource group ('Azure Connected Machine "
            "Onboarding' may connect but not disconnect), or use --force-local-only and have the resource "
            "deleted by somebody else.",
        )
    raise AgentError(43, answer.reason)


COMMAND = Command(
    name="disconnect",
    summary="Disconnects this machine from Azure",
    synopsis="""
Deletes the resource in Azure that represents this server.

This command uses the authentication options provided to remove the Azure Resource Manager
resource representing this machine. After this point the Azure Connected Machine Metadata Service
and Guest Configuration Agent will be disconnected. This command does not stop or remove
the services: remove the package in order to do that.

This command requires higher privileges than the "Azure Connected Machine Onboarding" role.

Once a machine is disconnected, use azcmagent connect if you want to create a new resource
for it in Azure.

Authentication Options:

  Access Token
    azcmagent disconnect --access-token <>
  Service Principal ID and secret
    azcmagent disconnect --service-principal-id <> --service-principal-secret <> --tenant-id <tenantid>
  Interactive Device sign in
    azcmagent disconnect --tenant-id <>
""",
    flags=FLAGS,
    run=run,
    needs_root=True,
)
