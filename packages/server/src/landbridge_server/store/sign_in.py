"""What a person's sign-in leaves behind: device codes and families of refresh tokens.

Tokens and device codes are kept as SHA-256 only. A user code is kept as it is: it lives for
minutes and is worth nothing without a password.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select, update

from landbridge_server.store.schema import authorization_codes, device_codes, refresh_tokens

PENDING = "pending"
APPROVED = "approved"
DENIED = "denied"
REDEEMED = "redeemed"


class RefreshToken(NamedTuple):
    """One link of a family: ``parent_hash`` is the token that it was given for."""

    token_hash: str
    family_id: str
    parent_hash: str | None
    object_id: str
    client_id: str
    scope: str
    issued_at: float
    expires_at: float
    used_at: float | None
    revoked_at: float | None


class DeviceCode(NamedTuple):
    """A sign-in that a program asked for and a person may approve."""

    device_code_hash: str
    user_code: str
    client_id: str
    scope: str
    tenant: str
    object_id: str | None
    state: str
    expires_at: float
    last_polled_at: float | None
    interval_seconds: int


def _refresh_token(row: Sequence[Any] | None) -> RefreshToken | None:
    return RefreshToken(*row) if row is not None else None


def add_refresh_token(connection: Connection, token: RefreshToken) -> None:
    """Add a refresh token."""
    connection.execute(refresh_tokens.insert(), token._asdict())


def refresh_token(connection: Connection, token_hash: str) -> RefreshToken | None:
    """Return the refresh token with this hash, whatever its state."""
    return _refresh_token(
        connection.execute(select(refresh_tokens).where(refresh_tokens.c.token_hash == token_hash)).first()
    )


def use_refresh_token(connection: Connection, token_hash: str, now: float) -> None:
    """Note that a token was exchanged; the time of the first exchange stays."""
    connection.execute(
        update(refresh_tokens)
        .where(refresh_tokens.c.token_hash == token_hash, refresh_tokens.c.used_at.is_(None))
        .values(used_at=now)
    )


def successor_used(connection: Connection, token_hash: str) -> bool:
    """Say whether a token that was given for this one has itself been exchanged."""
    row = connection.execute(
        select(refresh_tokens.c.token_hash)
        .where(refresh_tokens.c.parent_hash == token_hash, refresh_tokens.c.used_at.is_not(None))
        .limit(1)
    ).first()
    return row is not None


def revoke_family(connection: Connection, family_id: str, now: float) -> None:
    """End every refresh token that stems from one sign-in."""
    connection.execute(
        update(refresh_tokens)
        .where(refresh_tokens.c.family_id == family_id, refresh_tokens.c.revoked_at.is_(None))
        .values(revoked_at=now)
    )


def revoke_all(connection: Connection, object_id: str, now: float) -> None:
    """End every refresh token of a principal, as after a change of password."""
    connection.execute(
        update(refresh_tokens)
        .where(refresh_tokens.c.object_id == object_id, refresh_tokens.c.revoked_at.is_(None))
        .values(revoked_at=now)
    )


def end_waiting(connection: Connection, object_id: str) -> None:
    """End the sign-ins of a principal of which no program has fetched its tokens yet."""
    connection.execute(
        update(device_codes)
        .where(device_codes.c.object_id == object_id, device_codes.c.state == APPROVED)
        .values(state=DENIED)
    )
    connection.execute(
        authorization_codes.delete().where(
            authorization_codes.c.object_id == object_id, authorization_codes.c.redeemed_at.is_(None)
        )
    )


def prune_refresh_tokens(connection: Connection, object_id: str, before: float) -> None:
    """Forget the tokens of a principal that ended before ``before``."""
    connection.execute(
        refresh_tokens.delete().where(
            refresh_tokens.c.object_id == object_id, refresh_tokens.c.expires_at < before
        )
    )


def _device_code(row: Sequence[Any] | None) -> DeviceCode | None:
    return DeviceCode(*row) if row is not None else None


def add_device_code(connection: Connection, code: DeviceCode) -> None:
    """Add a device code."""
    connection.execute(device_codes.insert(), code._asdict())


def device_code(connection: Connection, device_code_hash: str) -> DeviceCode | None:
    """Return the device code with this hash, whatever its state."""
    return _device_code(
        connection.execute(
            select(device_codes).where(device_codes.c.device_code_hash == device_code_hash)
        ).first()
    )


def by_user_code(connection: Connection, user_code: str) -> DeviceCode | None:
    """Return the device code that a person typed the user code of, whatever its state."""
    return _device_code(
        connection.execute(select(device_codes).where(device_codes.c.user_code == user_code)).first()
    )


def poll_device_code(connection: Connection, device_code_hash: str, now: float, interval: int) -> None:
    """Note when the program asked last, and how long it must wait now."""
    connection.execute(
        update(device_codes)
        .where(device_codes.c.device_code_hash == device_code_hash)
        .values(last_polled_at=now, interval_seconds=interval)
    )


def move_device_code(
    connection: Connection, device_code_hash: str, old: str, new: str, object_id: str | None = None
) -> bool:
    """Take a device code from one state to the next; say whether it was in the old one.

    The comparison and the change are one statement, so that a code is approved once and
    redeemed once.
    """
    values = {"state": new} if object_id is None else {"state": new, "object_id": object_id}
    result = connection.execute(
        update(device_codes)
        .where(device_codes.c.device_code_hash == device_code_hash, device_codes.c.state == old)
        .values(**values)
    )
    return result.rowcount == 1


def pending_device_codes(connection: Connection, now: float) -> int:
    """Count the device codes that can still be approved."""
    return (
        connection.execute(
            select(func.count())
            .select_from(device_codes)
            .where(device_codes.c.state == PENDING, device_codes.c.expires_at > now)
        ).scalar()
        or 0
    )


def drop_silent_device_codes(connection: Connection, lifetime: float, count: int) -> None:
    """Forget ``count`` waiting codes: those that were asked for, and about, least recently.

    ``lifetime`` is how long a code lives: that tells when it was asked for.
    """
    table = device_codes.c
    heard = func.coalesce(table.last_polled_at, table.expires_at - lifetime)
    silent = select(table.device_code_hash).where(table.state == PENDING).order_by(heard).limit(count)
    connection.execute(device_codes.delete().where(table.device_code_hash.in_(silent.scalar_subquery())))


def prune_device_codes(connection: Connection, before: float) -> None:
    """Forget the device codes that ended before ``before``."""
    connection.execute(device_codes.delete().where(device_codes.c.expires_at < before))
