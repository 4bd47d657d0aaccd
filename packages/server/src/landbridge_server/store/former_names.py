"""What machines were called before: former key, and the identity that stays.

A row goes when its name is given to another resource, or with the machine.
"""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, delete, select

from landbridge_server.store.prepared import Prepared
from landbridge_server.store.schema import former_names, machines, resources

_NOW = Prepared(
    select(resources.c.resource_id)
    .join(machines, machines.c.machine_key == resources.c.key)
    .join(former_names, former_names.c.principal_id == machines.c.principal_id)
    .where(former_names.c.former_key == bindparam("key"))
)
_FORGET = Prepared(delete(former_names).where(former_names.c.former_key == bindparam("key")))


def note(connection: Connection, key: str, principal_id: str) -> None:
    """Remember that the machine with this identity had this key."""
    _FORGET.run(connection, {"key": key})
    connection.execute(former_names.insert(), {"former_key": key, "principal_id": principal_id})


def now_called(connection: Connection, key: str) -> str | None:
    """Return the id that a machine has now which had this key; None where nobody remembers one."""
    found = _NOW.first(connection, {"key": key})
    return None if found is None else str(found[0])


def taken(connection: Connection, key: str) -> None:
    """Forget a name that another resource has now."""
    _FORGET.run(connection, {"key": key})


def forget(connection: Connection, principal_id: str) -> None:
    """Forget what a machine that is gone was called."""
    connection.execute(delete(former_names).where(former_names.c.principal_id == principal_id))
