"""A machine proves itself: client assertions (RFC 7523) signed with its certificate's key.

Checked, in this order:

1. the header says ES256 and names a certificate by ``x5t#S256``;
2. that certificate was issued to a machine, is not revoked and is within its time; its record may
   be lost since a backup (``ca.lost_certificates``): then the chain in ``x5c`` shows that it was;
3. the signature is of its key;
4. ``iss`` and ``sub`` are the application of the machine's identity, and that identity
   exists and is enabled;
5. ``aud`` is one of the token endpoints of its tenant;
6. it ends within ten minutes and has not ended;
7. its ``jti`` was not seen before.

What was used is kept in the store until it has ended: neither another node nor a restart
takes an assertion a second time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeGuard

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from landbridge_server.ca import lost_certificates
from landbridge_server.config import Endpoints
from landbridge_server.identity import tenancy
from landbridge_server.identity.errors import OAuthError, Stamp, refuse
from landbridge_server.identity.keys import TOKEN_LIMIT, unverified_parts
from landbridge_server.store import machines, principals, sign_in_limits
from landbridge_server.store.database import Connection
from landbridge_server.store.machines import Certificate
from landbridge_server.store.principals import MANAGED_IDENTITY, Principal

ALGORITHM = "ES256"
LONGEST = 600
SKEW = 60
JTI_LIMIT = 256
PER_OWNER = 256
"""Assertions of one machine that may be valid and used at a time."""


class Verified(NamedTuple):
    """An assertion of which everything holds, but which may have been used before; whose it is."""

    principal: Principal
    jti: str
    ends: float
    found_again: Certificate | None = None
    """The certificate, if its record was lost and is to be written anew."""


class _Registry(jws.JWSRegistry):
    max_header_length = TOKEN_LIMIT  # a chain of certificates is longer than what it takes otherwise


_REGISTRY = _Registry(algorithms=[ALGORITHM])


def refused(reason: str) -> OAuthError:
    """Return the refusal of an assertion."""
    return refuse(700027, reason=reason)


def algorithm(unverified_assertion: str) -> object:
    """Return by which algorithm an assertion says that it is signed; nothing if it is none.

    It only decides who looks at the assertion: each verifier has its own list of algorithms.
    """
    try:
        return unverified_parts(unverified_assertion)[0].get("alg")
    except ValueError:
        return None


def verify(connection: Connection, unverified_assertion: str, endpoints: Endpoints, now: float) -> Verified:
    """Return what an assertion says, after the steps (1) to (6).

    Raises:
        OAuthError: 700027, with the step that failed.
    """
    try:
        unverified_header, unverified_claims = unverified_parts(unverified_assertion)
    except ValueError as error:
        raise refused(f"It is not a signed JWT: {error}.") from error
    certificate, lost = _certificate(connection, unverified_header, now)  # (1) (2)
    _check_signature(unverified_assertion, certificate)  # (3)
    claims: Mapping[str, Any] = unverified_claims
    principal = _principal(connection, claims, certificate)  # (4)
    if not audiences(claims) & set(tenancy.token_endpoints(endpoints, principal.tenant_id)):  # (5)
        expected = tenancy.token_endpoints(endpoints, principal.tenant_id)[0]
        raise refused(f"Its audience must be the token endpoint '{expected}'.")
    ends = check_time(claims, now)  # (6)
    return Verified(principal, jti_of(claims), ends, certificate if lost else None)


def jti_of(claims: Mapping[str, Any]) -> str:
    """Return the id of an assertion.

    Raises:
        OAuthError: 700027, it has none.
    """
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 0 < len(jti) <= JTI_LIMIT:
        raise refused("It needs a 'jti' that is used once.")
    return jti


def use(connection: Connection, verified: Verified, now: float) -> bool:
    """Note that an assertion is used; say no when it was before (7), or when its owner sends too many."""
    owner, jti, ends = verified.principal.object_id, verified.jti, verified.ends
    if verified.found_again is not None and not lost_certificates.write(connection, verified.found_again):
        return False
    return sign_in_limits.use_assertion(connection, owner, jti, ends, now, PER_OWNER)


def _certificate(
    connection: Connection, unverified_header: Mapping[str, Any], now: float
) -> tuple[Certificate, bool]:
    """Return the certificate that a header names, and whether its record was lost."""
    if unverified_header.get("alg") != ALGORITHM:
        raise refused(f"A machine signs with {ALGORITHM}, a service principal with RS256 or PS256.")
    thumbprint = unverified_header.get("x5t#S256")
    found, lost = None, False
    if isinstance(thumbprint, str) and thumbprint.isascii() and thumbprint.isprintable():
        wanted = thumbprint.rstrip("=")
        found = machines.certificate_by_thumbprint(connection, wanted)
        if found is None:
            found = lost_certificates.found(connection, unverified_header.get("x5c"), wanted, now)
            lost = found is not None
    if found is None or found.revoked_at is not None:
        raise refused("Its certificate ('x5t#S256') is not known, or was revoked.")
    # One of our own from the future was issued while our clock was ahead: its machine gets another by it.
    if now >= found.not_after or (lost and now < found.not_before - SKEW):
        raise refused("Its certificate has ended or not begun: look at the clocks, or connect again.")
    return found, lost


def _check_signature(unverified_assertion: str, certificate: Certificate) -> None:
    key = x509.load_pem_x509_certificate(certificate.pem.encode()).public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise refused("Its certificate does not carry an EC key.")
    try:
        jws.deserialize_compact(unverified_assertion, ECKey(key, key), [ALGORITHM], _REGISTRY)
    except (JoseError, ValueError, TypeError) as error:  # TypeError: header members of odd types
        raise refused("Its signature does not match its certificate.") from error


def _principal(connection: Connection, claims: Mapping[str, Any], certificate: Certificate) -> Principal:
    principal = principals.get(connection, certificate.principal_id)
    if principal is None or principal.kind != MANAGED_IDENTITY or not principal.app_id:
        raise refused("The identity of its machine no longer exists: connect the machine again.")
    if claims.get("iss") != principal.app_id or claims.get("sub") != principal.app_id:
        raise refused("Its 'iss' and 'sub' must be the application id of the certificate's machine.")
    if not principal.enabled:
        raise refuse(7000112, app=principal.app_id)
    return principal


def audiences(claims: Mapping[str, Any]) -> set[str]:
    """Return whom an assertion is for: one, or a list."""
    found = claims.get("aud")
    listed = found if isinstance(found, list) else [found]
    return {one for one in listed if isinstance(one, str)}


def check_time(claims: Mapping[str, Any], now: float) -> float:
    """Return when an assertion ends. Numbers may be fractional: msal's are.

    Raises:
        OAuthError: 700024, it has ended, has not begun or lives too long; 700027, it does not say.
    """
    ends, begins = claims.get("exp"), claims.get("nbf", now)
    if not _is_number(ends) or not _is_number(begins):
        raise refused("Its 'exp' must be a number of seconds.")
    if now >= ends:
        raise _out_of_time("It has ended: look at the clock of the machine.", now, ends)
    if ends > now + LONGEST + SKEW:
        raise _out_of_time("It must end within ten minutes: look at the clock of the machine.", now, ends)
    if now < begins - SKEW:
        raise _out_of_time("It has not begun: look at the clock of the machine.", now, ends)
    return float(ends)


def _out_of_time(reason: str, now: float, ends: float) -> OAuthError:
    now_text, ends_text = Stamp(now).text, Stamp(min(max(ends, 0.0), 4e10)).text
    return refuse(700024, reason=reason, now=now_text, ends=ends_text)


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e12
