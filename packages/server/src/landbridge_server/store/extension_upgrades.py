"""Which extensions were asked to upgrade by themselves, to which version, and when: each once."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from landbridge_server.store.schema import extension_upgrades


def asked(connection: Connection, resource_key: str) -> str:
    """Return the version to which an extension was last asked to upgrade; empty: it never was."""
    found = connection.execute(
        select(extension_upgrades.c.version).where(extension_upgrades.c.resource_key == resource_key)
    ).scalar()
    return str(found or "")


def note(connection: Connection, resource_key: str, version: str, now: float) -> None:
    """Note that an extension is asked to upgrade now."""
    forget(connection, resource_key)
    row = {"resource_key": resource_key, "version": version, "asked_at": now}
    connection.execute(extension_upgrades.insert(), row)


def forget(connection: Connection, resource_key: str) -> None:
    """Forget what an extension was asked: it goes."""
    connection.execute(extension_upgrades.delete().where(extension_upgrades.c.resource_key == resource_key))


def count_since(connection: Connection, moment: float) -> int:
    """Return how many were asked after a moment, by whichever node."""
    query = select(func.count()).where(extension_upgrades.c.asked_at > moment)
    return int(connection.execute(query).scalar() or 0)
