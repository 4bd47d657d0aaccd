"""``azcmagent connect``: this machine becomes a resource of the cloud.

``connect existing`` takes a resource that somebody else has created, by the key of ``genkey``.
Connecting again as the same resource of the same cloud changes nothing and is a success.
"""

from __future__ import annotations

import asyncio

from landbridge_agent.cli import connect_existing, wish
from landbridge_agent.cli.command import Call, Command
from landbridge_agent.cli.connecting import Connecting
from landbridge_agent.cli.daemon import tell
from landbridge_agent.cli.parameters import GUID
from landbridge_agent.cli.proxy import proxy_of
from landbridge_agent.cloud import choose, client_for
from landbridge_agent.codes import AgentError
from landbridge_agent.machine import AgentConfig, Machine


def run(call: Call) -> int:
    """Connect this machine; 0 when it is connected."""
    machine = Machine(call.paths)
    config = machine.config()
    if call.values.arguments[:1] == ["existing"]:
        config = connect_existing.run(call, machine, config)
    else:
        config = _connected(call, machine, config)
    if not tell(call):
        how = "himdsd" if call.paths.relocated else "service himds start; service extd start"
        call.out.warn(f"The machine is connected, but its agent service does not run. Start it: {how}.")
    _report(call, config)
    return 0


def _connected(call: Call, machine: Machine, config: AgentConfig | None) -> AgentConfig:
    wanted = wish.read(call)
    cloud = choose(machine, call.values.text("cloud"), call.values.text("ca-file"), config)
    if config is not None:
        _check_same(config, wanted, cloud.endpoint)
        call.out.info(f"This machine is already connected as {config.resourceId}.")
        return config
    client = client_for(cloud, proxy_of(machine, call.environment))
    return asyncio.run(Connecting(call, machine, wanted, cloud, client).run())


def _check_same(config: AgentConfig, wanted: wish.Wish, endpoint: str) -> None:
    """Connecting as what the machine is already is no error; as anything else it is."""
    by_name = not GUID.fullmatch(wanted.subscription)  # what that names is known to the cloud alone
    subscription = config.subscriptionId if by_name else wanted.subscription
    asked = wanted._replace(subscription=subscription).resource_id
    if asked.lower() != config.resourceId.lower() or endpoint != config.endpoint.rstrip("/"):
        raise AgentError(67, f"This machine is already connected as {config.resourceId}.")


def _report(call: Call, config: AgentConfig) -> None:
    page = config.portal_page
    if call.out.json:
        call.out.object(
            {
                "status": "success",
                "resourceId": config.resourceId,
                "resourceName": config.resourceName,
                "resourceGroup": config.resourceGroup,
                "subscriptionId": config.subscriptionId,
                "tenantId": config.tenantId,
                "location": config.location,
                "vmId": config.vmId,
                "correlationId": config.correlationId,
                "portalUrl": page,
            }
        )
        return
    call.out.info("Connected machine to Azure")
    if page:
        call.out.info(f"Machine overview page: {page}")


COMMAND = Command(
    name="connect",
    summary="Connects this machine to Azure",
    synopsis="""
Creates a resource in Azure representing this machine.

This uses the authentication options provided to create a resource in Azure Resource Manager
representing this machine. The resource is in the subscription and resource group requested,
and data about the machine is stored in the Azure region specified by the location parameter.
The default resource name is the hostname of this machine if not overridden.

A certificate corresponding to the System-Assigned Identity of this machine is then downloaded
and stored locally. Once this step completes the Azure Connected Machine Metadata Service and Guest
Configuration Agent begin synchronizing with Azure cloud.

Authentication options:

  Access Token
    azcmagent connect --access-token <> --subscription-id <> --resource-group <> --location <>
  Service Principal ID and secret
    azcmagent connect --service-principal-id <> --service-principal-secret <> --tenant-id <tenantid> \
--subscription-id <> --resource-group <> --location <>
  Device sign in (Interactive)
    azcmagent connect --tenant-id <> --subscription-id <> --resource-group <> --location <>
  Service Principal ID and certificate
    azcmagent connect --service-principal-id <> --service-principal-cert <> --tenant-id <tenantid> \
--subscription-id <> --resource-group <> --location <>
  Azure CLI
    azcmagent connect --use-azcli --subscription-id <> --resource-group <> --location <>

  A code of whoever runs the cloud, which says all the rest
    azcmagent connect --join-code <>

A resource that was created beforehand, with the key of azcmagent genkey:

    azcmagent connect existing --subscription-id <> --resource-group <> --resource-name <>

Connecting again as the same resource changes nothing. A secret is kept off the command line in a
file for --config, JSON or YAML: {"service-principal-secret": "..."}
""",
    flags=(*wish.FLAGS, *connect_existing.FLAGS),
    run=run,
    needs_root=True,
)
