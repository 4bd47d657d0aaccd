"""Groups of the directory and who is in them: principals, and groups again, cycles included."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from landbridge_server.store.prepared import Prepared
from landbridge_server.store.schema import group_members, groups, owners


class Group(NamedTuple):
    """A group. ``document`` is JSON with the members that have no column."""

    object_id: str
    tenant_id: str
    display_name: str
    name_key: str
    nickname_key: str
    document: str
    created_at: float


def _groups_around() -> Prepared:
    around = (
        select(group_members.c.group_id)
        .where(group_members.c.member_id == bindparam("key"))
        .cte("around", recursive=True)
    )
    # A union of sets: a group that was found is not followed again, so a cycle ends.
    outer = select(group_members.c.group_id).where(group_members.c.member_id == around.c.group_id)
    return Prepared(select(around.union(outer).c.group_id))


_GET = Prepared(select(groups).where(groups.c.object_id == bindparam("key")))
_AROUND = _groups_around()
_DIRECT = Prepared(
    select(group_members.c.group_id)
    .where(group_members.c.member_id == bindparam("key"))
    .order_by(group_members.c.group_id)
)


def transitive_groups_of(connection: Connection, principal_id: str) -> set[str]:
    """Return the object ids of all groups that hold a principal or group, directly or through groups.

    A group that is, through others, a member of itself is among its own.
    """
    return {str(row[0]) for row in _AROUND.rows(connection, {"key": principal_id})}


def groups_of(connection: Connection, member_id: str) -> list[str]:
    """Return the object ids of the groups that hold a principal or group directly, in order."""
    return [str(row[0]) for row in _DIRECT.rows(connection, {"key": member_id})]


def get(connection: Connection, object_id: str) -> Group | None:
    """Return the group with this object id."""
    row = _GET.first(connection, {"key": object_id})
    return Group(*row) if row is not None else None


def add(connection: Connection, group: Group) -> None:
    """Add a group."""
    connection.execute(insert(groups), group._asdict())


def replace(connection: Connection, group: Group) -> None:
    """Write a group that is there again, as it is now."""
    connection.execute(update(groups).where(groups.c.object_id == group.object_id).values(**group._asdict()))


def remove(connection: Connection, object_id: str) -> None:
    """Remove a group with its memberships, in both directions, and its owners.

    Its role assignments are the caller's business.
    """
    connection.execute(
        delete(group_members).where(
            (group_members.c.group_id == object_id) | (group_members.c.member_id == object_id)
        )
    )
    connection.execute(delete(owners).where(owners.c.object_id == object_id))
    connection.execute(delete(groups).where(groups.c.object_id == object_id))


def has_member(connection: Connection, group_id: str, member_id: str) -> bool:
    """Say whether a group holds a principal or group directly."""
    found = connection.execute(
        select(group_members.c.group_id).where(
            group_members.c.group_id == group_id, group_members.c.member_id == member_id
        )
    )
    return found.first() is not None


def add_member(connection: Connection, group_id: str, member_id: str) -> None:
    """Put a principal or group into a group that does not hold it directly yet."""
    connection.execute(insert(group_members), {"group_id": group_id, "member_id": member_id})


def remove_member(connection: Connection, group_id: str, member_id: str) -> None:
    """Take a principal or group out of a group; it may still be in it through another one."""
    connection.execute(
        delete(group_members).where(
            group_members.c.group_id == group_id, group_members.c.member_id == member_id
        )
    )


def members_of(connection: Connection, group_id: str, after: str, limit: int) -> list[str]:
    """Return up to ``limit`` ids of direct members, in order, those after ``after``."""
    rows = connection.execute(
        select(group_members.c.member_id)
        .where(group_members.c.group_id == group_id, group_members.c.member_id > after)
        .order_by(group_members.c.member_id)
        .limit(limit)
    )
    return [str(row[0]) for row in rows]


def count_members(connection: Connection, group_id: str) -> int:
    """Count the direct members of a group."""
    statement = select(func.count()).select_from(group_members).where(group_members.c.group_id == group_id)
    return connection.execute(statement).scalar() or 0


def transitive_members_of(connection: Connection, group_id: str, after: str, limit: int) -> list[str]:
    """Return up to ``limit`` ids of members of a group and of the groups in it, those after ``after``."""
    inside = (
        select(group_members.c.member_id)
        .where(group_members.c.group_id == group_id)
        .cte("inside", recursive=True)
    )
    inner = select(group_members.c.member_id).where(group_members.c.group_id == inside.c.member_id)
    everyone = inside.union(inner)
    rows = connection.execute(
        select(everyone.c.member_id)
        .where(everyone.c.member_id > after)
        .order_by(everyone.c.member_id)
        .limit(limit)
    )
    return [str(row[0]) for row in rows]
