"""The token endpoint: picks the grant, and writes the answer that msal and the SDKs read."""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any

from landbridge_server.identity import grants, join_codes, sign_in_log
from landbridge_server.identity.errors import OAuthError, refuse
from landbridge_server.identity.forms import need
from landbridge_server.identity.grants import Granted, TokenRequest
from landbridge_server.identity.service import IdentityService
from landbridge_server.identity.tokens import AGENT_LIFETIME, LIFETIME, MANAGED_LIFETIME
from landbridge_server.store import resources
from landbridge_server.store.principals import MANAGED_IDENTITY, USER, Principal
from landbridge_wire.agent_api import AUDIENCE as AGENT_AUDIENCE

Grant = Callable[[IdentityService, TokenRequest], Awaitable[Granted]]

GRANTS: dict[str, Grant] = {
    "client_credentials": grants.client_credentials,
    "authorization_code": grants.authorization_code,
    "password": grants.password,
    "refresh_token": grants.refresh,
    "urn:ietf:params:oauth:grant-type:device_code": grants.device,
    "device_code": grants.device,  # v1's name
    join_codes.GRANT: grants.join_code,
}


async def answer(service: IdentityService, request: TokenRequest) -> dict[str, Any]:
    """Return the body of a token response (RFC 6749 section 5.1).

    Raises:
        OAuthError: the grant is not known, or it refuses.
    """
    name = need(request.form, "grant_type")
    grant = GRANTS.get(name)
    if grant is None:
        raise refuse(70003, grant=name[:100])
    try:
        granted = await grant(service, request)
    except OAuthError as error:
        service.refused(error, request.form, request.authority)
        raise
    body = _body(service, request, granted)
    service.on_sign_in(
        sign_in_log.done(
            request.form, granted.principal, granted.tenant_id, granted.client_id, granted.audience
        )
    )
    return body


def _body(service: IdentityService, request: TokenRequest, granted: Granted) -> dict[str, Any]:
    lifetime = _lifetime(granted)
    token = service.issuer.access_token(
        granted.principal,
        granted.tenant_id,
        granted.audience,
        granted.client_id,
        lifetime,
        granted.proof,
        _resource_id(service, granted.principal),
    )
    body: dict[str, Any] = {
        "token_type": "Bearer",
        "expires_in": lifetime,
        "ext_expires_in": lifetime,
        "access_token": token,
    }
    if "resource" in request.form:  # v1 clients read these
        now = int(service.clock())
        body |= {"resource": granted.audience, "not_before": now, "expires_on": now + lifetime}
    if granted.principal.kind == USER:
        body |= _user_members(service, request, granted)
    return body


def _lifetime(granted: Granted) -> int:
    if granted.audience == AGENT_AUDIENCE:
        return AGENT_LIFETIME
    return MANAGED_LIFETIME if granted.principal.kind == MANAGED_IDENTITY else LIFETIME


def _resource_id(service: IdentityService, principal: Principal) -> str:
    """Return the resource that an identity is of, as its id is written; empty for other principals."""
    key = principal.resource_key
    if principal.kind != MANAGED_IDENTITY or not key:
        return ""
    stored = service.db.read(lambda connection: resources.get(connection, key))
    return stored.resource_id if stored is not None else ""


def _user_members(service: IdentityService, request: TokenRequest, granted: Granted) -> dict[str, Any]:
    members: dict[str, Any] = {"scope": granted.scope.granted}
    if granted.refresh_token:
        members["refresh_token"] = granted.refresh_token
    if granted.scope.openid:
        members["id_token"] = service.issuer.id_token(
            granted.principal,
            granted.tenant_id,
            granted.client_id,
            adfs=request.authority.adfs,
            nonce=granted.nonce,
            amr=granted.proof.amr,
        )
    if request.form.get("client_info") == "1":
        members["client_info"] = client_info(granted.principal)
    return members


def client_info(user: Principal) -> str:
    """Return msal's account id: the same for a user in whatever tenant the token is for."""
    text = json.dumps({"uid": user.object_id, "utid": user.tenant_id}, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()
