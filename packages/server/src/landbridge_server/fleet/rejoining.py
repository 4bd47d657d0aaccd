"""Machines that come back, or come for the first time, with a key instead of a caller's token.

A proof (``agent_api.RejoinRequest``) is checked in this order, and nothing is told before (3):

1. the id names a machine, and the header names one of its keys: a certificate of its identity,
   or the ``clientPublicKey`` of a machine that has never enrolled;
2. the signature is of that key, by the one algorithm that fits it;
3. the claims are for this cloud, this machine and this very signing request, within their time;
4. a certificate has not ended longer ago than the operator's grace, and its identity is enabled;
5. the proof was not used before.

An expired certificate is a proof only here: tokens are never given for one. ``reconnect`` is the
other way back: a caller who may delete the machine, and so could make it anew, gives it a new key;
all older certificates end with that, and all tokens that were given for them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from landbridge_server.arm import etags
from landbridge_server.arm.documents import decode
from landbridge_server.ca.authority import public_key_text
from landbridge_server.fleet.enrollment import Enrolled, Enrollments, key_of, machine_id, missing
from landbridge_server.identity import assertions
from landbridge_server.identity.addresses import AddressBackoff
from landbridge_server.identity.caller import Caller
from landbridge_server.identity.errors import OAuthError
from landbridge_server.identity.keys import unverified_parts
from landbridge_server.store import machines, notices, principals, resources, sign_in_limits
from landbridge_server.store.database import Connection
from landbridge_server.store.machines import Certificate, Machine
from landbridge_wire import agent_api, arm_id
from landbridge_wire.errors import ArmError

DELETE = "Microsoft.HybridCompute/machines/delete"
DAY = 86400.0
LEAST_BITS = 2048

Key = ec.EllipticCurvePublicKey | rsa.RSAPublicKey


class _Prover(NamedTuple):
    """The key that must have signed, and the certificate that it is of, if any."""

    key: Key
    certificate: Certificate | None


def refused(reason: str) -> ArmError:
    """Return the refusal of a proof."""
    return ArmError("AuthenticationFailed", f"The proof of this machine's key was not accepted: {reason}")


UNKNOWN = "no machine of that id has this key."
"""Said alike where there is no such machine: strangers learn nothing."""


class Rejoining:
    """Answers proofs and reconnects. ``grace`` is in seconds after the end of a certificate."""

    def __init__(
        self,
        enrollments: Enrollments,
        addresses: AddressBackoff,
        grace: float,
        rekeyed: Callable[[str, str], None],
    ) -> None:
        """Take the parts; ``rekeyed`` hears of the key and principal of a machine with a new key."""
        self.enrollments = enrollments
        self.addresses = addresses
        self.grace = grace
        self.rekeyed = rekeyed
        self.db, self.clock = enrollments.db, enrollments.clock

    async def rejoin(self, request: agent_api.RejoinRequest, address: str) -> agent_api.Enrollment:
        """Give a certificate to whoever proves the machine's own key; ``address`` is the peer's.

        Raises:
            ArmError: the proof does not hold, or the signing request is none.
        """
        try:
            async with self.addresses.turn(address):
                return await self._rejoin(request)
        except OAuthError as error:
            raise ArmError("TooManyRequests", error.description) from error
        except ArmError as error:
            if error.code == "AuthenticationFailed":
                self.addresses.failed(address)
            raise

    async def _rejoin(self, request: agent_api.RejoinRequest) -> agent_api.Enrollment:
        machine = machine_id(request.resourceId)
        key = key_of(request.certificateSigningRequest)

        def work(connection: Connection) -> Enrolled:
            row = machines.get(connection, machine.key)
            prover = self._prover(connection, machine, row, request.proof)
            claims = _signed(request.proof, prover.key)
            self._check_claims(claims, machine, request)
            self._check_may(connection, row, prover)
            ends, jti = _time_of(claims, self.clock()), _jti_of(claims)
            owner = row.principal_id if row else ""
            if not sign_in_limits.use_assertion(
                connection, owner, jti, ends, self.clock(), assertions.PER_OWNER
            ):
                raise refused("it was used before; make a new one.")
            return self.enrollments.admit(connection, machine, key)

        return self.enrollments.told(await self.db.write(work))

    async def reconnect(self, caller: Caller, request: agent_api.EnrollmentRequest) -> agent_api.Enrollment:
        """Replace the key of a machine, for a caller who may delete it; its older certificates end.

        Raises:
            ArmError: the caller may not, there is no such machine, or the request is none.
        """
        machine = machine_id(request.resourceId)
        self.enrollments.access.require(caller, DELETE, machine.text)
        key = key_of(request.certificateSigningRequest)

        def work(connection: Connection) -> tuple[Enrolled, str]:
            row, stored = machines.get(connection, machine.key), resources.get(connection, machine.key)
            if row is None or stored is None:
                raise missing(machine)
            document = decode(stored)
            document["properties"]["clientPublicKey"] = public_key_text(key)
            text = msgspec.json.encode(document).decode()
            changed = stored._replace(document=text, etag=etags.new(), changed_at=self.clock())
            resources.put(connection, changed, document.get("tags") or {}, is_new=False)
            machines.remove_certificates(connection, row.principal_id)
            # A token of the old key would renew itself a certificate, and so bring that key back.
            principals.end_tokens(connection, row.principal_id, self.clock())
            notices.post(connection, "rekeyed", principal=row.principal_id)
            machines.set_fingerprint(connection, machine.key, None)
            return self.enrollments.admit(connection, machine, key), row.principal_id

        enrolled, principal_id = await self.db.write(work)
        self.rekeyed(machine.key, principal_id)
        return self.enrollments.told(enrolled)

    def _prover(
        self, connection: Connection, machine: arm_id.ArmId, row: Machine | None, unverified_proof: str
    ) -> _Prover:
        """Step (1)."""
        try:
            unverified_header, _ = unverified_parts(unverified_proof)
        except ValueError as error:
            raise refused("it is not a signed JWT.") from error
        if row is None:
            raise refused(UNKNOWN)
        thumbprint = unverified_header.get("x5t#S256")
        if thumbprint is not None:
            return _of_certificate(connection, row, thumbprint)
        stored = resources.get(connection, machine.key)
        if stored is None or row.enrolled_at is not None:
            raise refused(UNKNOWN)
        return _Prover(_public_key(decode(stored)["properties"].get("clientPublicKey", "")), None)

    def _check_claims(
        self, claims: Mapping[str, Any], machine: arm_id.ArmId, request: agent_api.RejoinRequest
    ) -> None:
        """Step (3), but for the time."""
        if str(claims.get("iss", "")).lower() != machine.key:
            raise refused("its 'iss' must be the machine's resource id.")
        manager = self.enrollments.endpoints.resource_manager.rstrip("/")
        if manager not in {one.rstrip("/") for one in assertions.audiences(claims)}:
            raise refused(f"its 'aud' must be '{manager}'.")
        digest = hashlib.sha256(request.certificateSigningRequest.encode()).digest()
        expected = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if not hmac.compare_digest(str(claims.get("csr", "")).encode(), expected.encode()):
            raise refused("its 'csr' must be the hash of the signing request that it comes with.")

    def _check_may(self, connection: Connection, row: Machine | None, prover: _Prover) -> None:
        """Step (4)."""
        principal = principals.get(connection, row.principal_id) if row else None
        if principal is None:
            raise refused(UNKNOWN)
        if not principal.enabled:
            raise refused("the identity of the machine is disabled; ask who runs the cloud.")
        if prover.certificate is None:
            return
        ended = self.clock() - prover.certificate.not_after
        if ended > self.grace:
            raise refused(
                f"its certificate ended {int(ended / DAY)} days ago, and this cloud takes it for "
                f"{int(self.grace / DAY)}. Run 'azcmagent reconnect' and sign in."
            )


def _of_certificate(connection: Connection, row: Machine, unverified_thumbprint: object) -> _Prover:
    text = unverified_thumbprint if isinstance(unverified_thumbprint, str) else ""
    usable = text.isascii() and text.isprintable()
    found = machines.certificate_by_thumbprint(connection, text.rstrip("=")) if usable else None
    if found is None or found.revoked_at is not None or found.principal_id != row.principal_id:
        raise refused(UNKNOWN)
    key = x509.load_pem_x509_certificate(found.pem.encode()).public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise refused(UNKNOWN)
    return _Prover(key, found)


def _public_key(text: str) -> Key:
    """Read ``clientPublicKey``: base64 of a DER SubjectPublicKeyInfo, or of a PKCS#1 RSAPublicKey."""
    try:
        key = serialization.load_der_public_key(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError, TypeError):
        raise refused(UNKNOWN) from None
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= LEAST_BITS:
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    raise refused(UNKNOWN)


def _signed(unverified_proof: str, key: Key) -> Mapping[str, Any]:
    """Step (2): return the claims of a proof that is signed by ``key``."""
    known: ECKey | RSAKey
    if isinstance(key, rsa.RSAPublicKey):
        known, algorithm = RSAKey(key, key), "RS256"
    else:
        known, algorithm = ECKey(key, key), "ES256"
    try:
        jws.deserialize_compact(unverified_proof, known, algorithms=[algorithm])
        return unverified_parts(unverified_proof)[1]
    except (JoseError, ValueError, TypeError) as error:
        raise refused(UNKNOWN) from error


def _time_of(claims: Mapping[str, Any], now: float) -> float:
    try:
        return assertions.check_time(claims, now)
    except OAuthError as error:
        raise refused(error.description) from error


def _jti_of(claims: Mapping[str, Any]) -> str:
    try:
        return assertions.jti_of(claims)
    except OAuthError as error:
        raise refused("it needs a 'jti' that is used once.") from error
