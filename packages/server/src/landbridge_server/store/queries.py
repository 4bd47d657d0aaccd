"""Lists of resources: which rows, in the order of their keys, a page at a time.

The statement of a page depends on which conditions there are, not on their values: each is
put into words once and kept. Only a list of scopes, which may hold thousands, is put into
words anew every time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, FromClause, Select, bindparam, case, or_, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from landbridge_server.store.prepared import Prepared
from landbridge_server.store.schema import resource_tags, resources


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
    "key": "key",
    "group": "group_key",
    "type": "type_key",
    "name": "name_key",
    "location": "location",
}
"""The words of ``equal``, ``unequal`` and ``contains``, and their columns."""


class _Part(NamedTuple):
    """One condition without its values."""

    kind: str
    column: str = ""
    values: int = 1


def _pattern(text: str) -> str:
    escaped = text.replace("/", "//").replace("%", "/%").replace("_", "/_")
    return f"%{escaped}%"


class _Walked(FunctionElement[str]):
    """A column that SQLite shall walk along rather than look up."""

    name = "walked"
    inherit_cache = True


@compiles(_Walked)
def _as_it_is(element: _Walked, compiler: SQLCompiler, **more: Any) -> str:
    return compiler.process(element.clauses, **more)


@compiles(_Walked, "sqlite")
def _with_a_plus(element: _Walked, compiler: SQLCompiler, **more: Any) -> str:
    return "+" + compiler.process(element.clauses, **more)  # the plus keeps the planner from an index


def _parts(query: Query) -> Iterator[tuple[_Part, tuple[str, ...]]]:
    for name in ("subscription_id", "group_key", "type_key", "parent_key"):
        value = getattr(query, name)
        if value and not (name == "subscription_id" and query.parent_key):  # the parent says that, too
            yield _Part("=", name), (value,)
    if query.tracked:
        yield _Part("tracked", values=0), ()
    if query.below:
        # "0" follows "/": the range holds exactly the keys that begin with the key and "/".
        yield _Part("between", values=2), (query.below + "/", query.below + "0")
    for name, value in query.equal:
        if name == "group" and query.subscription_id:  # as a range of the keys, in which they are walked
            group = f"/subscriptions/{query.subscription_id}/resourcegroups/{value}"
            yield _Part("between", values=2), (group + "/", group + "0")
        else:
            yield _Part("=", FILTERABLE[name]), (value,)
    for name, value in query.unequal:
        yield _Part("!=", FILTERABLE[name]), (value,)
    for name, value in query.contains:
        yield _Part("like", FILTERABLE[name]), (_pattern(value),)
    for tag in query.tags:
        given = (tag.name.lower(),) if tag.value is None else (tag.name.lower(), tag.value)
        yield _Part("tag", values=len(given)), given
    if query.after:
        yield _Part("after"), (query.after,)


def _condition(part: _Part, names: Sequence[str]) -> ColumnElement[bool]:
    bound: list[ColumnElement[Any]] = [bindparam(name) for name in names]
    key = resources.c.key
    match part.kind:
        case "tracked":
            return resources.c.tracked.is_(True)
        case "between":
            return (key > bound[0]) & (key < bound[1])
        case "=":
            return resources.c[part.column] == bound[0]
        case "!=":
            return resources.c[part.column] != bound[0]
        case "like":
            return resources.c[part.column].like(bound[0], escape="/")
    other = resource_tags.alias()
    return select(other.c.resource_key).where(other.c.resource_key == key, *_tag(part, names, other)).exists()


def _tag(part: _Part, names: Sequence[str], tags: FromClause = resource_tags) -> list[ColumnElement[bool]]:
    wanted = [tags.c.name_key == bindparam(names[0])]
    return wanted if part.values == 1 else [*wanted, tags.c.value == bindparam(names[1])]


SHOWN = "shown now"
"""Not a column, but ``shown`` while it is as new as the document, and NULL otherwise."""

_SHOWN_NOW = case((resources.c.shown_etag == resources.c.etag, resources.c.shown))


def _statement(columns: Sequence[str], parts: Sequence[_Part]) -> Select[Any]:
    wanted = [_SHOWN_NOW if name == SHOWN else resources.c[name] for name in columns]
    statement, at, order = select(*wanted), 0, resources.c.key
    for part in parts:
        names = [f"value{number}" for number in range(at, at + part.values)]
        at += part.values
        if part.kind == "tag" and order is resources.c.key:
            # Those who carry the tag are few, and their rows lie in the order of the page.
            order = resource_tags.c.resource_key
            statement = statement.where(_Walked(order) == resources.c.key, *_tag(part, names))
        elif part.kind == "after":
            statement = statement.where(order > bindparam(names[0]))
        else:
            statement = statement.where(_condition(part, names))
    return statement.order_by(order).limit(bindparam("most"))


@lru_cache(maxsize=256)
def _prepared(columns: tuple[str, ...], parts: tuple[_Part, ...]) -> Prepared:
    return Prepared(_statement(columns, parts))


def _in_scopes(scopes: Sequence[str]) -> ColumnElement[bool]:
    """Return whether a row of a list is one of the scopes, or in a group that is one.

    As lists of values, because there may be thousands. A scope in the middle, such as a
    parent, needs no mention: whoever may read there is allowed the whole list below it.
    """
    groups = [scope.split("/")[4] for scope in scopes if scope.count("/") == 4]
    return or_(resources.c.group_key.in_(groups), resources.c.key.in_(scopes))


def rows(connection: Connection, columns: tuple[str, ...], query: Query) -> list[Any]:
    """Return these columns of a page of resources, or ``SHOWN``, in the order of their keys.

    Booleans may come as 0 and 1.
    """
    found = list(_parts(query))
    values = [value for _, some in found for value in some]
    parameters: dict[str, Any] = {f"value{number}": value for number, value in enumerate(values)}
    parameters["most"] = query.limit
    parts = tuple(part for part, _ in found)
    if query.within is None:
        return _prepared(columns, parts).rows(connection, parameters)
    statement = _statement(columns, parts).where(_in_scopes(query.within))
    return list(connection.execute(statement, parameters))
