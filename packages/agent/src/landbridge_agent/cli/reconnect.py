"""``azcmagent reconnect``: new credentials for a machine that is connected but no longer accepted.

First by itself: the old key proves whose machine this is, as long as the cloud's grace after
the certificate's end lasts. Where that does not do (the key is lost, the grace is over, or
somebody else has taken the identity), the sign-in that the flags give must be of somebody who
may delete the machine. The new key replaces the old one only once its certificate is here.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from landbridge_agent import keys, rejoining
from landbridge_agent.cli import authenticate
from landbridge_agent.cli.authenticate import SignIn
from landbridge_agent.cli.command import Call, Command
from landbridge_agent.cli.daemon import tell
from landbridge_agent.cli.flags import Flag
from landbridge_agent.cli.proxy import proxy_of
from landbridge_agent.cli.refusals import another_resource, no_arguments
from landbridge_agent.cli.resource_manager import ResourceManager, enrollment_of, rejoin
from landbridge_agent.cloud import choose, client_for, metadata
from landbridge_agent.codes import AgentError
from landbridge_agent.https import Requests
from landbridge_agent.machine import AgentConfig, Machine, StateError
from landbridge_agent.version import AGENT_VERSION
from landbridge_wire.agent_api import Enrollment, EnrollmentRequest

FLAGS = (
    Flag("location", "l", "Location of the resource"),
    Flag("resource-group", "g", "Name of the resource group."),
    Flag("resource-name", "n", "Name of the resource. Defaults to Host Name"),
    Flag("subscription-id", "s", "Subscription Id"),
    *authenticate.FLAGS,
)


def run(call: Call) -> int:
    """Give this machine new credentials; 0 when it has them."""
    no_arguments(call.values)
    machine = Machine(call.paths)
    config = machine.config()
    if config is None:
        raise AgentError(65, "This machine is not connected.", "Use azcmagent connect.")
    another_resource(call.values, config)
    tenant = call.values.text("tenant-id") or config.tenantId
    authenticate.check(call.values, tenant)
    asyncio.run(_Reconnect(call, machine, config, tenant).run())
    tell(call)
    if call.out.json:
        call.out.object({"status": "success", "resourceId": config.resourceId})
    else:
        call.out.info(f"Reconnected machine to Azure as {config.resourceId}")
    return 0


class _Reconnect:
    """One reconnect under way."""

    def __init__(self, call: Call, machine: Machine, config: AgentConfig, tenant: str) -> None:
        self._call, self._machine, self._config, self._tenant = call, machine, config, tenant
        self._cloud = choose(machine, call.values.text("cloud"), call.values.text("ca-file"), config)
        self._client: Requests = client_for(self._cloud, proxy_of(machine, call.environment))

    async def run(self) -> None:
        call = self._call
        call.out.info("Reconnecting machine to Azure...")
        new_key = keys.new_private_key()
        enrollment = None
        if not authenticate.given(call.values):
            enrollment = await self._by_own_key(new_key)
        if enrollment is None:
            enrollment = await self._by_sign_in(new_key)
        self._keep(new_key, enrollment)

    async def _by_own_key(self, new_key: str) -> Enrollment | None:
        """Return a certificate for the proof of the old key; None where a sign-in is needed."""
        out, config = self._call.out, self._config
        try:
            identity = self._machine.identity()
            if identity is None:
                return None
            request = rejoining.by_identity(
                identity, config.resourceId, config.endpoint, new_key, self._call.clock()
            )
        except (StateError, keys.UnusableKey) as error:
            out.info(f"The machine's key cannot be used: {error}")
            return None
        answer = await rejoin(self._client, config.endpoint, request)
        if answer.status in (401, 403, 404):
            out.info(answer.reason)
            return None
        return enrollment_of(answer, 45)

    async def _by_sign_in(self, new_key: str) -> Enrollment:
        call, config = self._call, self._config
        names = await metadata(self._client, self._cloud)
        token = await SignIn(self._client, names, call.out, call.environment, call.clock).token(
            call.values, self._tenant
        )
        own = bool(call.values.text("access-token"))
        manager = ResourceManager(self._client, names.resource_manager, token, own)
        csr = keys.certificate_request(new_key, config.resourceName)
        return await manager.reconnect(EnrollmentRequest(config.resourceId, csr, AGENT_VERSION))

    def _keep(self, new_key: str, enrollment: Enrollment) -> None:
        try:
            keys.check_pair(new_key, enrollment.certificate)
            self._machine.replace_identity(new_key, enrollment.certificate)
            if self._cloud.own_ca:
                self._machine.trust_from_now_on(self._config, Path(self._cloud.ca_file).read_bytes())
        except keys.UnusableKey as error:
            raise AgentError(107, str(error)) from error
        except StateError as error:
            raise AgentError(
                62, str(error), "Make room or repair the folder, then reconnect again."
            ) from error


COMMAND = Command(
    name="reconnect",
    summary="Reconnects this machine to Azure",
    synopsis="""
Reconnect machine with invalid credentials to Azure.

If a machine already has a resource in Azure but is not able to authenticate to it, it can
be reconnected using this command. This is possible if a machine was turned off long enough
for its certificate to expire (at least 45 days).

If a machine was disconnected with azcmagent disconnect, use azcmagent connect instead.

Without authentication options the machine first proves its old key, which needs no sign-in
as long as the cloud takes expired certificates back. Otherwise this command uses the
authentication options provided to retrieve new credentials corresponding to the Azure
Resource Manager resource representing this machine.

A sign-in requires higher privileges than the Azure Connected Machine Onboarding role.

Authentication Options

  Access Token
    azcmagent reconnect --access-token <>
  Service Principal ID and secret
    azcmagent reconnect --service-principal-id <> --service-principal-secret <> --tenant-id <tenantid>
  Interactive Device sign in
    azcmagent reconnect --tenant-id <>
""",
    flags=FLAGS,
    run=run,
    needs_root=True,
)
