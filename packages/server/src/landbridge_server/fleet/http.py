"""The agent API: what ``landbridge_wire.agent_api`` describes, answered.

``/enrollments`` are called by whoever connects a machine, with an ARM token, or in the one case
of ``rejoin`` with the proof of the machine's own key; everything else by the machine itself,
with the token of its managed identity.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from landbridge_server.arm import access
from landbridge_server.arm.call import decode_object
from landbridge_server.arm.event_documents import Who
from landbridge_server.config import Endpoints
from landbridge_server.fleet import facts as stored_facts
from landbridge_server.fleet.copies import Copies
from landbridge_server.fleet.enrollment import Enrollments
from landbridge_server.fleet.presence import Presence
from landbridge_server.fleet.rejoining import Rejoining
from landbridge_server.fleet.rendezvous import LISTEN_SECONDS
from landbridge_server.identity.caller import Caller
from landbridge_server.relay.names import hybrid_connection_path
from landbridge_server.store import machines, principals, resources
from landbridge_server.store.database import Connection, Database
from landbridge_wire import agent_api
from landbridge_wire.agent_api import MalformedMessage
from landbridge_wire.errors import ArmError

FACTS_LIMIT = 64 * 1024
"""The contract's bound on what an agent sends with a heartbeat."""

M = TypeVar("M")


class ListenCredentials(Protocol):
    """What the relay hands out for a machine's own control channel."""

    def listen_credentials(self, path: str, seconds: int, now: float) -> tuple[str, int]:
        """Return the SAS token and when it expires (unix seconds)."""

    def service_configuration_key(self, path: str) -> bytes:
        """Return the key of the machine's Service-Configuration-Tokens."""


async def _body(request: Request, read: Callable[[object], M]) -> M:
    content = decode_object(await request.body())
    try:
        return read(content)
    except MalformedMessage as error:
        raise ArmError("InvalidRequestContent", f"The request content was invalid: {error}") from error


def _tokens_from(connection: Connection, principal_id: str) -> float:
    principal = principals.get(connection, principal_id)
    return (principal.tokens_from if principal else None) or 0.0


class FleetHttp:
    """The handlers of the agent API."""

    def __init__(
        self,
        db: Database,
        enrollments: Enrollments,
        presence: Presence,
        relay: ListenCredentials,
        endpoints: Endpoints,
        clock: Callable[[], float],
        rejoining: Rejoining,
        copies: Copies,
        trust: Callable[[], tuple[str, float]],
    ) -> None:
        """Take the parts that the agent API passes.

        ``trust`` says which roots machines are to trust (PEM), and before when a certificate must
        have begun to be renewed now (unix seconds).
        """
        self.db = db
        self.enrollments = enrollments
        self.rejoining = rejoining
        self.copies = copies
        self.presence = presence
        self.relay = relay
        self.endpoints = endpoints
        self.clock = clock
        self.trust = trust
        self.work_wanted: Callable[[str], bool] = lambda machine_key: False
        """Says whether a machine has something to fetch; may be replaced until the first heartbeat."""
        self._facts: dict[str, str] = {}

    async def enroll(self, request: Request) -> Response:
        """Answer 201 with the machine's identity and certificate."""
        message = await _body(request, agent_api.EnrollmentRequest.from_json)
        request.scope["landbridge.subject"] = message.resourceId[:2048]
        enrollment = await self.enrollments.enroll(request.state.caller, message)
        return JSONResponse(enrollment.to_json(), 201)

    async def rejoin(self, request: Request) -> Response:
        """Answer 201 with a certificate to whoever proves the machine's own key; there is no token."""
        message = await _body(request, agent_api.RejoinRequest.from_json)
        request.scope["landbridge.subject"] = message.resourceId[:2048]
        address = request.client.host if request.client else ""
        enrollment = await self.rejoining.rejoin(message, address)
        request.state.caller = Who(
            enrollment.clientId, enrollment.principalId, enrollment.tenantId, enrollment.clientId
        )
        return JSONResponse(enrollment.to_json(), 201)

    async def reconnect(self, request: Request) -> Response:
        """Answer 201 with a certificate for a machine's new key."""
        message = await _body(request, agent_api.EnrollmentRequest.from_json)
        request.scope["landbridge.subject"] = message.resourceId[:2048]
        enrollment = await self.rejoining.reconnect(request.state.caller, message)
        return JSONResponse(enrollment.to_json(), 201)

    async def withdraw(self, request: Request) -> Response:
        """Answer 204 once the unfinished machine is gone."""
        message = await _body(request, agent_api.Withdrawal.from_json)
        request.scope["landbridge.subject"] = message.resourceId[:2048]
        await self.enrollments.withdraw(request.state.caller, message)
        return Response(status_code=204)

    async def renew(self, request: Request) -> Response:
        """Answer 200 with the machine's next certificate."""
        caller = self._machine(request)
        request.scope["landbridge.subject"] = caller.resource_key
        message = await _body(request, agent_api.CertificateRequest.from_json)
        return JSONResponse((await self.enrollments.renew(caller, message)).to_json())

    async def session(self, request: Request) -> Response:
        """Answer 200 with where and how the machine listens."""
        caller = self._machine(request)
        message = await _body(request, agent_api.SessionRequest.from_json)
        path = hybrid_connection_path(caller.object_id)
        await self.copies.check(caller.resource_key, path, message)
        now = self.clock()
        began = max(now, self.db.read(lambda connection: _tokens_from(connection, caller.object_id)))
        token, expires = self.relay.listen_credentials(path, LISTEN_SECONDS, began)
        stored = self.db.read(lambda connection: resources.get(connection, caller.resource_key))
        if stored is None:
            raise ArmError("NotFound", "The machine of this identity is gone. Connect it again.")
        roots, renew_before = self.trust()
        session = agent_api.Session(
            resourceId=stored.resource_id,
            listenAddress=f"wss://{self.endpoints.relay}/$hc/{path}?sb-hc-action=listen",
            listenToken=token,
            listenTokenExpiresOn=expires,
            serviceConfigurationKey=base64.b64encode(self.relay.service_configuration_key(path)).decode(),
            heartbeatSeconds=agent_api.HEARTBEAT_SECONDS,
            serverTime=int(now),
            roots=roots,
            renewBefore=int(renew_before),
        )
        return JSONResponse(session.to_json())

    async def instance(self, request: Request) -> Response:
        """Answer 200 with what the machine's resource says now: a program on the machine asks."""
        caller = self._machine(request)
        stored = self.db.read(lambda connection: resources.get(connection, caller.resource_key))
        if stored is None:
            raise ArmError("NotFound", "The machine of this identity is gone. Connect it again.")
        written = _decode_instance(stored.document)
        instance = agent_api.Instance(stored.resource_id, written.location, written.tags)
        return JSONResponse(instance.to_json())

    async def heartbeat(self, request: Request) -> Response:
        """Answer 200 to a heartbeat of an agent whose control channel is down."""
        caller = self._machine(request)
        message = await _body(request, agent_api.Heartbeat.from_json)
        return JSONResponse(self.beat(caller.resource_key, message).to_json())

    def beat(self, machine_key: str, message: agent_api.Heartbeat) -> agent_api.HeartbeatReply:
        """Note a heartbeat, whichever way it came, and say what is wanted: the facts, or that it fetches."""
        self.presence.heartbeat(machine_key, message.agentVersion, self.clock())
        return agent_api.HeartbeatReply(
            factsWanted=not self._known(machine_key, message.factsDigest),
            workWanted=self.work_wanted(machine_key),
        )

    def _known(self, machine_key: str, digest: str) -> bool:
        """Say whether we hold these facts. Only a yes is remembered, and for one digest a machine."""
        if self._facts.get(machine_key) == digest:
            return True
        row = self.db.read(lambda connection: machines.get(connection, machine_key))
        if row is None or row.facts_digest != digest:
            self._facts.pop(machine_key, None)
            return False
        self._facts[machine_key] = digest
        return True

    def forget(self, machine_key: str) -> None:
        """Drop what is remembered of a machine that was removed."""
        self._facts.pop(machine_key, None)

    async def facts(self, request: Request) -> Response:
        """Answer 204 once what the machine reports about itself is stored."""
        caller = self._machine(request)
        facts = await _body(request, _facts)
        text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
        if len(text) > FACTS_LIMIT:
            raise ArmError("RequestEntityTooLarge", f"Facts are limited to {FACTS_LIMIT} bytes.")
        digest = agent_api.facts_digest(facts)
        await self.db.write(
            lambda connection: stored_facts.keep(connection, caller.resource_key, text, digest)
        )
        return Response(status_code=204)

    def _machine(self, request: Request) -> Caller:
        # A machine's right over its own session comes from its identity alone, not from a role.
        access.decided()
        caller: Caller = request.state.caller
        return caller


class _Written(msgspec.Struct):
    """The part of a machine's document that its programs may want to know."""

    location: str = ""
    tags: dict[str, str] = {}


_decode_instance = msgspec.json.Decoder(_Written).decode


def _facts(body: object) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise MalformedMessage("facts must be a JSON object of machine properties.")
    return body
