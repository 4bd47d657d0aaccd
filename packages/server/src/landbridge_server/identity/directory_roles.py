"""The roles of the directory itself, with Entra's names and template GUIDs, and who gets them.

They are no roles of the resource manager: neither kind gives anything of the other. What each
lets its holder do to whom stands in ``microsoft_graph/permissions.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

from landbridge_server.identity.directory import DirectoryError
from landbridge_server.store import directory_roles, principals
from landbridge_server.store.database import Connection
from landbridge_server.store.directory_roles import DirectoryRoleAssignment
from landbridge_server.store.principals import MANAGED_IDENTITY, SERVICE_PRINCIPAL, Principal


@dataclass(frozen=True)
class DirectoryRole:
    """A role; ``guid`` is the id of its template in Microsoft Entra."""

    guid: str
    name: str
    description: str


GLOBAL_ADMINISTRATOR = DirectoryRole(
    "62e90394-69f5-4237-9190-012177145e10",
    "Global Administrator",
    "Can manage all aspects of the directory.",
)
APPLICATION_ADMINISTRATOR = DirectoryRole(
    "9b895d92-2cd3-44c7-9d02-a6ac2d5ea5c3",
    "Application Administrator",
    "Can create and manage applications and service principals that are not stronger than itself.",
)
USER_ADMINISTRATOR = DirectoryRole(
    "fe930be7-5e62-47db-91af-98c3a49a38b1",
    "User Administrator",
    "Can manage groups, and users that are not stronger than itself.",
)
GROUPS_ADMINISTRATOR = DirectoryRole(
    "fdd7a751-b60b-444a-984c-02652fe8fa1c",
    "Groups Administrator",
    "Can manage groups.",
)
DIRECTORY_READERS = DirectoryRole(
    "88d8e3e3-8f55-4a1e-953a-9b9898b8876b",
    "Directory Readers",
    "Can read the directory: what users may do anyway, for service principals and managed identities.",
)

ALL = (
    GLOBAL_ADMINISTRATOR,
    APPLICATION_ADMINISTRATOR,
    USER_ADMINISTRATOR,
    GROUPS_ADMINISTRATOR,
    DIRECTORY_READERS,
)


def named(name: str) -> DirectoryRole | None:
    """Return the role with this name or GUID, in any casing."""
    wanted = name.strip().lower()
    return next((role for role in ALL if wanted in (role.name.lower(), role.guid)), None)


def holder(connection: Connection, name: str) -> Principal:
    """Return who an operator means: a user name, an application id or an object id.

    Raises:
        DirectoryError: nobody has this name.
    """
    found = (
        principals.by_user_name(connection, name)
        or principals.by_app_id(connection, name)
        or principals.get(connection, name.lower())
    )
    if found is None:
        raise DirectoryError(
            f"There is no user, service principal or managed identity '{name}': "
            "give a user name, an application id or an object id."
        )
    return found


def assign(
    connection: Connection, principal: Principal, role: DirectoryRole, now: float, by: str = ""
) -> bool:
    """Give a role in the principal's own tenant; say whether that is new. ``by`` is an object id."""
    made = DirectoryRoleAssignment(principal.object_id, role.guid, principal.tenant_id, now, by)
    return directory_roles.assign(connection, made)


def kind_of(principal: Principal) -> str:
    """Return in words for a person what a principal is."""
    words = {SERVICE_PRINCIPAL: "service principal", MANAGED_IDENTITY: "managed identity"}
    return words.get(principal.kind, "user")
