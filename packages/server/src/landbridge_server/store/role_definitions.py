"""Custom roles: the role definitions that users of a tenant wrote.

The built-in roles are code, in ``arm/roles.py``. ``guid`` is lower case; ``permissions`` and
``assignable_scopes`` are JSON.
"""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, bindparam, func, select

from landbridge_server.store.prepared import Prepared
from landbridge_server.store.schema import role_definitions


class Definition(NamedTuple):
    """One custom role."""

    tenant_id: str
    guid: str
    name: str
    name_key: str
    description: str
    permissions: str
    assignable_scopes: str
    created_at: float
    created_by: str
    changed_at: float
    changed_by: str


_GET = Prepared(
    select(role_definitions).where(
        role_definitions.c.tenant_id == bindparam("tenant_id"), role_definitions.c.guid == bindparam("guid")
    )
)


def get(connection: Connection, tenant_id: str, guid: str) -> Definition | None:
    """Return the custom role of a tenant with this lower-case GUID."""
    row = _GET.first(connection, {"tenant_id": tenant_id, "guid": guid})
    return Definition(*row) if row is not None else None


def named(connection: Connection, tenant_id: str, name: str) -> Definition | None:
    """Return the custom role of a tenant with this name, in any casing."""
    row = connection.execute(
        select(role_definitions).where(
            role_definitions.c.tenant_id == tenant_id, role_definitions.c.name_key == name.lower()
        )
    ).first()
    return Definition(*row) if row is not None else None


def of_tenant(connection: Connection, tenant_id: str) -> list[Definition]:
    """Return all custom roles of a tenant, by name."""
    rows = connection.execute(
        select(role_definitions)
        .where(role_definitions.c.tenant_id == tenant_id)
        .order_by(role_definitions.c.name_key)
    )
    return [Definition(*row) for row in rows]


def count(connection: Connection, tenant_id: str) -> int:
    """Return how many custom roles a tenant has."""
    where = role_definitions.c.tenant_id == tenant_id
    return int(
        connection.execute(select(func.count()).select_from(role_definitions).where(where)).scalar_one()
    )


def put(connection: Connection, definition: Definition, *, is_new: bool) -> None:
    """Add or replace a custom role."""
    if is_new:
        connection.execute(role_definitions.insert(), definition._asdict())
        return
    connection.execute(
        role_definitions.update()
        .where(
            role_definitions.c.tenant_id == definition.tenant_id, role_definitions.c.guid == definition.guid
        )
        .values(**definition._asdict())
    )


def remove(connection: Connection, tenant_id: str, guid: str) -> None:
    """Remove a custom role."""
    connection.execute(
        role_definitions.delete().where(
            role_definitions.c.tenant_id == tenant_id, role_definitions.c.guid == guid
        )
    )
