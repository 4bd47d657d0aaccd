"""Resources of every type, and resource groups: one row each, addressed by lower-case id.

What lies below a resource has a key that begins with the resource's key and ``/``. Lists are
walked in the order of the key, so that the last key of a page is where the next one begins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, or_, select, update

from landbridge_server.store.prepared import Prepared
from landbridge_server.store.schema import resource_tags, resources


class Stored(NamedTuple):
    """One row. ``document`` is the JSON envelope as last written; times are unix seconds.

    ``shown`` is what readers see, where that is more: ``arm.shown`` makes it, and knows by the
    ETag when it is older than the document.
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
    shown: str | None = None


class Tag(NamedTuple):
    """A condition on tags: the name without case, and the value, or any value."""

    name: str
    value: str | None = None


@dataclass(frozen=True)
class Query:
    """Which resources a list holds. Empty members do not restrict; all others must hold.

    ``equal`` and ``unequal`` compare columns with lower-case values; ``within`` are keys of
    groups and resources: the resource must be one of them, or in one; ``after`` is the last
    key already seen.
    """

    subscription_id: str = ""
    group_key: str = ""
    type_key: str = ""
    parent_key: str = ""
    tracked: bool = False
    below: str = ""
    equal: tuple[tuple[str, str], ...] = ()
    unequal: tuple[tuple[str, str], ...] = ()
    contains: tuple[tuple[str, str], ...] = ()
    tags: tuple[Tag, ...] = ()
    within: tuple[str, ...] | None = None
    after: str = ""
    limit: int = 1000


FILTERABLE = {
    "group": resources.c.group_key,
    "type": resources.c.type_key,
    "name": resources.c.name_key,
    "location": resources.c.location,
}

_GET = Prepared(select(resources).where(resources.c.key == bindparam("key")))
_INSERT = Prepared(resources.insert())
# What else a row has follows from its key. Not to write it spares all indices.
_CHANGING = ("resource_id", "location", "document", "etag", "changed_at", "shown")
_UPDATE = Prepared(
    update(resources)
    .where(resources.c.key == bindparam("old_key"))
    .values({name: bindparam(f"new_{name}") for name in _CHANGING})
)
_INSERT_TAG = Prepared(resource_tags.insert())
_REMOVE_TAGS = Prepared(resource_tags.delete().where(resource_tags.c.resource_key == bindparam("key")))
_REMOVE_TAG = Prepared(
    resource_tags.delete().where(
        resource_tags.c.resource_key == bindparam("key"), resource_tags.c.name_key == bindparam("name")
    )
)
_SET_SHOWN = Prepared(
    update(resources).where(resources.c.key == bindparam("old_key")).values(shown=bindparam("new_shown"))
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


def set_shown(connection: Connection, key: str, shown: str) -> None:
    """Replace what readers see of a resource; the resource itself has not changed."""
    _SET_SHOWN.run(connection, {"old_key": key, "new_shown": shown})


def _put_tags(
    connection: Connection, key: str, tags: Mapping[str, str], old: Mapping[str, str] | None
) -> None:
    if old is None:
        _REMOVE_TAGS.run(connection, {"key": key})
        old = {}
    leaving = [name for name, value in old.items() if tags.get(name) != value]
    if leaving:
        _REMOVE_TAG.run_all(connection, [{"key": key, "name": name.lower()} for name in leaving])
    coming = [
        {"resource_key": key, "name_key": name.lower(), "name": name, "value": value}
        for name, value in tags.items()
        if old.get(name) != value
    ]
    if coming:
        _INSERT_TAG.run_all(connection, coming)


def _below(column: ColumnElement[str], key: str) -> ColumnElement[bool]:
    # "0" follows "/": the range holds exactly the keys that begin with the key and "/".
    return and_(column > key + "/", column < key + "0")


def _at_or_below(key: str) -> ColumnElement[bool]:
    return or_(resources.c.key == key, _below(resources.c.key, key))


def _in_scopes(scopes: Sequence[str]) -> ColumnElement[bool]:
    """Return whether a row of a list is one of the scopes, or in a group that is one.

    As lists of values, because there may be thousands. A scope in the middle, such as a
    parent, needs no mention: whoever may read there is allowed the whole list below it.
    """
    groups = [scope.split("/")[4] for scope in scopes if scope.count("/") == 4]
    return or_(resources.c.group_key.in_(groups), resources.c.key.in_(scopes))


def _tagged(tag: Tag) -> ColumnElement[bool]:
    query = select(resource_tags.c.resource_key).where(
        resource_tags.c.resource_key == resources.c.key, resource_tags.c.name_key == tag.name.lower()
    )
    if tag.value is not None:
        query = query.where(resource_tags.c.value == tag.value)
    return query.exists()


def _conditions(query: Query) -> Iterable[ColumnElement[bool]]:
    for column, value in (
        (resources.c.subscription_id, query.subscription_id),
        (resources.c.group_key, query.group_key),
        (resources.c.type_key, query.type_key),
        (resources.c.parent_key, query.parent_key),
    ):
        if value:
            yield column == value
    if query.tracked:
        yield resources.c.tracked.is_(True)
    if query.below:
        yield _below(resources.c.key, query.below)
    yield from (FILTERABLE[name] == value for name, value in query.equal)
    yield from (FILTERABLE[name] != value for name, value in query.unequal)
    yield from (FILTERABLE[name].contains(value, autoescape=True) for name, value in query.contains)
    yield from (_tagged(tag) for tag in query.tags)
    if query.within is not None:
        yield _in_scopes(query.within)
    if query.after:
        yield resources.c.key > query.after


def _select(query: Query) -> Select[Any]:
    statement = select(resources).where(*_conditions(query))
    return statement.order_by(resources.c.key).limit(query.limit)


def find(connection: Connection, query: Query) -> list[Stored]:
    """Return a page of resources in the order of their keys."""
    return [Stored._make(row) for row in connection.execute(_select(query)).all()]


def below(connection: Connection, key: str, types: Sequence[str] = ()) -> list[Stored]:
    """Return a resource and everything under it, the deepest last; optionally only some types."""
    statement = select(resources).where(_at_or_below(key)).order_by(resources.c.key)
    if types:
        statement = statement.where(resources.c.type_key.in_(types))
    return [Stored(*row) for row in connection.execute(statement)]


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
