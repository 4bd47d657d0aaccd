"""Resources of every type, and resource groups: one row each, addressed by lower-case id.

What lies below a resource has a key that begins with the resource's key and ``/``. Lists are
walked in the order of the key, so that the last key of a page is where the next one begins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, bindparam, or_, select, update

from landbridge_server.store import queries
from landbridge_server.store.prepared import Prepared
from landbridge_server.store.queries import Query as Query
from landbridge_server.store.queries import Tag as Tag
from landbridge_server.store.schema import resource_tags, resources


class Stored(NamedTuple):
    """One row. ``document`` is the JSON envelope as last written; times are unix seconds.

    ``shown`` is what readers see, where that is more (``arm.shown``), made from the document
    that had ``shown_etag``.
    """

    key: str
    resource_id: str
    subscription_id: str
    group_key: str
    type_key: str
    name_key: str
    parent_key: str
    tracked: bool
    location: str
    document: str
    etag: str
    created_at: float
    changed_at: float
    shown: bytes | None = None
    shown_etag: str | None = None


_GET = Prepared(select(resources).where(resources.c.key == bindparam("key")))
_INSERT = Prepared(resources.insert())
# What else a row has follows from its key. Not to write it spares all indices.
_CHANGING = ("resource_id", "location", "document", "etag", "changed_at", "shown", "shown_etag")
_UPDATE = Prepared(
    update(resources)
    .where(resources.c.key == bindparam("old_key"))
    .values({name: bindparam(f"new_{name}") for name in _CHANGING})
)
_INSERT_TAG = Prepared(resource_tags.insert())
_REMOVE_TAGS = Prepared(resource_tags.delete().where(resource_tags.c.resource_key == bindparam("key")))
_UPDATE_TAG = Prepared(
    update(resource_tags)
    .where(resource_tags.c.resource_key == bindparam("key"), resource_tags.c.name_key == bindparam("old"))
    .values(name=bindparam("new_name"), value=bindparam("new_value"))
)
_REMOVE_TAG = Prepared(
    resource_tags.delete().where(
        resource_tags.c.resource_key == bindparam("key"), resource_tags.c.name_key == bindparam("name")
    )
)
_SET_SHOWN = Prepared(
    update(resources)
    .where(resources.c.key == bindparam("old_key"))
    .values(shown=bindparam("new_shown"), shown_etag=resources.c.etag)
)
_EXISTS = Prepared(select(resources.c.key).where(resources.c.key == bindparam("key")))


def get(connection: Connection, key: str) -> Stored | None:
    """Return the resource with this lower-case id."""
    row = _GET.first(connection, {"key": key})
    return Stored(*row) if row is not None else None


def exists(connection: Connection, key: str) -> bool:
    """Say whether there is a resource with this lower-case id."""
    return _EXISTS.first(connection, {"key": key}) is not None


def put(
    connection: Connection,
    row: Stored,
    tags: Mapping[str, str],
    *,
    is_new: bool,
    old_tags: Mapping[str, str] | None = None,
) -> None:
    """Write a resource and its tags.

    Of one that is not new, only what a write can change: key, type, parent and the time of
    creation stay as they are. Of its tags, only those that are not the same in ``old_tags``,
    where the caller knows what is there.
    """
    if is_new:
        _INSERT.run(connection, row._asdict())
        old_tags = {}
    else:
        values = {f"new_{name}": getattr(row, name) for name in _CHANGING}
        values["old_key"] = row.key
        _UPDATE.run(connection, values)
    _put_tags(connection, row.key, tags, old_tags)


def set_shown(connection: Connection, key: str, shown: bytes) -> None:
    """Replace what readers see of a resource; the resource itself has not changed."""
    _SET_SHOWN.run(connection, {"old_key": key, "new_shown": shown})


def _put_tags(
    connection: Connection, key: str, tags: Mapping[str, str], old: Mapping[str, str] | None
) -> None:
    if old is None:
        _REMOVE_TAGS.run(connection, {"key": key})
        old = {}
    before = {name.lower() for name in old}
    after = {name.lower() for name in tags}
    for name_key in before - after:
        _REMOVE_TAG.run(connection, {"key": key, "name": name_key})
    for name, value in tags.items():
        name_key = name.lower()
        if name_key not in before:
            row = {"resource_key": key, "name_key": name_key, "name": name, "value": value}
            _INSERT_TAG.run(connection, row)
        elif old.get(name) != value:
            _UPDATE_TAG.run(connection, {"key": key, "old": name_key, "new_name": name, "new_value": value})


def _below(column: ColumnElement[str], key: str) -> ColumnElement[bool]:
    # "0" follows "/": the range holds exactly the keys that begin with the key and "/".
    return and_(column > key + "/", column < key + "0")


@lru_cache(maxsize=16)
def _at_or_below(types: int) -> Prepared:
    """Return the statement for a resource and what is under it: one walk along the keys."""
    key = resources.c.key
    statement = select(resources).where(
        key >= bindparam("key"),
        key < bindparam("last"),
        or_(key == bindparam("key"), key > bindparam("first")),  # not the name that only begins alike
    )
    if types:
        statement = statement.where(
            resources.c.type_key.in_([bindparam(f"type{number}") for number in range(types)])
        )
    return Prepared(statement.order_by(key))


def find(connection: Connection, query: Query) -> list[Stored]:
    """Return a page of resources in the order of their keys."""
    return [Stored._make(row) for row in queries.rows(connection, Stored._fields, query)]


def below(connection: Connection, key: str, types: Sequence[str] = ()) -> list[Stored]:
    """Return a resource and everything under it, the deepest last; optionally only some types."""
    parameters = {f"type{number}": name for number, name in enumerate(types)}
    parameters |= {"key": key, "first": key + "/", "last": key + "0"}
    return [Stored(*row) for row in _at_or_below(len(types)).rows(connection, parameters)]


# "0" follows "/": the range holds exactly the keys that begin with the key and "/". Two
# statements instead of one with "or", so that each is one walk along an index.
_REMOVE = [
    Prepared(statement)
    for column in (resource_tags.c.resource_key, resources.c.key)
    for statement in (
        column.table.delete().where(column == bindparam("key")),
        column.table.delete().where(column > bindparam("first"), column < bindparam("last")),
    )
]


def remove_below(connection: Connection, key: str) -> None:
    """Remove a resource, everything under it, and all their tags."""
    for statement in _REMOVE:
        statement.run(connection, {"key": key, "first": key + "/", "last": key + "0"})


def any_of_namespace(connection: Connection, subscription_id: str, namespace: str) -> bool:
    """Say whether a subscription holds a resource of this namespace."""
    prefix = namespace.lower()
    row = connection.execute(
        select(resources.c.key)
        .where(resources.c.subscription_id == subscription_id, _below(resources.c.type_key, prefix))
        .limit(1)
    ).first()
    return row is not None
