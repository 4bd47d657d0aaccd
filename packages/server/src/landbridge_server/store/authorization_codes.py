"""Authorization codes: what a person's sign-in through the browser gives to a program, once."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, select, update

from landbridge_server.store.schema import authorization_codes


class AuthorizationCode(NamedTuple):
    """A sign-in that may be turned into tokens; kept a while after that, to notice who comes twice."""

    code_hash: str
    object_id: str
    client_id: str
    redirect_uri: str
    scope: str
    challenge: str
    nonce: str
    expires_at: float
    redeemed_at: float | None
    family_id: str | None


def add(connection: Connection, code: AuthorizationCode) -> None:
    """Add a code."""
    connection.execute(authorization_codes.insert(), code._asdict())


def get(connection: Connection, code_hash: str) -> AuthorizationCode | None:
    """Return the code with this hash, whatever its state."""
    row = connection.execute(
        select(authorization_codes).where(authorization_codes.c.code_hash == code_hash)
    ).first()
    return AuthorizationCode(*row) if row is not None else None


def redeem(connection: Connection, code_hash: str, family_id: str, now: float) -> bool:
    """Note that a code gives its tokens; say no if it did before.

    The comparison and the change are one statement, so that it happens once.
    """
    result = connection.execute(
        update(authorization_codes)
        .where(authorization_codes.c.code_hash == code_hash, authorization_codes.c.redeemed_at.is_(None))
        .values(redeemed_at=now, family_id=family_id)
    )
    return result.rowcount == 1


def prune(connection: Connection, before: float) -> None:
    """Forget the codes that ended before ``before``."""
    connection.execute(authorization_codes.delete().where(authorization_codes.c.expires_at < before))
