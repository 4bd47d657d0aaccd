"""Giving a role without asking anybody: for the first start and the command line."""

from __future__ import annotations

from landbridge_server.arm.custom_roles import AnyRole
from landbridge_server.arm.names import new_guid
from landbridge_server.store import role_assignments
from landbridge_server.store.database import Connection
from landbridge_server.store.role_assignments import Assignment

NAMESPACE = "Microsoft.Authorization"


def principal_type(kind: str) -> str:
    """Return how role assignments name a kind of principal: a managed identity is a service principal."""
    return "User" if kind == "User" else "ServicePrincipal"


def assignment_id(scope: str, name: str) -> str:
    """Return the id of an assignment at a scope, which is ``/`` or an id."""
    above = "" if scope == "/" else scope
    return f"{above}/providers/{NAMESPACE}/roleAssignments/{name}"


def grant(
    connection: Connection,
    *,
    tenant_id: str,
    principal_id: str,
    principal_type: str,
    role: AnyRole,
    scope: str,
    now: float,
    by: str = "",
    name: str = "",
    description: str = "",
) -> Assignment:
    """Assign a role at a scope; whoever holds it there already keeps the old assignment.

    ``principal_type`` is User or ServicePrincipal; ``by`` the object id of the giver, empty
    for the operator of the cloud. That principal and scope exist is not checked.
    """
    known = role_assignments.same(connection, scope.lower(), role.guid, principal_id)
    if known is not None:
        return known
    chosen = name or new_guid()
    made = Assignment(
        assignment_key=assignment_id(scope, chosen).lower(),
        name=chosen,
        scope=scope,
        scope_key=scope.lower(),
        tenant_id=tenant_id,
        role_definition=role.guid,
        principal_id=principal_id,
        principal_type=principal_type,
        description=description,
        created_at=now,
        created_by=by,
    )
    role_assignments.add(connection, made)
    return made
