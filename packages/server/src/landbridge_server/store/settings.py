"""Named values of the whole cloud, such as who its first administrator is."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, select

from landbridge_server.store.prepared import Prepared
from landbridge_server.store.schema import settings

_GET = Prepared(select(settings.c.value).where(settings.c.name == bindparam("one")))
_REMOVE = Prepared(settings.delete().where(settings.c.name == bindparam("one")))
_ADD = Prepared(settings.insert())


def get(connection: Connection, name: str) -> str | None:
    """Return a value, or nothing when it was never set."""
    row = _GET.first(connection, {"one": name})
    return str(row[0]) if row is not None else None


def put(connection: Connection, name: str, value: str) -> None:
    """Set a value, replacing an older one."""
    _REMOVE.run(connection, {"one": name})
    _ADD.run(connection, {"name": name, "value": value})
