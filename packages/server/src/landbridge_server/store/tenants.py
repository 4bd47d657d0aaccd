"""The tenants of the cloud, by GUID and by verified domain."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, func, select

from landbridge_server.store.schema import tenants


class Tenant(NamedTuple):
    """A tenant; ``default_domain`` is the verified domain that also names it."""

    tenant_id: str
    display_name: str
    default_domain: str
    created_at: float


def add(connection: Connection, tenant: Tenant) -> None:
    """Add a tenant. Whether its domain is free is the caller's business."""
    connection.execute(tenants.insert().values(**tenant._asdict()))


def named(connection: Connection, name: str) -> Tenant | None:
    """Return the tenant with this GUID or verified domain, in any casing."""
    key = name.lower()
    if "\0" in key:
        return None  # PostgreSQL would refuse the question
    row = connection.execute(
        select(tenants).where((tenants.c.tenant_id == key) | (func.lower(tenants.c.default_domain) == key))
    ).first()
    return Tenant(*row) if row is not None else None


def everyone(connection: Connection) -> list[Tenant]:
    """Return all tenants, the oldest first: the first one is the cloud's home tenant."""
    rows = connection.execute(select(tenants).order_by(tenants.c.created_at, tenants.c.tenant_id))
    return [Tenant(*row) for row in rows]
