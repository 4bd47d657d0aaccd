"""``azcmagent connect``: this machine becomes a resource of the cloud.

1. Check the flags, and that the machine is not connected yet.
2. Ask the cloud for its names; get a token for its resource manager.
3. Look the machine's name up: free, another's (AZCM0044), or our own unfinished connect.
4. Make the key pair, and write ``pending.json`` before anything exists in the cloud.
5. PUT the machine with the public key, only if the name is still free.
6. Enrol: the certificate signing request against the identity's certificate.
7. Write identity and ``agentconfig.json``; tell himdsd.

A failure after step 4 withdraws the resource and removes the key, so that nothing is left
on either side; where even that fails, ``pending.json`` stays and the next call resumes.
"""

from __future__ import annotations

import asyncio
import socket
import uuid
from pathlib import Path
from typing import NamedTuple

from landbridge_agent import keys
from landbridge_agent.cli import authenticate
from landbridge_agent.cli.authenticate import SignIn
from landbridge_agent.cli.command import Call, Command
from landbridge_agent.cli.flags import Flag
from landbridge_agent.cli.parameters import GUID, check_group, check_guid, resource_name, tags
from landbridge_agent.cli.resource_manager import ResourceManager, machine_id, refused_create
from landbridge_agent.cloud import Cloud, Metadata, choose, client_for, metadata
from landbridge_agent.codes import AgentError
from landbridge_agent.dial import proxy_from
from landbridge_agent.facts import os_release
from landbridge_agent.https import Requests
from landbridge_agent.local_socket import RELOAD, NotAnswering, ask
from landbridge_agent.machine import AgentConfig, Machine, Pending, StateError
from landbridge_agent.version import AGENT_VERSION
from landbridge_wire.agent_api import Enrollment, EnrollmentRequest, Withdrawal

LIMIT_SECONDS = 600
"""How long connect may take, sign-in included; the original's ten minutes."""

SKEW_SECONDS = 120
"""A clock that is further off is warned about: signatures would be refused."""

FLAGS = (
    Flag("location", "l", "Location of the resource [Required]"),
    Flag("physical-location", "", "Physical location of the resource"),
    Flag("resource-group", "g", "Name of the resource group. [Required]"),
    Flag("resource-name", "n", "Name of the resource. Defaults to Host Name"),
    Flag("subscription-id", "s", "Subscription Id [Required]"),
    Flag("tags", "", "Tags for resource; -t takes them too where they have an '='"),
    Flag("correlation-id", "", "GUID that marks this connect in the logs"),
    Flag("ignore-network-check", "", "Accepted; no check is made beforehand", switch=True, hidden=True),
    Flag("skip-network-check", "", "As --ignore-network-check", switch=True, hidden=True),
    Flag("enable-automatic-upgrade", "", "Not supported yet", switch=True, hidden=True),
    Flag("gateway-id", "", "Not supported yet", hidden=True),
    Flag("private-link-scope", "", "Not supported yet", hidden=True),
    Flag("automanage-profile", "", "Not supported yet", hidden=True),
    *authenticate.FLAGS,
)


class Wish(NamedTuple):
    """What the resource shall be, checked."""

    subscription: str
    group: str
    name: str
    location: str
    tags: dict[str, str]
    physical_location: str
    correlation_id: str
    tenant: str

    @property
    def resource_id(self) -> str:
        """The id of the resource."""
        return machine_id(self.subscription, self.group, self.name)


def _wish(call: Call) -> Wish:
    values = call.values
    authenticate.refuse_unsupported(
        values, (*authenticate.UNSUPPORTED, "gateway-id", "private-link-scope", "automanage-profile")
    )
    if values.on("enable-automatic-upgrade"):
        raise AgentError(3, "--enable-automatic-upgrade is not supported yet by this agent.")
    if values.arguments:
        raise AgentError(23, f"Unexpected argument '{values.arguments[0]}'.")
    values.require("subscription-id", "resource-group", "location")
    given_tags, tenant = values.text("tags"), values.text("tenant-id")
    if "=" in tenant:  # -t meant tags in 2019
        given_tags, tenant = (f"{given_tags},{tenant}" if given_tags else tenant), ""
    authenticate.check(values, tenant)
    return Wish(
        subscription=values.text("subscription-id"),
        group=check_group(values.text("resource-group")),
        name=resource_name(values.text("resource-name"), socket.gethostname()),
        location=values.text("location").replace(" ", ""),
        tags=tags(given_tags),
        physical_location=values.text("physical-location"),
        correlation_id=check_guid("correlation-id", values.text("correlation-id")) or str(uuid.uuid4()),
        tenant=tenant,
    )


def run(call: Call) -> int:
    """Connect this machine; 0 when it is connected."""
    machine = Machine(call.paths)
    existing = machine.config()
    if existing is not None:
        raise AgentError(67, f"This machine is already connected as {existing.resourceId}.")
    wish = _wish(call)
    cloud = choose(machine, call.values.text("cloud"), call.values.text("ca-file"))
    client = client_for(cloud, proxy_from(call.environment))
    config = asyncio.run(_Connect(call, machine, wish, cloud, client).run())
    _tell_daemon(call)
    _report(call, config)
    return 0


class _Connect:
    """One connect under way."""

    def __init__(self, call: Call, machine: Machine, wish: Wish, cloud: Cloud, client: Requests) -> None:
        self._call = call
        self._machine = machine
        self._wish = wish
        self._cloud = cloud
        self._client = client
        self._group_created = False
        self._may_exist = False

    async def run(self) -> AgentConfig:
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                return await self._run()
        except TimeoutError:
            raise AgentError(62, f"Connecting took more than {LIMIT_SECONDS // 60} minutes.") from None

    async def _run(self) -> AgentConfig:
        out = self._call.out
        out.info("Connecting machine to Azure... This might take a few minutes.")
        names = await metadata(self._client, self._cloud)
        self._warn_of_skew(names.server_time)
        token = await SignIn(self._client, names, out).token(self._call.values, self._wish.tenant)
        out.percent(20)
        own_token = bool(self._call.values.text("access-token"))
        manager = ResourceManager(self._client, names.resource_manager, token, own_token)
        if not GUID.fullmatch(self._wish.subscription):
            self._wish = self._wish._replace(subscription=await manager.subscription(self._wish.subscription))
        pending = await self._prepare(manager)
        out.percent(30)
        try:
            enrollment = await self._create(manager, pending)
            config = self._config(names, enrollment)
            ca_pem = Path(self._cloud.ca_file).read_bytes() if self._cloud.own_ca else None
            keys.check_pair(pending.privateKey, enrollment.certificate)
            self._machine.connect(config, pending.privateKey, enrollment.certificate, ca_pem)
        except keys.UnusableKey as error:
            await self._undo(manager, pending)
            raise AgentError(81, str(error)) from error
        except (OSError, StateError) as error:
            await self._undo(manager, pending)
            raise AgentError(62, f"The machine's state cannot be written: {error}") from error
        except (AgentError, asyncio.CancelledError):
            await self._undo(manager, pending)
            raise
        out.percent(100)
        return config

    def _warn_of_skew(self, theirs: float | None) -> None:
        skew = self._call.clock() - theirs if theirs is not None else 0.0
        if abs(skew) > SKEW_SECONDS:
            self._call.out.warn(
                f"This machine's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} "
                "the cloud's. Set it right, or the machine's signatures will be refused."
            )

    async def _prepare(self, manager: ResourceManager) -> Pending:
        """Steps 3 and 4: find out whose the name is, and remember our key for it."""
        resource = self._wish.resource_id
        pending = self._machine.pending()
        if pending is not None and pending.resourceId.lower() != resource.lower():
            if pending.endpoint == self._cloud.endpoint:
                await manager.withdraw(Withdrawal(pending.resourceId, pending.clientPublicKey))
            self._machine.abandon()
            pending = None
        found = await manager.machine(resource)
        if found.ok:
            self._check_ours(found.json(), pending)
        elif found.error[0] == "ResourceGroupNotFound":
            await self._create_group(manager)
        elif found.status != 404:
            raise refused_create(found)
        if pending is None:
            private_key = keys.new_private_key()
            pending = Pending(
                resource, self._cloud.endpoint, str(uuid.uuid4()), keys.public_key(private_key), private_key
            )
            self._machine.begin(pending)
        return pending

    def _check_ours(self, body: dict[str, object], pending: Pending | None) -> None:
        properties = body.get("properties")
        theirs = properties.get("clientPublicKey") if isinstance(properties, dict) else None
        if pending is None or theirs != pending.clientPublicKey:
            raise AgentError(44, f"The resource {self._wish.resource_id} exists already.")

    async def _create_group(self, manager: ResourceManager) -> None:
        wish = self._wish
        answer = await manager.create_group(wish.subscription, wish.group, wish.location)
        if not answer.ok:
            refused = refused_create(answer)
            raise AgentError(
                refused.code,
                f"The resource group '{wish.group}' does not exist and was not created: {refused.detail}",
                f"Create it first, or have it created: az group create -n {wish.group} -l {wish.location}.",
            )
        self._group_created = True

    async def _create(self, manager: ResourceManager, pending: Pending) -> Enrollment:
        """Steps 5 and 6."""
        wish, out = self._wish, self._call.out
        out.info(
            f"Creating resource in Azure...                 Correlation ID={wish.correlation_id} "
            f"Resource ID={wish.resource_id}"
        )
        self._may_exist = True
        answer = await manager.create_machine(wish.resource_id, self._body(pending))
        if answer.status == 412:  # a connect that was killed after its PUT, or a race that we lost
            self._may_exist = False
            self._check_ours((await manager.machine(wish.resource_id)).json(), pending)
            self._may_exist = True
        elif not answer.ok:
            self._may_exist = answer.status >= 500
            raise refused_create(answer)
        out.percent(60)
        request = keys.certificate_request(pending.privateKey, wish.name)
        enrollment = await manager.enroll(EnrollmentRequest(wish.resource_id, request, AGENT_VERSION))
        out.percent(80)
        return enrollment

    def _body(self, pending: Pending) -> dict[str, object]:
        properties: dict[str, object] = {
            "vmId": pending.vmId,
            "clientPublicKey": pending.clientPublicKey,
            "osType": "linux",
            "osName": "linux",
            "osSku": os_release.read().pretty_name,
        }
        if self._wish.physical_location:
            properties["locationData"] = {"name": self._wish.physical_location}
        body: dict[str, object] = {
            "location": self._wish.location,
            "identity": {"type": "SystemAssigned"},
            "properties": properties,
        }
        if self._wish.tags:
            body["tags"] = self._wish.tags
        return body

    def _config(self, names: Metadata, enrollment: Enrollment) -> AgentConfig:
        wish, cloud = self._wish, self._cloud
        return AgentConfig(
            resourceName=wish.name,
            resourceGroup=wish.group,
            subscriptionId=wish.subscription,
            tenantId=enrollment.tenantId,
            vmId=enrollment.vmId,
            location=wish.location,
            cloud=names.name or cloud.endpoint,
            correlationId=wish.correlation_id,
            resourceId=enrollment.resourceId,
            principalId=enrollment.principalId,
            clientId=enrollment.clientId,
            tokenEndpoint=enrollment.tokenEndpoint,
            endpoint=names.resource_manager,
            caFile=str(self._machine.paths.cloud_ca) if cloud.own_ca else cloud.ca_file,
            portal=names.portal,
            physicalLocation=wish.physical_location,
        )

    async def _undo(self, manager: ResourceManager, pending: Pending) -> None:
        """Leave nothing behind; if the cloud cannot be reached, leave enough to resume."""
        out = self._call.out
        gone = not self._may_exist
        try:
            if not gone:
                gone = await manager.withdraw(Withdrawal(pending.resourceId, pending.clientPublicKey))
            if gone and self._group_created:
                await manager.remove_empty_group(self._wish.subscription, self._wish.group)
        except AgentError as error:
            out.debug(f"The withdrawal failed: {error.detail}")
        if not gone:
            out.warn(f"{pending.resourceId} may be left behind; the same connect resumes it.")
            return
        try:
            self._machine.forget()
        except StateError as error:
            out.warn(str(error))


def _tell_daemon(call: Call) -> None:
    try:
        ask(call.paths.socket, RELOAD)
    except NotAnswering as error:
        how = "himdsd" if call.paths.relocated else "systemctl enable --now himdsd"
        call.out.warn(f"The machine is connected, but {error}. Start the agent service: {how}.")


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

Keep a secret off the command line with --config FILE: {"service-principal-secret": "..."}
""",
    flags=FLAGS,
    run=run,
    needs_root=True,
)
