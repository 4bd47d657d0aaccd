"""Resources across subscriptions, by conditions that the store can look after itself.

A condition may let more through than it says only where its maker knows: whoever asks for
more than the store can tell looks at the rows again. Rows come in the order of their keys
unless another order is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, false, func, not_, or_, select, true

from landbridge_server.store.resources import Stored
from landbridge_server.store.schema import resource_tags, resources

COLUMNS = {
    "key": resources.c.key,
    "name": resources.c.name_key,
    "type": resources.c.type_key,
    "location": resources.c.location,
    "group": resources.c.group_key,
    "subscription": resources.c.subscription_id,
}
"""The words of ``Is``, and the lower-case columns behind them."""


_ROW = [resources.c[name] for name in Stored._fields]


@dataclass(frozen=True)
class Visible:
    """What may be seen of a subscription: these types; everywhere, or within these keys only."""

    subscription_id: str
    types: tuple[str, ...]
    within: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Is:
    """A lower-case column and lower-case values. ``how``: in, contains, startswith, endswith."""

    column: str
    how: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Tagged:
    """A tag, by its name without case, has one of these values."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Every:
    """All of these hold."""

    terms: tuple[Condition, ...] = ()


@dataclass(frozen=True)
class Some:
    """One of these holds."""

    terms: tuple[Condition, ...]


@dataclass(frozen=True)
class Inverse:
    """This does not hold."""

    term: Condition


Condition = Is | Tagged | Every | Some | Inverse


def _sql(condition: Condition) -> ColumnElement[bool]:
    match condition:
        case Every():
            return and_(true(), *(_sql(one) for one in condition.terms))
        case Some():
            return or_(false(), *(_sql(one) for one in condition.terms))
        case Inverse():
            return not_(_sql(condition.term))
        case Tagged():
            # Not a correlated question: those who carry a tag are found by the tag.
            carried = select(resource_tags.c.resource_key).where(
                resource_tags.c.name_key == condition.name.lower(),
                resource_tags.c.value.in_(condition.values),
            )
            return resources.c.key.in_(carried)
    column = COLUMNS[condition.column]
    if condition.how == "in":
        return column.in_(condition.values)
    compare = getattr(column, condition.how)
    return or_(*(compare(value, autoescape=True) for value in condition.values))


_POINTED = frozenset({"name", "group", "key"})


def _is_pointed(condition: Condition) -> bool:
    """Say whether a condition leads to few resources by another index than that of types."""
    match condition:
        case Every():
            return any(_is_pointed(one) for one in condition.terms)
        case Is():
            return condition.how == "in" and condition.column in _POINTED
    return False


def _seen(visible: Sequence[Visible], pointed: bool) -> ColumnElement[bool]:
    return or_(false(), *(_place(one, pointed) for one in visible))


def _place(one: Visible, pointed: bool) -> ColumnElement[bool]:
    # An expression has no index: the database is not led to walk along all of a type.
    type_key = func.coalesce(resources.c.type_key, "") if pointed else resources.c.type_key
    inside = and_(resources.c.subscription_id == one.subscription_id, type_key.in_(one.types))
    if one.within is None:
        return inside
    groups = [scope.split("/")[4] for scope in one.within if scope.count("/") == 4]
    return and_(inside, or_(resources.c.group_key.in_(groups), resources.c.key.in_(one.within)))


def _where(visible: Sequence[Visible], condition: Condition) -> ColumnElement[bool]:
    return and_(_seen(visible, _is_pointed(condition)), _sql(condition))


def count(connection: Connection, visible: Sequence[Visible], condition: Condition) -> int:
    """Return how many resources there are."""
    query = select(func.count()).select_from(resources).where(_where(visible, condition))
    return int(connection.execute(query).scalar() or 0)


def page(
    connection: Connection,
    visible: Sequence[Visible],
    condition: Condition,
    *,
    limit: int,
    after: str = "",
    offset: int = 0,
    order: Sequence[tuple[str, bool]] = (),
) -> list[Stored]:
    """Return resources behind the key ``after``; ``order`` is columns, each descending or not."""
    query = select(*_ROW).where(_where(visible, condition))
    if after:
        query = query.where(resources.c.key > after)
    for name, descending in order:
        query = query.order_by(COLUMNS[name].desc() if descending else COLUMNS[name].asc())
    query = query.order_by(resources.c.key).limit(limit).offset(offset)
    return [Stored._make(row) for row in connection.execute(query)]


def grouped(
    connection: Connection, visible: Sequence[Visible], condition: Condition, columns: Sequence[str]
) -> list[tuple[Any, ...]]:
    """Return each combination of values of these columns, and how many resources have it."""
    wanted = [COLUMNS[name] for name in columns]
    query = select(*wanted, func.count()).select_from(resources).where(_where(visible, condition))
    return [tuple(row) for row in connection.execute(query.group_by(*wanted).order_by(*wanted))]


def named(connection: Connection, keys: Sequence[str]) -> dict[str, Stored]:
    """Return the resources with these keys."""
    query = select(*_ROW).where(resources.c.key.in_(keys))
    found = [Stored._make(row) for row in connection.execute(query)]
    return {one.key: one for one in found}
