"""Conditions that a list can be narrowed by, without SQL: what a filter means to the store.

Columns are named by whoever makes a condition, never by a client; values are bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Table, and_, false, not_, or_, select, true

from landbridge_server.store.schema import identifier_uris

LAST = "\U0010ffff"
"""Sorts behind every text that goes on."""


@dataclass(frozen=True)
class Is:
    """A column has this value."""

    column: str
    value: str | bool


@dataclass(frozen=True)
class Begins:
    """The text of a column begins with this one."""

    column: str
    value: str


@dataclass(frozen=True)
class HasUri:
    """The application has this identifier URI, exactly; the table has a column ``app_id``."""

    uri: str


@dataclass(frozen=True)
class Both:
    """Two conditions hold."""

    left: Condition
    right: Condition


@dataclass(frozen=True)
class Either:
    """One condition of two holds, or both."""

    left: Condition
    right: Condition


@dataclass(frozen=True)
class Not:
    """A condition does not hold."""

    inner: Condition


@dataclass(frozen=True)
class Always:
    """Holds for everything, or for nothing."""

    value: bool = True


Condition = Is | Begins | HasUri | Both | Either | Not | Always


def sql(table: Table, condition: Condition) -> ColumnElement[bool]:
    """Return a condition on the rows of a table."""
    if isinstance(condition, Both):
        return and_(sql(table, condition.left), sql(table, condition.right))
    if isinstance(condition, Either):
        return or_(sql(table, condition.left), sql(table, condition.right))
    if isinstance(condition, Not):
        return not_(sql(table, condition.inner))
    if isinstance(condition, Always):
        return true() if condition.value else false()
    if isinstance(condition, HasUri):
        named = select(identifier_uris.c.app_id).where(identifier_uris.c.uri == condition.uri)
        return table.c.app_id.in_(named)
    column: ColumnElement[Any] = table.c[condition.column]
    if isinstance(condition, Begins):
        return and_(column >= condition.value, column < condition.value + LAST)
    return column == condition.value
