"""The page on which a person approves a program's sign-in (RFC 8628 section 3.3).

Two steps, each a plain form: the code; then who asks for what, with user name and
password. Guessing is bounded: wrong codes and passwords slow the address that they come from,
passwords are few per code and per user name, and when there are very many wrong codes, those
addresses that have sent one lately wait.
"""

from __future__ import annotations

from collections.abc import Mapping

from landbridge_server.identity import device_code, second_factor
from landbridge_server.identity.attempts import AttemptLimiter
from landbridge_server.identity.clients import PUBLIC_CLIENTS
from landbridge_server.identity.csrf import FormGuard
from landbridge_server.identity.errors import OAuthError
from landbridge_server.identity.person import TEXTS, PersonCheck
from landbridge_server.identity.rendering import GOOD, Page, message, render
from landbridge_server.identity.scopes import parse
from landbridge_server.identity.service import IdentityService
from landbridge_server.identity.sign_in_forms import Asking
from landbridge_server.store.database import Connection
from landbridge_server.store.principals import Principal
from landbridge_server.store.sign_in import DeviceCode

WRONG_CODES = 300
WRONG_CODE_SECONDS = 60.0
PASSWORDS_PER_CODE = 10

STALE = "This page was open for too long, or your browser does not accept its cookie. Enter the code again."
UNKNOWN = (
    "This code is not known or has ended. Compare it with what the program shows; "
    "a code is good for 15 minutes, then start the sign-in again."
)


class DevicePage:
    """Shows the forms and takes them back."""

    def __init__(self, service: IdentityService, master: bytes) -> None:
        """Approve the device codes of ``service``; the nodes of a cloud share the secret ``master``."""
        self._service = service
        self._guard = FormGuard(master)
        self._person = PersonCheck(service, self._guard, master)
        db, clock = service.db, service.clock
        self._wrong_codes = AttemptLimiter(db, clock, "wrong code", WRONG_CODES, WRONG_CODE_SECONDS)
        self._passwords = AttemptLimiter(db, clock, "code", PASSWORDS_PER_CODE, device_code.LIFETIME)

    def start(self, unverified_cookie: str, error: str = "", *, status: int = 200, code: str = "") -> Page:
        """Return the first step: the form for the code."""
        cookie = self._guard.cookie(unverified_cookie)
        html = render("device_code.html", csrf=self._guard.token(cookie), error=error, user_code=code[:32])
        return Page(html, status, cookie)

    async def submit(self, unverified_cookie: str, form: Mapping[str, str], address: str = "") -> Page:
        """Take either form from the peer at ``address`` and return what follows."""
        if not self._guard.good(unverified_cookie, form.get("csrf", "")):
            return self.start(unverified_cookie, STALE, status=403)
        addresses = self._service.addresses
        wait = self._wrong_codes.blocked("") if addresses.suspicious(address) else 0
        if wait:
            return _too_many("Too many wrong codes were entered.", wait)
        typed = form.get("user_code", "")
        try:
            async with addresses.turn(address):
                row = self._waiting(device_code.normalised(typed))
        except OAuthError as error:
            return _too_many("Too many codes were entered at your address.", error.retry_after)
        if row is None:
            addresses.failed(address)
            await self._wrong_codes.begin("")
            return self.start(unverified_cookie, UNKNOWN, status=400, code=typed)
        if form.get("action") == "deny":
            return await self._deny(row)
        if not {"username", "password", "voucher"} & form.keys():
            return self._sign_in_form(unverified_cookie, row, form)
        return await self._sign_in(unverified_cookie, row, form, address)

    def _waiting(self, user_code: str) -> DeviceCode | None:
        now = self._service.clock()
        return self._service.db.read(lambda connection: device_code.waiting(connection, user_code, now))

    def _sign_in_form(self, cookie: str, row: DeviceCode, form: Mapping[str, str], error: str = "") -> Page:
        html = self._asking(cookie, row).password_form(form.get("username", ""), error)
        return Page(html, 400 if error else 200)

    def _asking(self, cookie: str, row: DeviceCode) -> Asking:
        return Asking(
            application=PUBLIC_CLIENTS.get(row.client_id, row.client_id),
            resource=self._service.described(parse(row.scope)),
            action="/devicelogin",
            csrf=self._guard.token(cookie),
            carried={"user_code": row.user_code},
            user_code=row.user_code,
        )

    async def _sign_in(self, cookie: str, row: DeviceCode, form: Mapping[str, str], address: str) -> Page:
        wait = await self._passwords.begin(row.user_code)
        if wait:
            await self._service.db.write(lambda connection: device_code.deny(connection, row))
            return _too_many("Too many wrong passwords were entered for this code.", wait)
        try:
            user = await self._who(cookie, row, form, address)
            if isinstance(user, Page):
                return user
            approved = await self._approve(row, user, coded="voucher" in form)
        except OAuthError as error:
            if error.retry_after:
                return _too_many("There were too many attempts to sign in.", error.retry_after)
            text = TEXTS.get(error.number, error.description)
            if error.number == 50074:
                return self._code_form(cookie, row, form["voucher"], text)
            return self._sign_in_form(cookie, row, form, text)
        if not approved:
            return self.start(cookie, UNKNOWN, status=400)
        application = PUBLIC_CLIENTS.get(row.client_id, row.client_id)
        text = f"You have signed in to {application} as {user.label}. You can close this window."
        return Page(message("You are signed in", text, GOOD))

    async def _who(
        self, cookie: str, row: DeviceCode, form: Mapping[str, str], address: str
    ) -> Principal | Page:
        """Return the user once all is proven, else the page that asks for what is missing."""
        if "voucher" in form:
            known = await self._person.second(cookie, form, row.user_code)
            return known or self._sign_in_form(cookie, row, form, STALE)
        audience = parse(row.scope).audience or "this cloud"
        user, more = await self._person.first(form, address, audience)
        return (
            self._code_form(cookie, row, self._person.voucher(cookie, user, row.user_code)) if more else user
        )

    def _code_form(self, cookie: str, row: DeviceCode, voucher: str, error: str = "") -> Page:
        html = self._asking(cookie, row).code_form(voucher, error)
        return Page(html, 400 if error else 200)

    async def _approve(self, row: DeviceCode, user: Principal, *, coded: bool) -> bool:
        authority = self._service.tenancy.authority(row.tenant)

        def work(connection: Connection) -> bool:
            self._service.tenant_of(connection, authority, user)
            second_factor.confirm(connection, user, coded=coded)
            return device_code.approve(connection, row, user)

        return await self._service.db.write(work)

    async def _deny(self, row: DeviceCode) -> Page:
        await self._service.db.write(lambda connection: device_code.deny(connection, row))
        text = "The program was not signed in. You can close this window."
        return Page(message("Sign-in was cancelled", text))


def _too_many(what: str, wait: int) -> Page:
    text = f"{what} Wait {wait} seconds, then start again."
    return Page(message("Please wait", text), 429, headers={"retry-after": str(wait)})
