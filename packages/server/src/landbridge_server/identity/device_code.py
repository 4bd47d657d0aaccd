"""Sign-in on another device (RFC 8628): codes are made, approved on the page, and redeemed once."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from typing import Any

from landbridge_server.identity import scopes
from landbridge_server.identity.clients import public_client
from landbridge_server.identity.errors import OAuthError, refuse
from landbridge_server.identity.forms import need
from landbridge_server.identity.service import IdentityService
from landbridge_server.identity.tenancy import Authority
from landbridge_server.store import sign_in
from landbridge_server.store.database import Connection
from landbridge_server.store.principals import Principal
from landbridge_server.store.sign_in import APPROVED, DENIED, PENDING, REDEEMED, DeviceCode

LIFETIME = 900
INTERVAL = 5
SLOWER = 5
KEPT = 3600.0
"""Seconds that an ended code is remembered, so that its refusal can say that it ended."""

OUTSTANDING = 10_000
"""Codes that may wait at once: anybody may ask for one, and each is a row.

When there are more, those give way whose programs were silent for longest. A program that waits for
a person asks every few seconds: somebody who asks for codes without end only loses their own.
"""

ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"
"""RFC 8628 section 6.1: no vowels, hence no words, and nothing that looks like a digit."""

USER_CODE_LENGTH = 9
"""20^9 codes: with the page's bound on guesses, hopeless within fifteen minutes."""


def _hash(code: str) -> str:
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).hexdigest()


def normalised(typed: str) -> str:
    """Return a user code as it is stored: a person may type spaces, hyphens and lower case."""
    return "".join(letter for letter in typed.upper() if letter.isalnum())[:64]


def page_address(login: str) -> str:
    """Return where a person enters the code."""
    return f"{login}/devicelogin"


async def begin(service: IdentityService, authority: Authority, form: Mapping[str, str]) -> dict[str, Any]:
    """Answer a device authorization request: the codes, and what to tell the person.

    Raises:
        OAuthError: an unknown program, a malformed scope, or an unknown audience.
    """
    client_id = public_client(need(form, "client_id"), authority.name)
    scope = (
        scopes.parse_resource(form["resource"]) if "resource" in form else scopes.parse(need(form, "scope"))
    )
    service.audience(scope)
    device_code = secrets.token_urlsafe(48)
    now = service.clock()

    def work(connection: Connection) -> str:
        sign_in.prune_device_codes(connection, now - KEPT)
        if sign_in.pending_device_codes(connection, now) >= OUTSTANDING:
            sign_in.drop_silent_device_codes(connection, LIFETIME, max(1, OUTSTANDING // 100))
        row = DeviceCode(
            device_code_hash=_hash(device_code),
            user_code=_free_user_code(connection),
            client_id=client_id,
            scope=scope.text,
            tenant=authority.name,
            object_id=None,
            state=PENDING,
            expires_at=now + LIFETIME,
            last_polled_at=None,
            interval_seconds=INTERVAL,
        )
        sign_in.add_device_code(connection, row)
        return row.user_code

    user_code = await service.db.write(work)
    return _answer(page_address(service.endpoints.login), user_code, device_code)


def _answer(page: str, user_code: str, device_code: str) -> dict[str, Any]:
    return {
        "user_code": user_code,
        "device_code": device_code,
        "verification_uri": page,
        "verification_url": page,  # v1 clients read this name
        "expires_in": LIFETIME,
        "interval": INTERVAL,
        "message": f"To sign in, use a web browser to open the page {page} "
        f"and enter the code {user_code} to authenticate.",
    }


def _free_user_code(connection: Connection) -> str:
    while True:
        code = "".join(secrets.choice(ALPHABET) for _ in range(USER_CODE_LENGTH))
        if sign_in.by_user_code(connection, code) is None:
            return code


def poll(connection: Connection, unverified_code: str, client_id: str, now: float) -> DeviceCode | OAuthError:
    """Return an approved device code, or what the program is told meanwhile.

    Returned, not raised: a poll is written down, and an exception would undo that.
    """
    row = sign_in.device_code(connection, _hash(unverified_code))
    if row is None or row.client_id != client_id:
        return refuse(70019)
    if row.state == REDEEMED:
        return refuse(54005, what="device code")
    if row.state == DENIED:
        return refuse(65004)
    if now >= row.expires_at:
        return refuse(70020)
    if row.state == APPROVED:
        return row
    # A second's grace: a program that waits exactly the interval may arrive a little early.
    too_often = row.last_polled_at is not None and now - row.last_polled_at < row.interval_seconds - 1
    interval = row.interval_seconds + (SLOWER if too_often else 0)
    sign_in.poll_device_code(connection, row.device_code_hash, now, interval)
    return refuse(50196, seconds=interval) if too_often else refuse(70016)


def redeemed(connection: Connection, row: DeviceCode) -> None:
    """Note that an approved code gave its token; it gives no other one."""
    sign_in.move_device_code(connection, row.device_code_hash, APPROVED, REDEEMED)


def waiting(connection: Connection, user_code: str, now: float) -> DeviceCode | None:
    """Return the code that a person typed, if it can still be approved."""
    row = sign_in.by_user_code(connection, user_code)
    return row if row is not None and row.state == PENDING and now < row.expires_at else None


def approve(connection: Connection, row: DeviceCode, user: Principal) -> bool:
    """Let the program sign in as ``user``; say whether the code was still waiting."""
    return sign_in.move_device_code(connection, row.device_code_hash, PENDING, APPROVED, user.object_id)


def deny(connection: Connection, row: DeviceCode) -> bool:
    """Turn the program away; say whether the code was still waiting."""
    return sign_in.move_device_code(connection, row.device_code_hash, PENDING, DENIED)
