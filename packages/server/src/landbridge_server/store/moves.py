"""Resources get new ids: every column that holds the id of one, in one transaction.

What a moved resource is, besides its place, stays: its identity, certificates, what its agent
reported, its tags, locks and roles. History keeps the old ids: events and operations that
have ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Column, Connection, bindparam, func, or_, select, update

from landbridge_server.store import machines as stored_machines
from landbridge_server.store import notices
from landbridge_server.store.resources import Stored
from landbridge_server.store.schema import (
    extension_upgrades,
    machine_news,
    machines,
    output_chunks,
    output_streams,
    presence,
    principals,
    protected,
    resource_tags,
    resources,
    role_assignments,
    work,
)

CARRIED: tuple[Column[Any], ...] = (
    resource_tags.c.resource_key,
    machines.c.machine_key,
    presence.c.machine_key,
    principals.c.resource_key,
    protected.c.resource_key,
    work.c.machine_key,
    work.c.target_key,
    machine_news.c.machine_key,
    extension_upgrades.c.resource_key,
    output_streams.c.resource_key,
    output_chunks.c.resource_key,
)
"""Columns with the key of a resource that only need the new key; resources and roles need more."""

STAYING = frozenset({"events.resource_key"})
"""Columns with the key of a resource that keep the old one."""


class Place(NamedTuple):
    """The lower-case id of a resource before, and its id afterwards."""

    old_key: str
    new_id: str

    @property
    def new_key(self) -> str:
        """The new id in lower case."""
        return self.new_id.lower()

    def rebased(self, text: str) -> str:
        """Return an id at or below the old one as it is afterwards, in the casing of ``text``."""
        depth = self.old_key.count("/") + 1
        return "/".join([self.new_id, *text.split("/")[depth:]])


class MovedMachine(NamedTuple):
    """A machine that has another key now."""

    old_key: str
    new_key: str
    principal_id: str


_FIELDS = (
    "key",
    "resource_id",
    "subscription_id",
    "group_key",
    "name_key",
    "parent_key",
    "document",
    "etag",
    "changed_at",
    "shown",
    "shown_etag",
)
_RENAME = (
    update(resources)
    .where(resources.c.key == bindparam("old_key"))
    .values({name: bindparam(f"new_{name}") for name in _FIELDS})
)


def rename_resources(connection: Connection, rows: Sequence[tuple[str, Stored]]) -> None:
    """Write rows in place of those with the old keys."""
    connection.execute(
        _RENAME,
        [
            {f"new_{name}": getattr(row, name) for name in _FIELDS} | {"old_key": old_key}
            for old_key, row in rows
        ],
    )


def carry_along(connection: Connection, places: Sequence[Place]) -> list[MovedMachine]:
    """Give everything that hangs on resources their new keys; return the machines among them.

    The rows of the resources themselves are not touched.
    """
    moved = _machines_among(connection, places)
    ranges = [_range(one) for one in places]
    for column in CARRIED:
        connection.execute(_rebase(column), ranges)
    _carry_roles(connection, places)
    if moved:
        version = stored_machines.next_version(connection)
        keys = [one.new_key for one in moved]
        connection.execute(update(presence).where(presence.c.machine_key.in_(keys)).values(version=version))
        for one in moved:
            notices.post(connection, "moved", machine=one.old_key, to=one.new_key, principal=one.principal_id)
    return moved


def rename_identity(connection: Connection, principal_id: str, name: str) -> None:
    """Let the identity of a machine that was renamed be called as the machine is."""
    connection.execute(
        update(principals)
        .where(principals.c.object_id == principal_id)
        .values(display_name=name, name_key=name.lower())
    )


def _range(place: Place) -> Mapping[str, Any]:
    # "0" follows "/": the range holds exactly the keys that begin with the key and "/".
    return {
        "at": place.old_key,
        "first": place.old_key + "/",
        "last": place.old_key + "0",
        "new": place.new_key,
        "rest": len(place.old_key) + 1,
    }


def _rebase(column: Column[Any]) -> Any:
    under = (column > bindparam("first")) & (column < bindparam("last"))
    return (
        update(column.table)
        .where(or_(column == bindparam("at"), under))
        .values({column.name: bindparam("new", type_=column.type) + func.substr(column, bindparam("rest"))})
    )


def _machines_among(connection: Connection, places: Sequence[Place]) -> list[MovedMachine]:
    new = {one.old_key: one.new_key for one in places}
    rows = connection.execute(
        select(machines.c.machine_key, machines.c.principal_id).where(machines.c.machine_key.in_(list(new)))
    )
    return [MovedMachine(key, new[key], principal_id) for key, principal_id in rows]


def _carry_roles(connection: Connection, places: Sequence[Place]) -> None:
    column = role_assignments.c.scope_key
    for place in places:
        names = _range(place)
        under = (column > names["first"]) & (column < names["last"])
        found = connection.execute(
            select(role_assignments.c.assignment_key, role_assignments.c.scope).where(
                or_(column == names["at"], under)
            )
        ).all()
        for assignment_key, scope in found:
            after = place.rebased(scope)
            connection.execute(
                update(role_assignments)
                .where(role_assignments.c.assignment_key == assignment_key)
                .values(
                    scope=after,
                    scope_key=after.lower(),
                    assignment_key=after.lower() + assignment_key[len(scope) :],
                )
            )
