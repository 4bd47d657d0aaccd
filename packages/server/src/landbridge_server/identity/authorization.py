"""Authorization requests and codes: RFC 6749 section 4.1 with PKCE (RFC 7636), for public clients.

A code is random, kept as its hash, lives for minutes, and is redeemed once by the program that
asked, at the address that it named, with the verifier of its challenge. A code that comes a
second time ends what the first time gave.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from landbridge_server.identity import redirects, refresh_tokens, scopes
from landbridge_server.identity.clients import public_client
from landbridge_server.identity.errors import OAuthError, refuse
from landbridge_server.identity.forms import need
from landbridge_server.identity.scopes import Scope
from landbridge_server.identity.tenancy import Authority
from landbridge_server.store import authorization_codes, sign_in
from landbridge_server.store.authorization_codes import AuthorizationCode
from landbridge_server.store.database import Connection
from landbridge_server.store.principals import Principal

LIFETIME = 300.0
KEPT = 86400.0
"""Seconds that an ended code is remembered, so that one that comes twice is noticed."""

QUERY, FORM_POST = "query", "form_post"
TEXT_LIMIT = 4096
CARRIED = (
    *("client_id", "redirect_uri", "response_type", "response_mode", "scope", "resource", "state"),
    *("code_challenge", "code_challenge_method", "nonce", "login_hint", "prompt"),
)
"""The parameters that the page's form brings back; each time all are looked at anew."""

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


@dataclass(frozen=True)
class Destination:
    """Where answers go, refusals included: a program, at an address that it may be answered at."""

    client_id: str
    redirect_uri: str
    state: str
    mode: str

    def location(self, answer: Mapping[str, str]) -> str:
        """Return the address with the answer in its query."""
        return f"{self.redirect_uri}?{urlencode(self.answer(answer))}"

    def answer(self, answer: Mapping[str, str]) -> dict[str, str]:
        """Return an answer with the request's own ``state``."""
        return {**answer, **({"state": self.state} if self.state else {})}


@dataclass(frozen=True)
class AuthorizationRequest:
    """A request whose every part was looked at."""

    destination: Destination
    scope: Scope
    challenge: str
    nonce: str


def destination(authority: Authority, params: Mapping[str, str]) -> Destination:
    """Return where answers to a request go.

    Raises:
        OAuthError: 700016 or 50011: there is nowhere to answer, so tell the person.
    """
    client_id = public_client(need(params, "client_id"), authority.name)
    redirect_uri = need(params, "redirect_uri")
    if not redirects.allowed(client_id, redirect_uri):
        raise refuse(50011, uri=redirect_uri[:200], app=client_id)
    state = params.get("state", "")
    # What a mode is, is looked at later: a refusal of it goes by query.
    mode = FORM_POST if params.get("response_mode") == FORM_POST else QUERY
    return Destination(client_id, redirect_uri, state[:TEXT_LIMIT], mode)


def parsed(to: Destination, params: Mapping[str, str]) -> AuthorizationRequest:
    """Return the rest of a request.

    Raises:
        OAuthError: something else is asked than a code, without PKCE (S256), or a wrong scope.
    """
    if params.get("response_type") != "code":
        raise refuse(700054, type=params.get("response_type", "")[:100])
    if params.get("response_mode", QUERY) not in (QUERY, FORM_POST):
        raise refuse(9002313, reason="The parameter 'response_mode' must be query or form_post.")
    if "request" in params or "request_uri" in params:
        raise refuse(9002313, reason="Request objects are not supported.")
    for name in ("state", "nonce", "login_hint", "prompt"):
        if len(params.get(name, "")) > TEXT_LIMIT:
            raise refuse(9002313, reason=f"The parameter '{name}' is longer than {TEXT_LIMIT} characters.")
    challenge = params.get("code_challenge", "")
    if params.get("code_challenge_method") != "S256" or not _CHALLENGE.fullmatch(challenge):
        raise refuse(9002325)
    scope = (
        scopes.parse_resource(params["resource"])
        if "resource" in params
        else scopes.parse(need(params, "scope"))
    )
    return AuthorizationRequest(to, scope, challenge, params.get("nonce", ""))


def _hash(code: str) -> str:
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).hexdigest()


def issue(connection: Connection, request: AuthorizationRequest, user: Principal, now: float) -> str:
    """Return a code for a program; that the user has proved to be there is the caller's business."""
    authorization_codes.prune(connection, now - KEPT)
    code = secrets.token_urlsafe(48)
    row = AuthorizationCode(
        code_hash=_hash(code),
        object_id=user.object_id,
        client_id=request.destination.client_id,
        redirect_uri=request.destination.redirect_uri,
        scope=request.scope.text,
        challenge=request.challenge,
        nonce=request.nonce,
        expires_at=now + LIFETIME,
        redeemed_at=None,
        family_id=None,
    )
    authorization_codes.add(connection, row)
    return code


def look(connection: Connection, form: Mapping[str, str], client_id: str, now: float) -> AuthorizationCode:
    """Return the code that a token request brings, without redeeming it.

    Raises:
        OAuthError: it is unknown, another program's, for another address or verifier, or over.
    """
    row = authorization_codes.get(connection, _hash(need(form, "code")))
    if row is None or row.client_id != client_id:
        raise refuse(70000, internal="unknown authorization code, or another program's")
    if form.get("redirect_uri") != row.redirect_uri:
        raise refuse(50011, uri=form.get("redirect_uri", "")[:200], app=client_id)
    if not _proves(need(form, "code_verifier"), row.challenge):
        raise refuse(501481)
    if row.redeemed_at is None and now >= row.expires_at:
        raise refuse(70008)
    return row


def _proves(unverified_verifier: str, challenge: str) -> bool:
    if not _VERIFIER.fullmatch(unverified_verifier):
        return False
    digest = hashlib.sha256(unverified_verifier.encode()).digest()
    return hmac.compare_digest(base64.urlsafe_b64encode(digest).rstrip(b"=").decode(), challenge)


def redeem(connection: Connection, row: AuthorizationCode, now: float) -> str | OAuthError:
    """Turn a code that ``look`` returned into a refresh token, or return why it is refused.

    Returned, not raised: a code that comes twice ends a family, and that must stay so.
    """
    family_id = str(uuid.uuid4())
    if not authorization_codes.redeem(connection, row.code_hash, family_id, now):
        first = authorization_codes.get(connection, row.code_hash)
        if first is not None and first.family_id:
            sign_in.revoke_family(connection, first.family_id, now)
        return refuse(54005, what="OAuth2 Authorization code", internal="a code came twice: its tokens end")
    if not scopes.parse(row.scope).offline:
        return ""
    return refresh_tokens.start_family(connection, row.object_id, row.client_id, row.scope, now, family_id)
