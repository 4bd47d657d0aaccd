"""How a machine gets its certificate, renews it, and how an unfinished connect is undone.

Enrolment, step by step:
1. the id must name a ``Microsoft.HybridCompute/machines`` resource;
2. the caller needs ``machines/write`` on it, decided before anything is looked up;
3. the signing request must prove possession of its own key;
4. that key must be the ``clientPublicKey`` that the resource was created with: whoever may
   write the resource cannot take over a machine that another key belongs to;
5. certificate, its record and the mark "enrolled" are one transaction.

Asking again with the same key gives a new certificate: an answer may have been lost, and
the key's owner could renew anyway.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from landbridge_server.arm.access import Access
from landbridge_server.ca.authority import (
    BadRequest,
    CertificateAuthority,
    Issued,
    public_key_text,
    verified_request,
)
from landbridge_server.config import Endpoints
from landbridge_server.fleet.presence import Presence
from landbridge_server.identity.caller import Caller
from landbridge_server.store import machines, principals, resources
from landbridge_server.store.database import Connection, Database
from landbridge_server.store.resources import Stored
from landbridge_wire import agent_api, arm_id
from landbridge_wire.errors import ArmError

MACHINE_TYPE = "microsoft.hybridcompute/machines"
WRITE = "Microsoft.HybridCompute/machines/write"

CONNECT_SECONDS = 3600.0
"""How long after its creation a machine still counts as a connect that has not ended."""


class _Properties(msgspec.Struct, frozen=True):
    clientPublicKey: str = ""


class _SystemData(msgspec.Struct, frozen=True):
    createdBy: str = ""


class _Document(msgspec.Struct):
    properties: _Properties = _Properties()
    systemData: _SystemData = _SystemData()


_decode = msgspec.json.Decoder(_Document).decode


def machine_id(unverified_id: str) -> arm_id.ArmId:
    """Return the id of a machine.

    Raises:
        ArmError: the text is not the id of a machine in a resource group.
    """
    try:
        parsed = arm_id.parse(unverified_id)
    except arm_id.MalformedId as error:
        raise ArmError("InvalidParameter", f"'resourceId' is not a resource id: {error}") from error
    if (
        parsed.type.lower() != MACHINE_TYPE
        or parsed.collection
        or not parsed.group
        or len(parsed.segments) != 1
    ):
        raise ArmError("InvalidParameter", f"'{unverified_id[:200]}' does not name a connected machine.")
    return parsed


def key_of(csr: str) -> ec.EllipticCurvePublicKey:
    """Return the key that a signing request proves to hold.

    Raises:
        ArmError: it is none, or not signed by its own key.
    """
    try:
        return verified_request(csr)
    except BadRequest as error:
        raise ArmError("InvalidCertificateSigningRequest", str(error)) from error


def missing(machine: arm_id.ArmId) -> ArmError:
    """Return the refusal for a machine that does not exist."""
    return ArmError(
        "ResourceNotFound",
        f"The Resource '{machine.type}/{machine.name}' under resource group '{machine.group}' was not found. "
        "For more details please go to https://aka.ms/ARMResourceNotFoundFix",
    )


class Enrolled(NamedTuple):
    """A machine that has a new certificate, what it is told, and when that ends (unix seconds)."""

    machine_key: str
    enrollment: agent_api.Enrollment
    not_after: float


class Enrollments:
    """Certificates of machines. ``remove`` deletes a machine as the resource manager does."""

    def __init__(
        self,
        db: Database,
        authority: CertificateAuthority,
        access: Access,
        presence: Presence,
        endpoints: Endpoints,
        clock: Callable[[], float],
        remove: Callable[[str], Awaitable[None]],
    ) -> None:
        """Take the parts that enrolment passes."""
        self.db = db
        self.authority = authority
        self.access = access
        self.presence = presence
        self.endpoints = endpoints
        self.clock = clock
        self.remove = remove

    async def enroll(self, caller: Caller, request: agent_api.EnrollmentRequest) -> agent_api.Enrollment:
        """Issue the first certificate of a machine that was just created."""
        machine = machine_id(request.resourceId)
        self.access.require(caller, WRITE, machine.text)
        key = key_of(request.certificateSigningRequest)

        def work(connection: Connection) -> Enrolled:
            self._check_key(connection, machine, public_key_text(key))
            return self.admit(connection, machine, key)

        return self.told(await self.db.write(work))

    def admit(
        self, connection: Connection, machine: arm_id.ArmId, key: ec.EllipticCurvePublicKey
    ) -> Enrolled:
        """Give a machine a certificate and mark it as enrolled. Who may ask was decided before.

        Raises:
            ArmError: there is no such machine.
        """
        row = machines.get(connection, machine.key)
        principal = principals.get(connection, row.principal_id) if row else None
        if row is None or principal is None:
            raise missing(machine)
        issued = self._issue(connection, machine, principal.app_id or "", row.principal_id, key)
        machines.set_enrolled(connection, machine.key, self.clock())
        enrollment = agent_api.Enrollment(
            resourceId=machine.text,
            tenantId=principal.tenant_id,
            principalId=row.principal_id,
            clientId=principal.app_id or "",
            certificate=issued.chain,
            tokenEndpoint=f"{self.endpoints.login}/{principal.tenant_id}/oauth2/v2.0/token",
            vmId=row.vm_id,
        )
        return Enrolled(machine.key, enrollment, issued.not_after)

    def told(self, enrolled: Enrolled) -> agent_api.Enrollment:
        """Note, after the commit, how long the machine's certificate lasts; return what it is told."""
        self.presence.issued(enrolled.machine_key, enrolled.not_after)
        return enrolled.enrollment

    async def withdraw(self, caller: Caller, withdrawal: agent_api.Withdrawal) -> None:
        """Remove a machine whose connect failed: only with its own key, only within that connect.

        The Onboarding role cannot delete machines; it may undo what it has just begun itself.
        Everybody can read the key: so a machine that somebody else has created, or that was
        ever heard from, is not touched.
        """
        machine = machine_id(withdrawal.resourceId)
        self.access.require(caller, WRITE, machine.text)
        with self.db.reading() as connection:
            stored = self._check_key(connection, machine, withdrawal.clientPublicKey)
        created_by = _decode(stored.document).systemData.createdBy
        if created_by != caller.label or stored.created_at < self.clock() - CONNECT_SECONDS:
            raise ArmError(
                "OperationNotAllowed",
                f"The machine '{machine.name}' was not created by this connect; whoever may delete it can.",
            )
        if self.presence.last_seen(machine.key) is not None:
            raise ArmError(
                "OperationNotAllowed",
                f"The machine '{machine.name}' is connected; delete it with 'azcmagent disconnect'.",
            )
        await self.remove(machine.key)

    async def renew(self, caller: Caller, request: agent_api.CertificateRequest) -> agent_api.Certificate:
        """Issue the next certificate of the calling machine, for its old key or a new one."""
        key = key_of(request.certificateSigningRequest)

        def work(connection: Connection) -> tuple[Issued, str]:
            row = machines.get(connection, caller.resource_key)
            stored = resources.get(connection, caller.resource_key)
            if row is None or stored is None:
                raise ArmError("NotFound", "The machine of this identity is gone. Connect it again.")
            machine = arm_id.parse(stored.resource_id)
            return self._issue(connection, machine, caller.app_id, caller.object_id, key), row.machine_key

        issued, machine_key = await self.db.write(work)
        self.presence.issued(machine_key, issued.not_after)
        return agent_api.Certificate(issued.chain)

    def _check_key(self, connection: Connection, machine: arm_id.ArmId, unverified_key: str) -> Stored:
        stored = resources.get(connection, machine.key)
        if stored is None:
            raise missing(machine)
        known = _decode(stored.document).properties.clientPublicKey
        if not known or not hmac.compare_digest(known.encode(), unverified_key.encode()):
            raise ArmError(
                "PropertyChangeNotAllowed",
                f"The machine '{machine.name}' belongs to another key. "
                "Choose another resource name, or delete the resource first.",
                target="clientPublicKey",
            )
        return stored

    def _issue(
        self,
        connection: Connection,
        machine: arm_id.ArmId,
        client_id: str,
        principal_id: str,
        key: ec.EllipticCurvePublicKey,
    ) -> Issued:
        now = self.clock()
        issued = self.authority.machine_certificate(client_id, machine.text, key, now)
        machines.add_certificate(
            connection,
            machines.Certificate(
                serial=issued.serial,
                principal_id=principal_id,
                thumbprint=issued.thumbprint,
                pem=issued.pem,
                not_before=issued.not_before,
                not_after=issued.not_after,
                revoked_at=None,
            ),
        )
        machines.prune_certificates(connection, principal_id, now)
        return issued
