"""Giving a role to a principal, outside of a request: the first start, and the command line."""

from __future__ import annotations

import uuid

from landbridge_server.arm.roles import Role
from landbridge_server.store import role_assignments
from landbridge_server.store.database import Connection
from landbridge_server.store.role_assignments import Assignment


def grant(
    connection: Connection,
    *,
    tenant_id: str,
    principal_id: str,
    principal_type: str,
    role: Role,
    scope: str,
    now: float,
) -> Assignment:
    """Assign a role at a scope, and return the assignment; the same one again changes nothing.

    Neither the scope nor the principal is looked up: that is the caller's business.
    """
    clean = "/" + scope.strip("/")
    name = str(uuid.uuid4())
    key = f"{clean.rstrip('/')}/providers/Microsoft.Authorization/roleAssignments/{name}".lower()
    assignment = Assignment(
        assignment_key=key,
        name=name,
        scope=clean,
        scope_key=clean.lower(),
        tenant_id=tenant_id,
        role_definition=role.guid,
        principal_id=principal_id,
        principal_type=principal_type,
        description="",
        created_at=now,
        created_by="",
    )
    existing = role_assignments.same(connection, clean.lower(), role.guid, principal_id)
    if existing is not None:
        return existing
    role_assignments.add(connection, assignment)
    return assignment
