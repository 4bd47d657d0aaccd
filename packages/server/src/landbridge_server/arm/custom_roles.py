"""Custom roles: what a role definition that users wrote allows, and where it may be given.

A definition has one or more sets of permissions; it allows what any of them allows. It can be
given, and is seen, at its assignable scopes and below them, and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import msgspec

from landbridge_server.arm import roles
from landbridge_server.arm.roles import Permission, Role
from landbridge_server.store import role_definitions
from landbridge_server.store.database import Connection
from landbridge_server.store.role_definitions import Definition

Permissions = list[dict[str, list[str]]]
"""As the documents have them: ``actions``, ``notActions``, ``dataActions``, ``notDataActions``."""


@dataclass(frozen=True)
class CustomRole:
    """A custom role, ready to be asked."""

    definition: Definition
    sets: tuple[Permission, ...]
    assignable_scopes: tuple[str, ...]

    @property
    def guid(self) -> str:
        """Its GUID, in lower case."""
        return self.definition.guid

    @property
    def name(self) -> str:
        """Its name."""
        return self.definition.name

    @property
    def permissions(self) -> Permissions:
        """Its sets of permissions, as they were written."""
        found: Permissions = msgspec.json.decode(self.definition.permissions)
        return found

    def allows(self, action: str, *, data: bool = False) -> bool:
        """Say whether holding the role allows an action, in any casing; ``data``: it is a data action."""
        return any(one.allows(action, data=data) for one in self.sets)

    def is_assignable(self, scope: str) -> bool:
        """Say whether the role may be given at a scope: at an assignable one or below it."""
        return any(_reaches(one, scope) for one in self.assignable_scopes)

    def is_below(self, scope: str) -> bool:
        """Say whether one of the assignable scopes lies below a scope."""
        return any(_reaches(scope, one) for one in self.assignable_scopes)


AnyRole = Role | CustomRole


def _reaches(above: str, scope: str) -> bool:
    own, other = above.lower().rstrip("/"), scope.lower().rstrip("/")
    return other == own or other.startswith(f"{own}/")


@lru_cache(maxsize=1024)
def _sets(permissions: str) -> tuple[Permission, ...]:
    """Return the sets of a text; remembered, as patterns are prepared once."""
    found: Permissions = msgspec.json.decode(permissions)
    return tuple(
        Permission(
            tuple(one["actions"]),
            tuple(one["notActions"]),
            tuple(one["dataActions"]),
            tuple(one["notDataActions"]),
        )
        for one in found
    )


def of(definition: Definition) -> CustomRole:
    """Return the role of a row."""
    scopes: list[str] = msgspec.json.decode(definition.assignable_scopes)
    return CustomRole(definition, _sets(definition.permissions), tuple(scopes))


def find(connection: Connection, tenant_id: str, guid: str) -> AnyRole | None:
    """Return the role of a tenant with this GUID: a built-in one, or one of its own."""
    built_in = roles.by_guid(guid)
    if built_in is not None:
        return built_in
    found = role_definitions.get(connection, tenant_id, guid.lower())
    return of(found) if found is not None else None
