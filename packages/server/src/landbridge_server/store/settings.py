"""Named values of the whole cloud, such as who its first administrator is."""

from __future__ import annotations

from sqlalchemy import Connection, select

from landbridge_server.store.schema import settings


def get(connection: Connection, name: str) -> str | None:
    """Return a value, or nothing when it was never set."""
    return connection.execute(select(settings.c.value).where(settings.c.name == name)).scalar()


def put(connection: Connection, name: str, value: str) -> None:
    """Set a value, replacing an older one."""
    connection.execute(settings.delete().where(settings.c.name == name))
    connection.execute(settings.insert().values(name=name, value=value))
