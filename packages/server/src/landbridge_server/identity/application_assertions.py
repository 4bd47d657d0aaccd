"""A service principal proves itself: client assertions (RFC 7523) signed with a registered certificate.

Checked, in this order; msal's own assertions are such (contract: az, "SP certificate"):

1. the header says RS256 or PS256, and nothing else;
2. ``iss`` and ``sub`` are the same application, a service principal of this cloud;
3. the certificate that the header names by ``x5t``, ``x5t#S256`` or as first of ``x5c`` is
   registered with that application; where it names several times, all name the same one;
4. that certificate is within its time;
5. the signature is of its RSA key, by the algorithm of (1);
6. ``aud`` is one of the token endpoints of its tenant;
7. it ends within ten minutes, has begun, and has not ended; it has a ``jti``.

The chain in ``x5c`` is not followed: what counts is that the leaf was registered. Whether the
assertion was used before is noted by ``assertions.use``.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from landbridge_server.config import Endpoints
from landbridge_server.identity import key_credentials, tenancy
from landbridge_server.identity.assertions import Verified, audiences, check_time, jti_of
from landbridge_server.identity.errors import OAuthError, refuse
from landbridge_server.identity.keys import canonical_segment, unverified_parts
from landbridge_server.store import principals
from landbridge_server.store.database import Connection
from landbridge_server.store.principals import SERVICE_PRINCIPAL, Credential, Principal

ALGORITHMS = ("RS256", "PS256")
SKEW = 60
CHAIN = 16


def refused(reason: str) -> OAuthError:
    """Return the refusal of an assertion."""
    return refuse(700027, reason=reason)


def verify(
    connection: Connection, unverified_assertion: str, endpoints: Endpoints, now: float, tenant: str
) -> Verified:
    """Return what an assertion says; ``tenant`` is only for the text of a refusal.

    Raises:
        OAuthError: 700016, 700024, 700027, 7000112: the first step that failed.
    """
    try:
        unverified_header, claims = unverified_parts(unverified_assertion)
    except ValueError as error:
        raise refused(f"It is not a signed JWT: {error}.") from error
    algorithm = unverified_header.get("alg")
    if algorithm not in ALGORITHMS:  # (1)
        raise refused(f"It must be signed with {' or '.join(ALGORITHMS)}.")
    app = _application(connection, claims, tenant)  # (2)
    credential = _credential(connection, unverified_header, app, now)  # (3) (4)
    _check_signature(unverified_assertion, algorithm, credential)  # (5)
    expected = tenancy.token_endpoints(endpoints, app.tenant_id)
    if not audiences(claims) & _all_endpoints(connection, endpoints, app):  # (6)
        raise refused(f"Its audience must be the token endpoint '{expected[0]}'.")
    ends = check_time(claims, now)  # (7)
    if not app.enabled:
        raise refuse(7000112, app=app.label)
    return Verified(app, jti_of(claims), ends)


def _all_endpoints(connection: Connection, endpoints: Endpoints, app: Principal) -> set[str]:
    """Return the token endpoints of the application's tenant by all its names."""
    return {
        endpoint
        for name in (app.tenant_id, *tenancy.names_of(connection, app.tenant_id))
        for endpoint in tenancy.token_endpoints(endpoints, name)
    }


def _application(connection: Connection, claims: Mapping[str, Any], tenant: str) -> Principal:
    issuer = claims.get("iss")
    if not isinstance(issuer, str) or claims.get("sub") != issuer:
        raise refused("Its 'iss' and 'sub' must both be the application id.")
    app = principals.by_app_id(connection, issuer) if issuer.isprintable() and issuer.isascii() else None
    if app is None or app.kind != SERVICE_PRINCIPAL:
        raise refuse(700016, app=issuer[:100], tenant=tenant)
    return app


def _credential(
    connection: Connection, unverified_header: Mapping[str, Any], app: Principal, now: float
) -> Credential:
    named = {
        name: _text(unverified_header, name) for name in ("x5t", "x5t#S256") if name in unverified_header
    }
    leaf = _leaf(unverified_header["x5c"]) if "x5c" in unverified_header else b""
    if not named and not leaf:
        raise refused("Its header names no certificate: it needs 'x5t', 'x5t#S256' or 'x5c'.")
    for credential in key_credentials.certificates_of(connection, app):
        certificate = key_credentials.certificate_of(credential)
        known = key_credentials.thumbprints(certificate)
        same = all(hmac.compare_digest(known[name], text) for name, text in named.items())
        if same and (not leaf or hmac.compare_digest(leaf, key_credentials.der(certificate))):
            _check_certificate(credential, now)
            return credential
    thumbprint = named.get("x5t") or named.get("x5t#S256") or "as first of 'x5c'"
    raise refused(
        f"The certificate with which it was signed is not registered on application '{app.label}'. "
        f"[Reason - The key was not found., Thumbprint of key used by client: '{thumbprint[:64]}'] "
        "An operator can add it with 'landbridge sp add-certificate'."
    )


def _text(unverified_header: Mapping[str, Any], name: str) -> str:
    found = unverified_header[name]
    if not isinstance(found, str) or not found.isascii() or not found.isprintable():
        raise refused(f"Its header '{name}' is not base64url.")
    return found.rstrip("=")


def _leaf(chain: object) -> bytes:
    """Return the first certificate of ``x5c``; msal leaves line ends inside the base64."""
    if not isinstance(chain, list) or not 0 < len(chain) <= CHAIN or not isinstance(chain[0], str):
        raise refused("Its header 'x5c' is not a list of certificates.")
    try:
        return base64.b64decode("".join(chain[0].split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise refused("Its header 'x5c' is not base64.") from error


def _check_certificate(credential: Credential, now: float) -> None:
    ends = credential.expires_at
    if now < credential.not_before - SKEW or (ends is not None and now >= ends):
        raise refused(
            "[Reason - The key used is expired.] The certificate has ended or not begun. "
            "An operator can add a new one with 'landbridge sp add-certificate'."
        )


def _check_signature(unverified_assertion: str, algorithm: str, credential: Credential) -> None:
    """Check RS256 or PS256 (RFC 7518 sections 3.3, 3.5), whatever else stands in the header."""
    key = key_credentials.certificate_of(credential).public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise refused("Its certificate does not carry an RSA key.")
    signed, _, signature = unverified_assertion.rpartition(".")
    scheme: padding.AsymmetricPadding = padding.PKCS1v15()
    if algorithm == "PS256":
        scheme = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
    try:
        key.verify(canonical_segment(signature), signed.encode("ascii"), scheme, hashes.SHA256())
    except (InvalidSignature, ValueError) as error:
        raise refused("Its signature does not match its certificate.") from error
