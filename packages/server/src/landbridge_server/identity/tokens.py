"""Access tokens and id_tokens: how they are made, and how a bearer token is verified.

Verification, in this order; whoever remembers the claims must look at the time again, for
each request:

1. the signature is of one of our keys (remembered by ``keys``);
2. the claims have the types that an access token has, and it is not an id_token;
3. the issuer is the one of the tenant that the token names;
4. the audience is one that was asked for;
5. it has begun, and it has not ended.

Whether the principal still exists is looked up afterwards, in ``authentication``.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from landbridge_server.config import Endpoints
from landbridge_server.identity import tenancy
from landbridge_server.identity.keys import BadSignature, Clock, SigningKeys
from landbridge_server.store.principals import MANAGED_IDENTITY, USER, Principal
from landbridge_wire.errors import ArmError

LIFETIME = 3599
"""Seconds that an access token lives, as Azure's first hour."""

AGENT_LIFETIME = 8 * 3600
"""Seconds that a machine's token for the agent API lives."""

MANAGED_LIFETIME = 24 * 3600 - 1
"""Seconds that any other token of a machine's identity lives, as Azure's: a machine may be cut off for a
while. It ends with its principal all the same, as every token here."""

CLOCK_STEP = 60
"""Seconds that our own clock may have been set back since a token was made."""

AUTHORITY_NAMES = ("iss", "aud", "oid", "tid", "appid")


@dataclass(frozen=True)
class Claims:
    """The claims of a verified access token. Only ``TokenVerifier`` makes one."""

    issuer: str
    audience: str
    object_id: str
    tenant_id: str
    app_id: str
    not_before: int
    expires_at: int


class Proof(NamedTuple):
    """How somebody proved who they are, as clients of Azure read it in a token.

    ``appidacr`` is how a program did: ``1`` with a secret, ``2`` with a certificate (a person's
    program does not: ``0``). ``amr`` is how a person did: ``pwd``, ``mfa``.
    """

    appidacr: str = "1"
    amr: tuple[str, ...] = ()


SECRET_PROOF = Proof()
CERTIFICATE_PROOF = Proof("2")


class TokenIssuer:
    """Makes tokens for principals; that they proved themselves is the caller's business."""

    def __init__(self, keys: SigningKeys, endpoints: Endpoints, clock: Clock) -> None:
        """Sign with ``keys`` in the name of ``endpoints.login``."""
        self._keys = keys
        self._endpoints = endpoints
        self._clock = clock

    def access_token(
        self,
        principal: Principal,
        tenant_id: str,
        audience: str,
        app_id: str,
        lifetime: int = LIFETIME,
        proof: Proof = SECRET_PROOF,
        resource_id: str = "",
    ) -> str:
        """Return an access token; ``audience`` becomes its ``aud`` unchanged.

        ``resource_id`` is the resource of a managed identity as people write it.
        """
        now = int(self._clock())
        user = principal.kind == USER
        claims: dict[str, Any] = {
            "aud": audience,
            "iss": tenancy.issuer(self._endpoints, tenant_id),
            "iat": now,
            "nbf": max(now, int(principal.tokens_from or 0)),  # at most a second ahead
            "exp": now + lifetime,
            "appid": app_id,
            "azp": app_id,
            "appidacr": "0" if user else proof.appidacr,
            "idtyp": "user" if user else "app",
            "oid": principal.object_id,
            "sub": principal.object_id,
            "tid": tenant_id,
            "uti": secrets.token_urlsafe(16),
            "ver": "1.0",
        }
        if user:
            claims |= _user_names(principal) | {"scp": "user_impersonation", "acr": "1"}
            claims |= {"amr": list(proof.amr)} if proof.amr else {}
        if principal.kind == MANAGED_IDENTITY and principal.resource_key:
            # Azure writes the collection of groups in lower case here, and only here.
            written = resource_id or principal.resource_key
            claims["xms_mirid"] = written.replace("/resourceGroups/", "/resourcegroups/")
        return self._keys.sign(claims)

    def id_token(
        self,
        principal: Principal,
        tenant_id: str,
        client_id: str,
        *,
        adfs: bool,
        nonce: str = "",
        amr: tuple[str, ...] = (),
    ) -> str:
        """Return an id_token for a program that a user signed in with; ``nonce`` is copied."""
        now = int(self._clock())
        issuer = self._endpoints.adfs if adfs else tenancy.issuer(self._endpoints, tenant_id)
        claims: dict[str, Any] = {
            "aud": client_id,
            "iss": issuer,
            "iat": now,
            "nbf": now,
            "exp": now + LIFETIME,
            "oid": principal.object_id,
            "sub": principal.object_id,
            "tid": tenant_id,
            "ver": "1.0" if adfs else "2.0",
            "preferred_username": principal.user_name,
            **_user_names(principal),
        }
        if nonce:
            claims["nonce"] = nonce
        if amr:
            claims["amr"] = list(amr)
        return self._keys.sign(claims)


def _user_names(principal: Principal) -> dict[str, Any]:
    return {
        "name": principal.display_name,
        "upn": principal.user_name,
        "unique_name": principal.user_name,
    }


class TokenVerifier:
    """Verifies bearer tokens; answers in ARM's words (contract: ARM errors, 401)."""

    def __init__(self, keys: SigningKeys, endpoints: Endpoints, clock: Clock, authorization_uri: str) -> None:
        """Challenge with ``authorization_uri``, the address at which a client signs in."""
        self._keys = keys
        self._endpoints = endpoints
        self._clock = clock
        self._authorization_uri = authorization_uri

    def verify(self, unverified_token: str, audiences: Collection[str]) -> Claims:
        """Return the claims of a token that is good for one of ``audiences`` now.

        Does not look whether its principal still exists.

        Raises:
            ArmError: 401 with a challenge: InvalidAuthenticationToken,
                InvalidAuthenticationTokenTenant, InvalidAuthenticationTokenAudience or
                ExpiredAuthenticationToken.
        """
        try:
            signed = self._keys.verify(unverified_token)
        except BadSignature as error:
            raise self.invalid(str(error)) from error
        claims = self._typed(signed)
        self._check_issuer(claims)
        self._check_audience(claims, audiences)
        self.check_time(claims)
        return claims

    def _typed(self, signed: Mapping[str, Any]) -> Claims:
        texts = [signed.get(name) for name in AUTHORITY_NAMES]
        times = [signed.get("nbf"), signed.get("exp")]
        # An id_token is signed with the same keys, but has no appid.
        if not all(isinstance(text, str) for text in texts) or not all(type(at) is int for at in times):
            raise self.invalid("it lacks a claim of an access token")
        issuer, audience, object_id, tenant_id, app_id = (str(text) for text in texts)
        not_before, expires_at = (int(str(at)) for at in times)
        return Claims(issuer, audience, object_id, tenant_id, app_id, not_before, expires_at)

    def _check_issuer(self, claims: Claims) -> None:
        expected = tenancy.issuer(self._endpoints, claims.tenant_id)
        if claims.issuer != expected:
            raise self._refusal(
                "InvalidAuthenticationTokenTenant",
                f"The access token is from the wrong issuer '{claims.issuer}'. It must match the tenant "
                f"'{expected}' associated with this subscription. Please use the authority (URL) "
                f"'{self._authorization_uri}' to get the token.",
                "The access token is from the wrong issuer.",
            )

    def _check_audience(self, claims: Claims, audiences: Collection[str]) -> None:
        if claims.audience not in audiences:
            allowed = ",".join(f"'{name}'" for name in sorted(audiences))
            raise self._refusal(
                "InvalidAuthenticationTokenAudience",
                f"The access token has been obtained for wrong audience or resource '{claims.audience}'. "
                f"It should exactly match with one of the allowed audiences {allowed}.",
                "The access token has been obtained from wrong audience or resource.",
            )

    def check_time(self, claims: Claims) -> None:
        """Return if a token is good now.

        Raises:
            ArmError: 401: ExpiredAuthenticationToken, or InvalidAuthenticationToken.
        """
        now = self._clock()
        if now >= claims.expires_at:
            raise self._refusal(
                "ExpiredAuthenticationToken",
                f"The access token expiry UTC time '{_us_time(claims.expires_at)}' is earlier than "
                f"current UTC time '{_us_time(now)}'.",
                "The access token has expired.",
            )
        if now < claims.not_before - CLOCK_STEP:
            raise self.invalid("it has not begun yet")

    def missing(self) -> ArmError:
        """Return the refusal of a request that brings no token at all."""
        return self._refusal(
            "AuthenticationFailed",
            "Authentication failed. The 'Authorization' header is missing.",
            "The authentication failed because of missing 'Authorization' header.",
        )

    def wrong_scheme(self) -> ArmError:
        """Return the refusal of an Authorization header that is not ``Bearer TOKEN``."""
        return self._refusal(
            "AuthenticationFailedInvalidHeader",
            "Authentication failed. The 'Authorization' header is provided in an invalid format.",
            "The authentication failed because of invalid 'Authorization' header.",
        )

    def invalid(self, internal: str) -> ArmError:
        """Return the refusal that says no more than that the token is not valid."""
        return self._refusal(
            "InvalidAuthenticationToken",
            "The access token is invalid.",
            "The access token is missing or invalid.",
            internal,
        )

    def _refusal(self, code: str, message: str, description: str, internal: str = "") -> ArmError:
        challenge = (
            f'Bearer authorization_uri="{self._authorization_uri}", '
            f'error="invalid_token", error_description="{description}"'
        )
        return ArmError(code, message, internal=internal, challenge=challenge)


def _us_time(seconds: float) -> str:
    """Write a time as ARM does in this one message: ``6/20/2023 3:04:05 PM``; never one before 1970."""
    when = datetime.fromtimestamp(max(seconds, 0), UTC)
    hour = when.hour % 12 or 12
    half = "AM" if when.hour < 12 else "PM"
    return f"{when.month}/{when.day}/{when.year} {hour}:{when.minute:02}:{when.second:02} {half}"
