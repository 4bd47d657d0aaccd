"""Lists of users, service principals, groups and applications: of one tenant, by name, in pages.

A page begins after the place of the last object of the page before: its lower-case display
name and its object id.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Table, func, select, tuple_

from landbridge_server.store.applications import Application, owner_of_uri
from landbridge_server.store.conditions import Condition, resolved, sql
from landbridge_server.store.groups import Group
from landbridge_server.store.principals import COLUMNS, Principal, from_row
from landbridge_server.store.schema import applications, groups, guests, principals

Place = tuple[str, str]
"""A lower-case display name and an object id."""

START: Place = ("", "")


def _where(connection: Connection, table: Table, tenant_id: str, condition: Condition) -> ColumnElement[bool]:
    return sql(table, resolved(condition, lambda uri: owner_of_uri(connection, tenant_id, uri)))


def _rows(
    connection: Connection,
    columns: Sequence[ColumnElement[Any]],
    table: Table,
    conditions: Sequence[ColumnElement[bool]],
    after: Place,
    limit: int,
) -> list[Any]:
    if after != START:  # on the first page SQLite would take the place for the best way in
        conditions = (*conditions, tuple_(table.c.name_key, table.c.object_id) > tuple_(*after))
    statement = select(*columns).where(*conditions).order_by(table.c.name_key, table.c.object_id).limit(limit)
    return list(connection.execute(statement))


def principals_page(
    connection: Connection,
    tenant_id: str,
    kinds: Sequence[str],
    condition: Condition,
    after: Place,
    limit: int,
) -> list[Principal]:
    """Return up to ``limit`` principals of some kinds, in order, those after a place."""
    found: list[Principal] = []
    for kind in kinds:  # each kind is a walk along the index
        own = (
            principals.c.tenant_id == tenant_id,
            principals.c.kind == kind,
            _where(connection, principals, tenant_id, condition),
        )
        found += [from_row(row) for row in _rows(connection, COLUMNS, principals, own, after, limit)]
    return sorted(found, key=lambda one: (one.display_name.lower(), one.object_id))[:limit]


def guests_page(
    connection: Connection, tenant_id: str, condition: Condition, after: Place, limit: int
) -> list[Principal]:
    """Return up to ``limit`` guests of a tenant, in order, those after a place."""
    own = (
        principals.c.object_id.in_(_guests(tenant_id)),
        _where(connection, principals, tenant_id, condition),
    )
    return [from_row(row) for row in _rows(connection, COLUMNS, principals, own, after, limit)]


def _guests(tenant_id: str) -> Select[tuple[str]]:
    return select(guests.c.object_id).where(guests.c.tenant_id == tenant_id)


def groups_page(
    connection: Connection, tenant_id: str, condition: Condition, after: Place, limit: int
) -> list[Group]:
    """Return up to ``limit`` groups, in order, those after a place."""
    own = (groups.c.tenant_id == tenant_id, _where(connection, groups, tenant_id, condition))
    return [Group(*row) for row in _rows(connection, tuple(groups.c), groups, own, after, limit)]


def applications_page(
    connection: Connection, tenant_id: str, condition: Condition, after: Place, limit: int
) -> list[Application]:
    """Return up to ``limit`` applications, in order, those after a place."""
    own = (applications.c.tenant_id == tenant_id, _where(connection, applications, tenant_id, condition))
    columns = tuple(applications.c)
    return [Application(*row) for row in _rows(connection, columns, applications, own, after, limit)]


def count_principals(
    connection: Connection, tenant_id: str, kinds: Sequence[str], condition: Condition
) -> int:
    """Count the principals of some kinds for which a condition holds."""
    return _count(connection, principals, tenant_id, condition, principals.c.kind.in_(list(kinds)))


def count_guests(connection: Connection, tenant_id: str, condition: Condition) -> int:
    """Count the guests of a tenant for whom a condition holds."""
    own = (
        principals.c.object_id.in_(_guests(tenant_id)),
        _where(connection, principals, tenant_id, condition),
    )
    return connection.execute(select(func.count()).select_from(principals).where(*own)).scalar() or 0


def count_groups(connection: Connection, tenant_id: str, condition: Condition) -> int:
    """Count the groups for which a condition holds."""
    return _count(connection, groups, tenant_id, condition)


def count_applications(connection: Connection, tenant_id: str, condition: Condition) -> int:
    """Count the applications for which a condition holds."""
    return _count(connection, applications, tenant_id, condition)


def _count(
    connection: Connection,
    table: Table,
    tenant_id: str,
    condition: Condition,
    *more: ColumnElement[bool],
) -> int:
    own = (table.c.tenant_id == tenant_id, _where(connection, table, tenant_id, condition), *more)
    return connection.execute(select(func.count()).select_from(table).where(*own)).scalar() or 0
