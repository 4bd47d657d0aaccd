"""Whoever can hold a role: users, service principals, managed identities and groups, alike."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import CTE, Connection, bindparam, cast, literal, or_, select, true, union_all

from landbridge_server.store.prepared import Prepared
from landbridge_server.store.schema import group_members, groups, principals
from landbridge_server.store.schema.columns import NAME

GROUP = "Group"


class Holder(NamedTuple):
    """A principal or a group. ``kind`` is User, ServicePrincipal, ManagedIdentity or Group.

    ``label`` is how error texts call it; ``enabled`` is false for who may not sign in.
    """

    object_id: str
    tenant_id: str
    kind: str
    name: str
    label: str
    enabled: bool

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
    _people.enabled,
)
_GROUPS = select(
    groups.c.object_id,
    groups.c.tenant_id,
    literal(GROUP).label("kind"),
    groups.c.display_name,
    literal("").label("user_name"),
    literal("").label("app_id"),
    true().label("enabled"),
)
_BY_ID = (
    Prepared(_PRINCIPALS.where(_people.object_id == bindparam("key"))),
    Prepared(_GROUPS.where(groups.c.object_id == bindparam("key"))),
)


_Row = tuple[str, str, str, str, str | None, str | None, bool]


def _holder(row: _Row) -> Holder:
    object_id, tenant_id, kind, name, user_name, app_id, enabled = row
    return Holder(object_id, tenant_id, kind, name, user_name or app_id or name, bool(enabled))


def around() -> CTE:
    """Return the ids of ``:principal_id`` and of all groups around it; a cycle ends: it is a set."""
    own = select(cast(bindparam("principal_id"), NAME).label("id")).cte("holders", recursive=True)
    return own.union(select(group_members.c.group_id).where(group_members.c.member_id == own.c.id))


def memberships_around(connection: Connection, object_id: str) -> list[tuple[str, str]]:
    """Return member and group of each membership that a principal has, itself or by other groups."""
    columns = group_members.c
    rows = connection.execute(
        select(columns.member_id, columns.group_id)
        .where(columns.member_id.in_(select(around().c.id)))
        .order_by(columns.member_id, columns.group_id),
        {"principal_id": object_id},
    )
    return [(str(member), str(group)) for member, group in rows]


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
