"""Nobody takes away the last administrator: neither of the directory nor of a subscription or the root.

``roleAssignments`` and ``roleManagement`` refuse to take the last role away; the same holds for whoever
holds it, when it is deleted, disabled or turned out. Who is disabled counts as nobody.

Not looked at: members who leave a group that holds the last role.
"""

from __future__ import annotations

from landbridge_server.arm.holdings import enclosing
from landbridge_server.arm.roles import OWNER, USER_ACCESS_ADMINISTRATOR
from landbridge_server.identity import directory_roles as templates
from landbridge_server.microsoft_graph.errors import bad
from landbridge_server.store import directory_roles, principals, role_assignments
from landbridge_server.store.database import Connection

ADMINISTRATORS = (OWNER.guid, USER_ACCESS_ADMINISTRATOR.guid)
"""Roles that give roles."""


def refuse_last(connection: Connection, tenant_id: str, object_id: str) -> None:
    """Return if others remain who administer what this principal or group administers in a tenant.

    Raises:
        GraphError: Request_BadRequest.
    """
    kings = directory_roles.holders(connection, tenant_id, templates.GLOBAL_ADMINISTRATOR.guid)
    ids = {one.principal_id for one in kings}
    if object_id in ids and not any(_is_in(connection, other) for other in ids - {object_id}):
        raise bad("The last Global Administrator stays: give the role to somebody else first.")
    for scope in role_assignments.wide_scopes_of(connection, tenant_id, object_id, ADMINISTRATORS):
        others = role_assignments.holders_at(connection, tenant_id, enclosing(scope), ADMINISTRATORS)
        if not any(_is_in(connection, other) for other in others - {object_id}):
            raise bad(
                f"The last one who may give roles at '{scope}' stays: give somebody else '{OWNER.name}' or "
                f"'{USER_ACCESS_ADMINISTRATOR.name}' there first."
            )


def _is_in(connection: Connection, object_id: str) -> bool:
    """Say whether a holder may sign in; a group may be somebody."""
    found = principals.get(connection, object_id)
    return found is None or found.enabled
