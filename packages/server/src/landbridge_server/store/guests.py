"""Guests: users who may act in further tenants than the one that they were created in."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, select

from landbridge_server.store.prepared import Prepared
from landbridge_server.store.schema import (
    applications,
    directory_role_assignments,
    group_members,
    groups,
    guests,
    owners,
    principals,
    role_assignments,
    tenants,
)
from landbridge_server.store.tenants import Tenant

_IS_GUEST = Prepared(
    select(guests.c.object_id).where(
        guests.c.object_id == bindparam("key"), guests.c.tenant_id == bindparam("tenant")
    )
)


def add(connection: Connection, tenant_id: str, object_id: str, now: float) -> bool:
    """Make a user a guest of a tenant; say no if it is one already."""
    if is_guest(connection, tenant_id, object_id):
        return False
    connection.execute(guests.insert().values(tenant_id=tenant_id, object_id=object_id, created_at=now))
    return True


def is_guest(connection: Connection, tenant_id: str, object_id: str) -> bool:
    """Say whether a user is a guest of a tenant; in the own one nobody is."""
    return bool(_IS_GUEST.rows(connection, {"key": object_id, "tenant": tenant_id}))


def remove(connection: Connection, tenant_id: str, object_id: str) -> bool:
    """End what a user is in a tenant: roles, memberships and what it owns; say no if it was no guest."""
    removed = connection.execute(
        guests.delete().where(guests.c.tenant_id == tenant_id, guests.c.object_id == object_id)
    )
    connection.execute(
        role_assignments.delete().where(
            role_assignments.c.tenant_id == tenant_id, role_assignments.c.principal_id == object_id
        )
    )
    connection.execute(
        directory_role_assignments.delete().where(
            directory_role_assignments.c.tenant_id == tenant_id,
            directory_role_assignments.c.principal_id == object_id,
        )
    )
    there = select(groups.c.object_id).where(groups.c.tenant_id == tenant_id)
    connection.execute(
        group_members.delete().where(
            group_members.c.member_id == object_id, group_members.c.group_id.in_(there)
        )
    )
    owned = there.union(
        select(applications.c.object_id).where(applications.c.tenant_id == tenant_id),
        select(principals.c.object_id).where(principals.c.tenant_id == tenant_id),
    )
    connection.execute(owners.delete().where(owners.c.owner_id == object_id, owners.c.object_id.in_(owned)))
    return removed.rowcount == 1


def tenants_of(connection: Connection, object_id: str) -> list[Tenant]:
    """Return the tenants in which a principal may act: the own one, then where it is a guest."""
    own = select(principals.c.tenant_id).where(principals.c.object_id == object_id)
    rows = connection.execute(
        select(tenants)
        .join(guests, guests.c.tenant_id == tenants.c.tenant_id)
        .where(guests.c.object_id == object_id)
        .order_by(guests.c.created_at, guests.c.tenant_id)
    ).all()
    home = connection.execute(select(tenants).where(tenants.c.tenant_id.in_(own))).all()
    return [Tenant(*row) for row in (*home, *rows)]


def of_tenant(connection: Connection, tenant_id: str) -> list[str]:
    """Return the object ids of a tenant's guests, the oldest first."""
    rows = connection.execute(
        select(guests.c.object_id)
        .where(guests.c.tenant_id == tenant_id)
        .order_by(guests.c.created_at, guests.c.object_id)
    )
    return [str(row[0]) for row in rows]
