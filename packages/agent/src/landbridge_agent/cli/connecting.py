"""Connecting under way: from a wish to a machine with its identity, or to nothing left behind.

1. Ask the cloud for its names; get a token for its resource manager.
2. Look the machine's name up: free, another's (AZCM0044), or our own unfinished connect.
3. Make the key pair, and write ``pending.json`` before anything exists in the cloud.
4. PUT the machine with the public key, only if the name is still free.
5. Enrol: the certificate signing request against the identity's certificate.
6. Write identity and ``agentconfig.json``.

A failure after step 3 withdraws the resource and removes the key, so that nothing is left
on either side; where even that fails, ``pending.json`` stays and the next call resumes.
"""

from __future__ import annotations

import asyncio
import uuid

from landbridge_agent import keys
from landbridge_agent.cli import new_state
from landbridge_agent.cli.authenticate import SignIn
from landbridge_agent.cli.command import Call
from landbridge_agent.cli.parameters import GUID
from landbridge_agent.cli.resource_manager import ResourceManager, refused_create
from landbridge_agent.cli.wish import Wish
from landbridge_agent.cloud import Cloud, Metadata, metadata
from landbridge_agent.codes import AgentError
from landbridge_agent.https import Requests
from landbridge_agent.machine import AgentConfig, Machine, Pending, StateError
from landbridge_agent.platform import here
from landbridge_agent.version import AGENT_VERSION
from landbridge_wire.agent_api import Enrollment, EnrollmentRequest, Withdrawal

LIMIT_SECONDS = 600
"""How long connect may take, sign-in included; the original's ten minutes."""

SKEW_SECONDS = 120
"""A clock that is further off is warned about: signatures would be refused."""


class Connecting:
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
        """Return what the machine is in the cloud now.

        Raises:
            AgentError: it did not come about, with the code of what was in the way.
        """
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
        token = await SignIn(self._client, names, out, self._call.environment, self._call.clock).token(
            self._call.values, self._wish.tenant
        )
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
            new_state.write(self._machine, self._cloud, config, pending.privateKey, enrollment.certificate)
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
            "osType": here().name,
            "osName": here().name,
            "osSku": here().os_release().pretty_name,
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
        wish = self._wish
        return new_state.agent_config(
            self._machine,
            self._cloud,
            names,
            enrollment,
            location=wish.location,
            correlation_id=wish.correlation_id,
            physical_location=wish.physical_location,
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
