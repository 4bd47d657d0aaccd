"""``/me/changePassword``: people change their own password, with the old one and without any role."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from landbridge_server.arm.access import decided
from landbridge_server.identity import directory
from landbridge_server.identity.caller import Caller
from landbridge_server.identity.errors import OAuthError
from landbridge_server.identity.passwords import WeakPassword, hash_password
from landbridge_server.microsoft_graph import users
from landbridge_server.microsoft_graph.errors import bad, denied
from landbridge_server.microsoft_graph.request import DONE, Reply, Target
from landbridge_server.store.database import Connection, Database
from landbridge_server.store.principals import Principal

PasswordCheck = Callable[[str, str, str], Awaitable[Principal]]
"""Returns the user of a name and a password, asked for from an address; limits guesses."""

WORD = "changepassword"


def is_meant(method: str, target: Target) -> bool:
    """Say whether a request is for this."""
    return (method, target.collection, target.rest) == ("POST", "users", (WORD,))


async def change(
    db: Database,
    check: PasswordCheck,
    caller: Caller,
    target: Target,
    body: Mapping[str, Any],
    address: str,
    now: float,
) -> Reply:
    """Replace the caller's password; refresh tokens end, access tokens that are out live on.

    Raises:
        GraphError: it is somebody else's, the old one is wrong, or the new one cannot be used.
    """
    decided()
    if target.key.lower() != caller.object_id:
        raise denied("somebody else's password", "Users change their own password, and nobody else's.")
    current, new = body.get("currentPassword"), body.get("newPassword")
    if not isinstance(current, str) or not isinstance(new, str):
        raise bad("'currentPassword' and 'newPassword' must be texts.")
    try:
        user = await check(caller.label, current, address)
        verifier = await asyncio.to_thread(hash_password, new)
    except OAuthError as error:
        raise bad(f"The specified password does not match. {error.description}") from error
    except WeakPassword as error:
        raise users.weak_password() from error

    def work(connection: Connection) -> Reply:
        directory.set_password(connection, user, verifier, now)
        return DONE

    return await db.write(work)
