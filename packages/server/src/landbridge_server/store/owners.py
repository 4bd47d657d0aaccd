"""Who owns an application, a service principal or a group."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select

from landbridge_server.store.schema import owners


def owns(connection: Connection, owner_id: str, object_id: str) -> bool:
    """Say whether somebody owns an object."""
    found = connection.execute(
        select(owners.c.owner_id).where(owners.c.object_id == object_id, owners.c.owner_id == owner_id)
    )
    return found.first() is not None


def add(connection: Connection, object_id: str, owner_id: str) -> None:
    """Make somebody an owner who is none yet."""
    connection.execute(insert(owners), {"object_id": object_id, "owner_id": owner_id})


def remove(connection: Connection, object_id: str, owner_id: str) -> None:
    """Make an owner none."""
    connection.execute(delete(owners).where(owners.c.object_id == object_id, owners.c.owner_id == owner_id))


def of(connection: Connection, object_id: str, after: str, limit: int) -> list[str]:
    """Return up to ``limit`` ids of owners, in order, those after ``after``."""
    rows = connection.execute(
        select(owners.c.owner_id)
        .where(owners.c.object_id == object_id, owners.c.owner_id > after)
        .order_by(owners.c.owner_id)
        .limit(limit)
    )
    return [str(row[0]) for row in rows]


def owned_by(connection: Connection, owner_id: str, after: str, limit: int) -> list[str]:
    """Return up to ``limit`` ids of what somebody owns, in order, those after ``after``."""
    rows = connection.execute(
        select(owners.c.object_id)
        .where(owners.c.owner_id == owner_id, owners.c.object_id > after)
        .order_by(owners.c.object_id)
        .limit(limit)
    )
    return [str(row[0]) for row in rows]
