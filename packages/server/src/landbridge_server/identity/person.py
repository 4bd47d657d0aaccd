"""How a page finds out who sits in front of it: the password first, then, where needed, a code.

Between the two steps the page holds a voucher: a note under our own MAC, bound to the browser
and to what is being signed in to, that the password was right.
"""

from __future__ import annotations

from collections.abc import Mapping

from landbridge_server.identity import second_factor
from landbridge_server.identity.csrf import FormGuard
from landbridge_server.identity.errors import OAuthError, refuse
from landbridge_server.identity.second_factor import CODE, ENROLL, SecondFactors
from landbridge_server.identity.service import IdentityService
from landbridge_server.identity.sign_in_log import PAGE
from landbridge_server.store import principals
from landbridge_server.store.principals import Principal

VOUCHER_SECONDS = 300.0

TEXTS = {
    50020: "This account does not belong to the tenant that the program asked for.",
    50057: "This account is disabled. Ask your administrator.",
    50074: "This code is wrong, has ended or was used before. Wait for the next one.",
    50076: "This account has just been given a second factor. Enter the password again.",
    50079: "This account needs a second factor. Ask your administrator to enroll you.",
    50126: "The user name or the password is wrong.",
}


class PersonCheck:
    """Checks the two steps of one page."""

    def __init__(self, service: IdentityService, guard: FormGuard, master: bytes) -> None:
        """Look people up in ``service``; ``guard`` makes the vouchers."""
        self._service = service
        self._guard = guard
        self._factors = SecondFactors(service.db, service.clock, master)

    async def first(self, form: Mapping[str, str], address: str, resource: str) -> tuple[Principal, bool]:
        """Return whose user name and password a form holds, and whether a code must follow.

        Raises:
            OAuthError: as ``IdentityService.check_password``; 50079, the tenant demands a
                second factor and the user has none.
        """
        name, password = form.get("username", ""), form.get("password", "")
        try:
            user = await self._service.check_password(name, password, address)
            need = self._service.db.read(lambda connection: second_factor.needed(connection, user))
            if need == ENROLL:
                raise refuse(50079, resource=resource)
        except OAuthError as error:
            self._service.refused(error, form, None, PAGE)
            raise
        return user, need == CODE

    def voucher(self, cookie: str, user: Principal, purpose: str) -> str:
        """Return the note that ``user``'s password was right for ``purpose``."""
        ends = self._service.clock() + VOUCHER_SECONDS
        return self._guard.voucher(cookie, f"{user.object_id}.{purpose}", ends)

    async def second(self, cookie: str, form: Mapping[str, str], purpose: str) -> Principal | None:
        """Return the user whose code a form holds; nobody when the first step is over or another's.

        Raises:
            OAuthError: 50074, a wrong code; 50053, too many of them; 50057, a disabled user.
        """
        text = self._guard.vouched(cookie, form.get("voucher", ""), self._service.clock())
        object_id, _, was_for = (text or "").partition(".")
        user = self._service.db.read(lambda connection: principals.get(connection, object_id))
        if user is None or was_for != purpose:
            return None
        try:
            if not user.enabled:
                raise refuse(50057)
            await self._factors.check(user, form.get("otp", ""))
        except OAuthError as error:
            known = {"username": user.label, "client_id": form.get("client_id", "")}
            self._service.refused(error, known, None, PAGE)
            raise
        return user
