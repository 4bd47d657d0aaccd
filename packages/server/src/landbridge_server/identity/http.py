"""The token service over HTTP: reads requests, answers in JSON or with a page.

Every method takes a Starlette request whose path parameter ``tenant`` is a GUID, a domain,
``common``, ``organizations`` or ``adfs``. Refusals become the body of RFC 6749 here.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from landbridge_server.identity import csrf, device_code, discovery, forms, sign_in_log, token_endpoint
from landbridge_server.identity.device_page import DevicePage
from landbridge_server.identity.errors import OAuthError, Stamp, refuse
from landbridge_server.identity.grants import TokenRequest
from landbridge_server.identity.rendering import HEADERS, Page, message
from landbridge_server.identity.service import IdentityService
from landbridge_server.identity.sign_in_log import Asking, asking
from landbridge_server.identity.sign_in_page import SignInPage, cannot_start
from landbridge_server.store.database import StoreUnavailable

AWAY = "The control plane cannot reach its database. Try again in a moment."
NO_STORE = {"cache-control": "no-store", "pragma": "no-cache"}


class IdentityHttp:
    """The endpoints of the token service; the table of routes in ``edge`` says where each is."""

    def __init__(self, service: IdentityService, master: bytes) -> None:
        """Serve ``service``; the nodes of a cloud share the secret ``master``."""
        self.service = service
        self._page = DevicePage(service, master)
        self._sign_in = SignInPage(service, master)

    async def openid_configuration(self, request: Request) -> Response:
        """Answer the discovery document; an unknown tenant is AADSTS90002."""

        async def work() -> Response:
            authority = self.service.tenancy.authority(request.path_params["tenant"])
            announced = self.service.tenancy.announced(authority)
            v2 = "/v2.0/" in request.scope["path"]
            return JSONResponse(discovery.document(self.service.endpoints, announced, v2=v2))

        return await self._answered(request, work)

    async def keys(self, request: Request) -> Response:
        """Answer the JWKS."""

        async def work() -> Response:
            self.service.tenancy.authority(request.path_params["tenant"])
            return JSONResponse(self.service.keys.jwks())

        return await self._answered(request, work)

    async def user_realm(self, request: Request) -> Response:
        """Answer that the account is kept here, whether or not it exists."""
        path = request.scope.get("landbridge.path", request.scope["path"])
        return JSONResponse(discovery.user_realm(path.rpartition("/")[2], self.service.endpoints))

    async def token(self, request: Request) -> Response:
        """Answer a token, or RFC 6749's refusal."""

        async def work() -> Response:
            form = forms.with_basic(await _form(request), request.headers.get("authorization", ""))
            try:
                authority = self.service.tenancy.authority(request.path_params["tenant"])
            except OAuthError as error:
                self.service.refused(error, form, None)
                raise
            body = await token_endpoint.answer(self.service, TokenRequest(authority, form, _peer(request)))
            return JSONResponse(body, headers=NO_STORE)

        return await self._answered(request, work)

    async def device_authorization(self, request: Request) -> Response:
        """Answer the codes of RFC 8628."""

        async def work() -> Response:
            authority = self.service.tenancy.authority(request.path_params["tenant"])
            body = await device_code.begin(self.service, authority, await _form(request))
            return JSONResponse(body, headers=NO_STORE)

        return await self._answered(request, work)

    async def authorize(self, request: Request) -> Response:
        """Answer an authorization request: the sign-in page, or a refusal."""
        cookie = request.cookies.get(csrf.COOKIE, "")
        tenant = request.path_params["tenant"]

        async def work() -> Page:
            params = forms.parse(forms.CONTENT_TYPE, request.scope.get("query_string", b""))
            return await self._sign_in.start(tenant, cookie, params)

        return await self._page_of(request, work)

    async def authorize_post(self, request: Request) -> Response:
        """Take the sign-in page's form, and answer the next page or the program."""
        cookie = request.cookies.get(csrf.COOKIE, "")
        tenant = request.path_params["tenant"]

        async def work() -> Page:
            return await self._sign_in.submit(tenant, cookie, await _form(request), _peer(request))

        return await self._page_of(request, work)

    async def _page_of(self, request: Request, work: Callable[[], Awaitable[Page]]) -> Response:
        _begin(request)
        try:
            return _shown(await work())
        except OAuthError as error:
            return _shown(cannot_start(error))
        except StoreUnavailable as error:
            request.scope["landbridge.error"] = str(error)
            return HTMLResponse(message("Try again", AWAY), 503, HEADERS)

    async def device_page_get(self, request: Request) -> Response:
        """Answer the form for the user code."""
        return _shown(self._page.start(request.cookies.get(csrf.COOKIE, "")))

    async def device_page_post(self, request: Request) -> Response:
        """Take the user code, or user name and password, and answer the next page."""
        cookie = request.cookies.get(csrf.COOKIE, "")
        _begin(request)
        try:
            form = await _form(request)
        except OAuthError as error:
            return _shown(self._page.start(cookie, error.description, status=error.status))
        try:
            return _shown(await self._page.submit(cookie, form, _peer(request)))
        except StoreUnavailable as error:
            request.scope["landbridge.error"] = str(error)
            return _shown(self._page.start(cookie, AWAY, status=503, code=form.get("user_code", "")))

    async def _answered(self, request: Request, work: Callable[[], Awaitable[Response]]) -> Response:
        _begin(request)
        try:
            return await work()
        except OAuthError as error:
            request.scope["landbridge.error"] = error.internal or error.description
            return _refused(error, request, self.service.clock())
        except StoreUnavailable as error:
            request.scope["landbridge.error"] = str(error)
            return _refused(refuse(90033, reason=AWAY, retry_after=5), request, self.service.clock())


def _begin(request: Request) -> None:
    """Say, for the sign-in log, which request is being answered."""
    own_id = request.scope.get("landbridge.request_id") or str(uuid.uuid4())
    correlation_id = sign_in_log.correlation_id(request.headers.get("client-request-id", ""), own_id)
    asking.set(Asking(_peer(request), own_id, correlation_id))


def _peer(request: Request) -> str:
    """Return the caller's address: who has connected, or what a trusted proxy says (``edge/proxies.py``)."""
    return request.client.host if request.client else ""


async def _form(request: Request) -> dict[str, str]:
    """Read the body up to its bound, and the form in it."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > forms.LIMIT:
            raise forms.too_large()
    return forms.parse(request.headers.get("content-type", ""), bytes(body))


def _refused(error: OAuthError, request: Request, now: float) -> Response:
    _, trace_id, correlation_id = asking.get()
    headers: dict[str, str] = dict(NO_STORE)
    if error.status == 401 and "authorization" in request.headers:
        headers["www-authenticate"] = 'Basic realm="landbridge"'  # RFC 6749 section 5.2
    if error.retry_after:
        headers["retry-after"] = str(error.retry_after)
    body: Mapping[str, Any] = error.to_json(Stamp(now, trace_id, correlation_id))
    return JSONResponse(body, error.status, headers)


def _shown(page: Page) -> Response:
    response = HTMLResponse(page.html, page.status, {**HEADERS, **page.headers})
    if page.cookie:
        response.set_cookie(csrf.COOKIE, page.cookie, path="/", secure=True, httponly=True, samesite="strict")
    return response
