"""Who may read and change what in the directory. Roles of the resource manager give nothing here.

Reading: every user of the tenant reads all of it, as is Microsoft Entra's default. A guest, a service
principal or a managed identity reads itself, its application, its groups and what it owns; with
any role of the directory (``Directory Readers`` is enough) it reads all.

Changing, beside Global Administrators, who may do everything:

==================  ===========================================================================
users               User Administrator, if the user is not stronger
groups              User and Groups Administrator, and owners of the group; whoever adds a
                    member must hold as much as the group
applications and    Application Administrator, if it is not stronger, and owners; whoever adds
service principals  a credential must hold as much as the service principal
==================  ===========================================================================

Creating is for the roles alone. What "stronger" means stands in ``strength.py``.
"""

from __future__ import annotations

from landbridge_server.arm.access import decided
from landbridge_server.identity import directory_roles as templates
from landbridge_server.identity.caller import Caller
from landbridge_server.identity.directory_roles import DirectoryRole
from landbridge_server.microsoft_graph import strength
from landbridge_server.microsoft_graph.errors import denied
from landbridge_server.store import directory_roles, guests, owners
from landbridge_server.store.database import Connection
from landbridge_server.store.principals import USER

USERS = (templates.USER_ADMINISTRATOR,)
GROUPS = (templates.USER_ADMINISTRATOR, templates.GROUPS_ADMINISTRATOR)
APPLICATIONS = (templates.APPLICATION_ADMINISTRATOR,)


def reads_all(connection: Connection, caller: Caller) -> bool:
    """Say whether the caller may read the whole directory of its tenant."""
    decided()
    if caller.kind == USER and not guests.is_guest(connection, caller.tenant_id, caller.object_id):
        return True
    return bool(directory_roles.roles_in(connection, caller.tenant_id, caller.object_id))


def require_reading(connection: Connection, caller: Caller) -> None:
    """Return if the caller may read the whole directory.

    Raises:
        GraphError: Authorization_RequestDenied.
    """
    if not reads_all(connection, caller):
        raise denied("a service principal or guest without a role of the directory reads only itself")


def owns(connection: Connection, caller: Caller, object_id: str) -> bool:
    """Say whether the caller owns an object."""
    decided()
    return owners.owns(connection, caller.object_id, object_id)


def _holds(connection: Connection, caller: Caller, roles: tuple[DirectoryRole, ...]) -> bool:
    decided()
    held = directory_roles.roles_in(connection, caller.tenant_id, caller.object_id)
    return templates.GLOBAL_ADMINISTRATOR.guid in held or any(role.guid in held for role in roles)


def require_role(connection: Connection, caller: Caller, roles: tuple[DirectoryRole, ...]) -> None:
    """Return if the caller holds one of the roles, or is Global Administrator.

    Raises:
        GraphError: Authorization_RequestDenied.
    """
    if not _holds(connection, caller, roles):
        raise denied(f"needs {' or '.join(role.name for role in roles)}")


def require_managing(
    connection: Connection, caller: Caller, roles: tuple[DirectoryRole, ...], object_id: str
) -> None:
    """Return if the caller owns an object, or holds one of the roles.

    Raises:
        GraphError: Authorization_RequestDenied.
    """
    if not owns(connection, caller, object_id):
        require_role(connection, caller, roles)


def require_managing_principal(
    connection: Connection,
    caller: Caller,
    roles: tuple[DirectoryRole, ...],
    object_id: str,
    principal_id: str,
) -> None:
    """Return if the caller owns an object, or holds one of the roles and as much as its principal.

    Raises:
        GraphError: Authorization_RequestDenied.
    """
    if not owns(connection, caller, object_id):
        require_role(connection, caller, roles)
        strength.refuse_stronger(connection, caller, principal_id)
