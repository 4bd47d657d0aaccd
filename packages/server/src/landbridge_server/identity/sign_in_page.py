"""Sign-in through the browser: the page that the authorization endpoint shows (RFC 6749 section 4.1).

The page's forms bring the whole request back, and each step looks at all of it anew: nothing is
kept between the steps. Answers go to the program by query (303) or by a form that posts itself
(OAuth 2.0 Form Post Response Mode); refusals go the same way, unless there is no address that
the program may be answered at: then the person is told.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from urllib.parse import urlsplit

from landbridge_server.identity import authorization, second_factor
from landbridge_server.identity.authorization import CARRIED, FORM_POST, AuthorizationRequest, Destination
from landbridge_server.identity.clients import PUBLIC_CLIENTS
from landbridge_server.identity.csrf import FormGuard
from landbridge_server.identity.errors import OAuthError, refuse
from landbridge_server.identity.person import TEXTS, PersonCheck
from landbridge_server.identity.rendering import GOOD, SUBMIT, WARN, Page, message, policy, render
from landbridge_server.identity.service import IdentityService
from landbridge_server.identity.sign_in_forms import Asking
from landbridge_server.identity.tenancy import Authority
from landbridge_server.store.database import Connection
from landbridge_server.store.principals import Principal

AGAIN = "Close this window, and start the sign-in again in the program that opened it."
STALE = "This page was open for too long, or your browser does not accept its cookie. Sign in again."


class SignInPage:
    """Shows the forms, takes them back, and sends the answer to the program."""

    def __init__(self, service: IdentityService, master: bytes) -> None:
        """Sign people in at ``service``; the nodes of a cloud share the secret ``master``."""
        self._service = service
        self._guard = FormGuard(master)
        self._person = PersonCheck(service, self._guard, master)

    async def start(self, tenant: str, cookie: str, params: Mapping[str, str]) -> Page:
        """Answer an authorization request: the form, or a refusal."""
        try:
            authority = self._service.tenancy.authority(tenant)
            to = authorization.destination(authority, params)
        except OAuthError as error:
            return cannot_start(error)
        try:
            request = self._request(to, params)
            if params.get("prompt") == "none":
                raise refuse(50058)
        except OAuthError as error:
            return _refused(to, error)
        return self._form(authority, self._guard.cookie(cookie), params, request)

    async def submit(self, tenant: str, cookie: str, form: Mapping[str, str], address: str) -> Page:
        """Take either step's form from the peer at ``address`` and answer what follows."""
        try:
            authority = self._service.tenancy.authority(tenant)
            to = authorization.destination(authority, form)
        except OAuthError as error:
            return cannot_start(error)
        try:
            request = self._request(to, form)
            if not self._guard.good(cookie, form.get("csrf", "")):
                return self._form(authority, self._guard.cookie(cookie), form, request, STALE, 403)
            if form.get("action") == "deny":
                raise refuse(65004)
            return await self._step(authority, cookie, form, request, address)
        except OAuthError as error:
            return _refused(to, error)

    def _request(self, to: Destination, params: Mapping[str, str]) -> AuthorizationRequest:
        request = authorization.parsed(to, params)
        self._service.audience(request.scope)
        return request

    async def _step(
        self,
        authority: Authority,
        cookie: str,
        form: Mapping[str, str],
        request: AuthorizationRequest,
        address: str,
    ) -> Page:
        purpose = _purpose(request)
        try:
            if "voucher" in form:
                known = await self._person.second(cookie, form, purpose)
                if known is None:
                    return self._form(authority, cookie, form, request, STALE, 400)
                return await self._finish(authority, request, known, coded=True)
            resource = request.scope.audience or "this cloud"
            user, more = await self._person.first(form, address, resource)
            if more:
                return self._code_form(
                    authority, cookie, form, request, self._person.voucher(cookie, user, purpose)
                )
            return await self._finish(authority, request, user, coded=False)
        except OAuthError as error:
            if error.retry_after:
                return _wait(error)
            text = TEXTS.get(error.number)
            if text is None:
                raise
            if "voucher" in form:
                return self._code_form(authority, cookie, form, request, form["voucher"], text)
            return self._form(authority, cookie, form, request, text, 400)

    async def _finish(
        self, authority: Authority, request: AuthorizationRequest, user: Principal, *, coded: bool
    ) -> Page:
        def work(connection: Connection) -> str:
            self._service.tenant_of(connection, authority, user)
            second_factor.confirm(connection, user, coded=coded)
            return authorization.issue(connection, request, user, self._service.clock())

        code = await self._service.db.write(work)
        return _answered(request.destination, {"code": code}, "You are signed in", GOOD)

    def _form(
        self,
        authority: Authority,
        cookie: str,
        params: Mapping[str, str],
        request: AuthorizationRequest,
        error: str = "",
        status: int = 200,
    ) -> Page:
        user_name = params.get("username") or params.get("login_hint", "")
        html = self._asking(authority, cookie, params, request).password_form(user_name, error)
        return Page(html, status, cookie, _headers(request.destination))

    def _code_form(
        self,
        authority: Authority,
        cookie: str,
        form: Mapping[str, str],
        request: AuthorizationRequest,
        voucher: str,
        error: str = "",
    ) -> Page:
        html = self._asking(authority, cookie, form, request).code_form(voucher, error)
        return Page(html, 400 if error else 200, headers=_headers(request.destination))

    def _asking(
        self, authority: Authority, cookie: str, params: Mapping[str, str], request: AuthorizationRequest
    ) -> Asking:
        return Asking(
            application=PUBLIC_CLIENTS[request.destination.client_id],
            resource=self._service.described(request.scope),
            action=f"/{authority.name}/oauth2/v2.0/authorize",
            csrf=self._guard.token(cookie),
            carried={name: params[name] for name in CARRIED if params.get(name)},
        )


def _purpose(request: AuthorizationRequest) -> str:
    words = (request.destination.redirect_uri, request.challenge)
    return hashlib.sha256("\0".join(words).encode()).hexdigest()


def _headers(to: Destination) -> dict[str, str]:
    """Return a policy that lets the form's answer lead to the program: browsers check redirects, too."""
    parts = urlsplit(to.redirect_uri)
    return {"content-security-policy": policy(f"'self' {parts.scheme}://{parts.netloc}")}


def cannot_start(error: OAuthError) -> Page:
    """Return the page for a request that can be answered nowhere."""
    html = message("Sign-in cannot start", f"{error.description} {AGAIN}")
    return Page(html, error.status if error.status in (413, 503) else 400)


def _wait(error: OAuthError) -> Page:
    text = f"There were too many attempts to sign in. Wait {error.retry_after} seconds, then start again."
    return Page(message("Please wait", text), 429, headers={"retry-after": str(error.retry_after)})


def _refused(to: Destination, error: OAuthError) -> Page:
    answer = {"error": error.error, "error_description": error.description}
    return _answered(to, answer, "You are not signed in", WARN)


def _answered(to: Destination, answer: Mapping[str, str], title: str, kind: str) -> Page:
    if to.mode != FORM_POST:
        text = "Your browser did not follow to the program that asked. Start the sign-in again."
        return Page(message(title, text, kind), 303, headers={"location": to.location(answer)})
    carried = to.answer(answer)
    html = render(
        "form_post.html", title=title, kind=kind, action=to.redirect_uri, carried=carried, script=SUBMIT
    )
    parts = urlsplit(to.redirect_uri)
    scripted = policy(f"{parts.scheme}://{parts.netloc}", SUBMIT)
    return Page(html, headers={"content-security-policy": scripted})
