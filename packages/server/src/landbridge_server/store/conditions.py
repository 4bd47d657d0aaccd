"""Conditions that a list can be narrowed by, without SQL: what a filter means to the store.

Columns are named by whoever makes a condition, never by a client; values are bound.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Table, and_, false, not_, or_, true

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
    """The application has this identifier URI, exactly, or this application id, where one is given.

    The table has a column ``app_id``. No URI looks like an id: each has a scheme.
    """

    uri: str
    app_id: str = ""


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


def resolved(condition: Condition, owner_of: Callable[[str], str | None]) -> Condition:
    """Return a condition without URIs; ``owner_of`` returns the application id that has one.

    A database that is asked for one id takes the index of ids, whatever else stands there.
    """
    if isinstance(condition, Both):
        return Both(resolved(condition.left, owner_of), resolved(condition.right, owner_of))
    if isinstance(condition, Either):
        return Either(resolved(condition.left, owner_of), resolved(condition.right, owner_of))
    if isinstance(condition, Not):
        return Not(resolved(condition.inner, owner_of))
    if isinstance(condition, HasUri):
        app_id = owner_of(condition.uri) or condition.app_id
        return Is("app_id", app_id) if app_id else Always(False)
    return condition


def sql(table: Table, condition: Condition) -> ColumnElement[bool]:
    """Return a resolved condition on the rows of a table."""
    if isinstance(condition, Both):
        return and_(sql(table, condition.left), sql(table, condition.right))
    if isinstance(condition, Either):
        return or_(sql(table, condition.left), sql(table, condition.right))
    if isinstance(condition, Not):
        return not_(sql(table, condition.inner))
    if isinstance(condition, Always):
        return true() if condition.value else false()
    if isinstance(condition, HasUri):
        raise TypeError("Whose the URI is must be looked up first: resolved().")
    column: ColumnElement[Any] = table.c[condition.column]
    if isinstance(condition, Begins):
        return and_(column >= condition.value, column < condition.value + LAST)
    return column == condition.value
