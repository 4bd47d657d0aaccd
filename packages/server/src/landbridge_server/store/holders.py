"""Whoever can hold a role: users, service principals, managed identities and groups, alike."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, bindparam, literal, or_, select, union_all

from landbridge_server.store.prepared import Prepared
from landbridge_server.store.schema import groups, principals

GROUP = "Group"


class Holder(NamedTuple):
    """A principal or a group. ``kind`` is User, ServicePrincipal, ManagedIdentity or Group."""

    object_id: str
    tenant_id: str
    kind: str
    name: str
    label: str

    @property
    def principal_type(self) -> str:
        """How role assignments call the kind: a managed identity is a service principal."""
        return self.kind if self.kind in ("User", GROUP) else "ServicePrincipal"


_people = principals.c
_PRINCIPALS = select(
    _people.object_id,
    _people.tenant_id,
    _people.kind,
    _people.display_name,
    _people.user_name,
    _people.app_id,
)
_GROUPS = select(
    groups.c.object_id,
    groups.c.tenant_id,
    literal(GROUP).label("kind"),
    groups.c.display_name,
    literal("").label("user_name"),
    literal("").label("app_id"),
)
_BY_ID = (
    Prepared(_PRINCIPALS.where(_people.object_id == bindparam("key"))),
    Prepared(_GROUPS.where(groups.c.object_id == bindparam("key"))),
)


def _holder(row: tuple[str, str, str, str, str | None, str | None]) -> Holder:
    object_id, tenant_id, kind, name, user_name, app_id = row
    return Holder(object_id, tenant_id, kind, name, user_name or app_id or name)


def find(connection: Connection, object_id: str) -> Holder | None:
    """Return the principal or group with this lower-case object id."""
    for statement in _BY_ID:
        row = statement.first(connection, {"key": object_id})
        if row is not None:
            return _holder(tuple(row))
    return None


def called(connection: Connection, text: str) -> list[Holder]:
    """Return everybody whom a text names, of all tenants, in any casing.

    It may be an object id, a user principal name, an application id, or a display name.
    """
    key = text.lower()
    own = or_(
        _people.object_id == key,
        _people.user_name_key == key,
        _people.app_id == key,
        _people.name_key == key,
    )
    others = or_(groups.c.object_id == key, groups.c.name_key == key)
    rows = connection.execute(union_all(_PRINCIPALS.where(own), _GROUPS.where(others)))
    return sorted(_holder(tuple(row)) for row in rows)
