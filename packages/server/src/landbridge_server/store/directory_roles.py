"""Who holds which role of the directory itself. Roles go by the GUID of their template."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, insert, select

from landbridge_server.store.prepared import Prepared
from landbridge_server.store.schema import directory_role_assignments


class DirectoryRoleAssignment(NamedTuple):
    """One role of one principal; ``created_by`` is an object id, empty for the operator of the cloud."""

    principal_id: str
    role: str
    tenant_id: str
    created_at: float
    created_by: str


_OF = Prepared(
    select(directory_role_assignments.c.role, directory_role_assignments.c.tenant_id).where(
        directory_role_assignments.c.principal_id == bindparam("key")
    )
)


def roles_of(connection: Connection, principal_id: str) -> frozenset[str]:
    """Return the roles that a principal holds, in whatever tenant."""
    return frozenset(str(row[0]) for row in _OF.rows(connection, {"key": principal_id}))


def roles_in(connection: Connection, tenant_id: str, principal_id: str) -> frozenset[str]:
    """Return the roles that a principal holds in a tenant: those of its own give a guest nothing."""
    rows = _OF.rows(connection, {"key": principal_id})
    return frozenset(str(row[0]) for row in rows if row[1] == tenant_id)


def assign(connection: Connection, assignment: DirectoryRoleAssignment) -> bool:
    """Give a role; say whether the principal did not hold it yet."""
    if assignment.role in roles_of(connection, assignment.principal_id):
        return False
    connection.execute(insert(directory_role_assignments), assignment._asdict())
    return True


def remove(connection: Connection, principal_id: str, role: str) -> bool:
    """Take a role away; say whether the principal held it."""
    done = connection.execute(
        delete(directory_role_assignments).where(
            directory_role_assignments.c.principal_id == principal_id,
            directory_role_assignments.c.role == role,
        )
    )
    return done.rowcount == 1


def holders(connection: Connection, tenant_id: str, role: str = "") -> list[DirectoryRoleAssignment]:
    """Return who holds a role in a tenant, or any role, the oldest assignment first."""
    table = directory_role_assignments
    query = select(table).where(table.c.tenant_id == tenant_id)
    if role:
        query = query.where(table.c.role == role)
    rows = connection.execute(query.order_by(table.c.created_at, table.c.principal_id, table.c.role))
    return [DirectoryRoleAssignment(*row) for row in rows]
