"""Which machines have something new to fetch: written with what is new, gone once it was fetched.

Every change of a row takes the next version, in the turn of the writers, so that versions commit
in order: who asks for what is newer than what it knows misses nothing, and pays for news only.
"""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, bindparam, func, select

from landbridge_server.store import notices, settings
from landbridge_server.store.prepared import Prepared
from landbridge_server.store.schema import machine_news, machines

WORK, ASSIGNMENTS = "work", "assignments"
"""The kinds: things to do; configurations that are wanted of the machine."""

VERSION = "machine_news_version"


class News(NamedTuple):
    """A machine that has something new to fetch. ``principal_id`` is its identity's object id."""

    machine_key: str
    principal_id: str
    version: int


_REMOVE = Prepared(
    machine_news.delete().where(
        machine_news.c.machine_key == bindparam("machine"), machine_news.c.kind == bindparam("kind")
    )
)
_ADD = Prepared(machine_news.insert())


def mark(connection: Connection, machine_key: str, kind: str) -> None:
    """Note that a machine has something new of a kind to fetch."""
    version = int(settings.get(connection, VERSION) or 0) + 1
    settings.put(connection, VERSION, str(version))
    _REMOVE.run(connection, {"machine": machine_key, "kind": kind})
    _ADD.run(connection, {"machine_key": machine_key, "kind": kind, "version": version})
    notices.post(connection, "work")


def clear(connection: Connection, machine_key: str, kind: str) -> None:
    """Note that a machine has fetched all of a kind."""
    _REMOVE.run(connection, {"machine": machine_key, "kind": kind})


_ANY = Prepared(select(machine_news.c.kind).where(machine_news.c.machine_key == bindparam("machine")))


def kinds(connection: Connection, machine_key: str) -> set[str]:
    """Return the kinds of which a machine has something new to fetch."""
    return {str(row[0]) for row in _ANY.rows(connection, {"machine": machine_key})}


# A walk along the index of versions: nothing new, nothing read.
_SINCE = Prepared(
    select(machine_news.c.machine_key, machines.c.principal_id, machine_news.c.version)
    .join(machines, machines.c.machine_key == machine_news.c.machine_key)
    .where(machine_news.c.version > bindparam("version"))
    .order_by(machine_news.c.version)
)


def since(connection: Connection, version: int) -> list[News]:
    """Return what was noted after a version and not fetched since, the oldest first."""
    return [News(*row) for row in _SINCE.rows(connection, {"version": version})]


_LATEST = Prepared(select(func.max(machine_news.c.version)))


def latest(connection: Connection) -> int:
    """Return the newest version that is there; 0: no machine has anything to fetch."""
    found = _LATEST.first(connection, {})
    return int(found[0] or 0) if found else 0


def remove(connection: Connection, machine_key: str) -> None:
    """Forget a machine that is removed."""
    connection.execute(machine_news.delete().where(machine_news.c.machine_key == machine_key))
