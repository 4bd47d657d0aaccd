"""Who is stronger than whom: nobody gets a right by taking over somebody who has it.

Whoever can sign in as another, or put somebody into a group, gains what that other or that
group holds. So it is refused unless the caller holds as much. A caller holds as much if

- it is Global Administrator: nobody is stronger; or
- it holds every role of the directory that the other holds, and
- for each role of the resource manager that the other holds, itself or through groups, the
  caller holds, itself or through groups, one role at that scope or above it that allows all
  that the other's role allows.

Whether a role allows all that another allows is decided by their patterns, on the safe side:
several roles that only together allow as much do not count.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from landbridge_server.arm import custom_roles, roles
from landbridge_server.arm.action_patterns import Patterns
from landbridge_server.arm.custom_roles import AnyRole, CustomRole
from landbridge_server.arm.holdings import enclosing
from landbridge_server.identity import directory_roles as templates
from landbridge_server.identity.caller import Caller
from landbridge_server.microsoft_graph.errors import denied
from landbridge_server.store import directory_roles, role_assignments
from landbridge_server.store.database import Connection

_SETS = (("actions", "notActions"), ("dataActions", "notDataActions"))

Permission = dict[str, list[str]]


def refuse_stronger(connection: Connection, caller: Caller, object_id: str) -> None:
    """Return if the caller holds as much as a principal or group.

    Raises:
        GraphError: Authorization_RequestDenied.
    """
    if object_id == caller.object_id:
        return
    own = directory_roles.roles_in(connection, caller.tenant_id, caller.object_id)
    if templates.GLOBAL_ADMINISTRATOR.guid in own:
        return
    missing = directory_roles.roles_of(connection, object_id) - own
    if missing:
        names = sorted(role.name if (role := templates.named(guid)) else guid for guid in missing)
        raise denied(
            f"{object_id} holds {', '.join(names)}",
            f"The object holds a role of the directory that you do not hold: {', '.join(names)}.",
        )
    _refuse_stronger_there(connection, caller, object_id)


def _refuse_stronger_there(connection: Connection, caller: Caller, object_id: str) -> None:
    """Compare what the two hold at the resource manager."""
    tenant = caller.tenant_id
    theirs = set(role_assignments.held(connection, object_id))
    if not theirs:
        return
    own: dict[str, set[str]] = {}
    for held in role_assignments.held(connection, caller.object_id):
        if held.tenant_id == tenant:  # '/' is the root of each tenant
            own.setdefault(held.scope_key, set()).add(held.role_definition)
    for scope, guid, there in sorted(theirs):
        # Users are guests elsewhere, too: a role there is that tenant's, and nothing held here is as much.
        role = custom_roles.find(connection, there, guid)
        if role is None:
            continue  # a role that is gone allows nothing
        mine = {other for place in enclosing(scope) for other in own.get(place, ()) if there == tenant}
        candidates = (custom_roles.find(connection, tenant, other) for other in mine)
        if not any(one is not None and covers(one, role) for one in candidates):
            raise denied(
                f"{object_id} holds {role.name} at {scope}",
                f"The object holds the role '{role.name}' at '{scope}', and you do not hold as much there.",
            )


def covers(role: AnyRole, other: AnyRole) -> bool:
    """Say whether a role surely allows all that another one allows."""
    if role.guid == other.guid:
        return True
    return all(
        any(_set_covers(mine, theirs, allow, deny) for mine in _permissions(role))
        for theirs in _permissions(other)
        for allow, deny in _SETS
    )


def _permissions(role: AnyRole) -> Iterable[Permission]:
    return role.permissions if isinstance(role, CustomRole) else [roles.permissions(role)]


def _set_covers(mine: Permission, theirs: Permission, allow: str, deny: str) -> bool:
    wanted = theirs.get(allow, [])
    if not wanted:
        return True
    denied_there = theirs.get(deny, [])
    return all(_matched(one, mine.get(allow, [])) for one in wanted) and all(
        _matched(one, denied_there) or not any(overlap(one.lower(), other.lower()) for other in wanted)
        for one in mine.get(deny, [])
    )


def _matched(pattern: str, patterns: list[str]) -> bool:
    """Say whether one of the patterns matches all that a pattern matches.

    A ``*`` in the pattern is matched by nothing but a ``*``: then whatever stands for it is, too.
    """
    return Patterns(patterns).match(pattern.lower()) is not None


@lru_cache(maxsize=4096)
def overlap(one: str, other: str) -> bool:
    """Say whether two patterns match a text in common.

    ``reached`` holds the places in ``other`` at which both can stand after the same beginning,
    while ``one`` is walked through.
    """
    reached = _over_stars({0}, other)
    for letter in one:
        if letter == "*":
            reached = set(range(min(reached, default=len(other) + 1), len(other) + 1))
        else:
            moved = {
                at if other[at] == "*" else at + 1 for at in reached if other[at : at + 1] in (letter, "*")
            }
            reached = _over_stars(moved, other)
    return len(other) in reached


def _over_stars(places: set[int], pattern: str) -> set[int]:
    """Return the places with those that follow because a ``*`` may stand for nothing."""
    found = set(places)
    for at in range(len(pattern)):
        if at in found and pattern[at] == "*":
            found.add(at + 1)
    return found
