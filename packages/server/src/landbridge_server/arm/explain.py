"""Why somebody may, or may not, perform an action at a scope: for people.

The verdict is that of ``arm.access``, found on another way: the assignments themselves are read,
with the groups on the way to each. A property test holds the two against each other. What
follows for a request besides roles (locks, a principal that may not sign in, a subscription of
another tenant) is said where it is known, but roles alone make the verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from landbridge_server.arm import custom_roles
from landbridge_server.arm.access import Access, subscription_of
from landbridge_server.arm.custom_roles import AnyRole, CustomRole
from landbridge_server.arm.grants import assignment_id
from landbridge_server.arm.holdings import enclosing
from landbridge_server.arm.roles import BUILT_IN, Permission
from landbridge_server.store import guests, holders, role_assignments, role_definitions
from landbridge_server.store.database import Connection
from landbridge_server.store.holders import Holder
from landbridge_server.store.role_assignments import Assignment

MOST = 5
"""Of what is only close: more would not help anybody."""


@dataclass(frozen=True)
class Way:
    """One assignment of a role, and how it comes to the principal.

    ``groups`` leads from the principal to the holder: the group that it is in first; empty, it
    holds the role itself. ``granted`` is the pattern that grants the action, ``taken`` the one
    that takes it away again; both may be empty.
    """

    assignment: Assignment
    role: AnyRole
    groups: tuple[Holder, ...]
    granted: str = ""
    taken: str = ""

    @property
    def allows(self) -> bool:
        """Whether the role allows the action."""
        return bool(self.granted) and not self.taken


@dataclass(frozen=True)
class Explanation:
    """The verdict and what it rests on; for a denial, what comes closest to the opposite."""

    principal: Holder
    action: str
    data: bool
    scope: str
    allowed: bool
    reason: str
    because: tuple[Way, ...] = ()
    """The assignments that allow it."""
    taken_away: tuple[Way, ...] = ()
    """Assignments that count here and grant it, and take it away again."""
    held: tuple[Way, ...] = ()
    """Assignments that count here and do not speak of it."""
    elsewhere: tuple[Way, ...] = ()
    """Assignments that would allow it, at scopes that do not enclose this one."""
    roles: tuple[str, ...] = ()
    """Roles that would allow it, the narrowest first."""


def explain(
    connection: Connection,
    access: Access,
    principal: Holder,
    action: str,
    scope: str,
    *,
    data: bool = False,
    with_custom: bool = True,
) -> Explanation:
    """Explain the decision about one action; ``scope`` is ``/`` or an id, and need not exist.

    ``data``: it is a data action. ``with_custom``: custom roles may be named among those that
    would allow it.
    """
    subscription = subscription_of(scope)
    tenant = access.tenant_of(connection, subscription) if subscription else principal.tenant_id
    if tenant is not None and guests.is_guest(connection, tenant, principal.object_id):
        principal = principal._replace(tenant_id=tenant)  # there it speaks with a token of that tenant
    paths = _Paths(connection, principal)
    ways = _ways(connection, paths, enclosing(scope), action, data)
    because = tuple(way for way in ways if way.allows)
    allowed = bool(because) and tenant == principal.tenant_id
    if allowed:
        reason = _allowed_in_words(principal, because[0])
        return Explanation(principal, action, data, scope, True, reason, because)
    if tenant != principal.tenant_id:
        owner = "does not exist" if tenant is None else "belongs to another tenant"
        reason = f"Denied: the subscription '{subscription}' {owner}; no role reaches it."
        return Explanation(principal, action, data, scope, False, reason)
    taken = tuple(way for way in ways if way.taken)
    elsewhere = tuple(_elsewhere(connection, paths, action, scope, data))
    return Explanation(
        principal,
        action,
        data,
        scope,
        False,
        _denied_in_words(ways, taken, elsewhere),
        taken_away=taken,
        held=tuple(way for way in ways if not way.taken)[:MOST],
        elsewhere=elsewhere,
        roles=tuple(_granting(connection, principal.tenant_id, action, scope, data, with_custom)),
    )


class _Paths:
    """The shortest way from a principal to each group around it; names are read when they are shown."""

    def __init__(self, connection: Connection, principal: Holder) -> None:
        self.connection = connection
        self.principal = principal
        self._around: dict[str, list[str]] = {}
        for member, group in holders.memberships_around(connection, principal.object_id):
            self._around.setdefault(member, []).append(group)
        self._before = self._breadth_first()
        self._known: dict[str, Holder] = {}

    def _breadth_first(self) -> Mapping[str, str]:
        """Return for each group whom it holds on the shortest way."""
        before: dict[str, str] = {}
        reached = [self.principal.object_id]
        for member in reached:  # grows while it is walked
            for group in self._around.get(member, ()):
                if group not in before and group != self.principal.object_id:
                    before[group] = member
                    reached.append(group)
        return before

    def to(self, holder: str) -> tuple[Holder, ...]:
        """Return the groups on the way to a holder, the one that it is in first."""
        found = []
        while holder != self.principal.object_id:
            found.append(self._group(holder))
            holder = self._before[holder]
        return tuple(reversed(found))

    def _group(self, object_id: str) -> Holder:
        if object_id not in self._known:
            found = holders.find(self.connection, object_id)
            unnamed = Holder(object_id, self.principal.tenant_id, holders.GROUP, object_id, object_id, True)
            self._known[object_id] = found or unnamed
        return self._known[object_id]


def _ways(connection: Connection, paths: _Paths, scopes: Sequence[str], action: str, data: bool) -> list[Way]:
    """Return the assignments at these scopes that count for the principal, each with its role."""
    found = []
    for one in role_assignments.of_holder(connection, paths.principal.object_id, scopes):
        role = custom_roles.find(connection, one.tenant_id, one.role_definition)
        if role is not None and one.tenant_id == paths.principal.tenant_id:
            granted, taken = _patterns(role.sets, action, data)
            found.append(Way(one, role, paths.to(one.principal_id), granted, taken))
    return found


def _patterns(sets: Iterable[Permission], action: str, data: bool) -> tuple[str, str]:
    """Return what grants an action and what takes it away: of the set that allows it, if one does."""
    found = [one.patterns(action, data=data) for one in sets]
    granting = [(granted, taken) for granted, taken in found if granted is not None]
    granting.sort(key=lambda pair: pair[1] is not None)
    return (granting[0][0], granting[0][1] or "") if granting else ("", "")


def _elsewhere(connection: Connection, paths: _Paths, action: str, scope: str, data: bool) -> Iterator[Way]:
    """Yield assignments beside the scope whose roles would allow the action, the nearest first."""
    inside = scope.lower().rstrip("/") + "/"
    own = inside.split("/")[:-1]
    tenant = paths.principal.tenant_id
    held = [
        one
        for one in role_assignments.held(connection, paths.principal.object_id)
        if one.tenant_id == tenant and not inside.startswith(one.scope_key.rstrip("/") + "/")
    ]
    found = {
        guid: custom_roles.find(connection, tenant, guid) for guid in {one.role_definition for one in held}
    }
    good = {guid for guid, role in found.items() if role is not None and role.allows(action, data=data)}
    places = {one.scope_key for one in held if one.role_definition in good}
    nearest = sorted(places, key=lambda place: (-_common(own, place.split("/")), place))[:MOST]
    for way in _ways(connection, paths, nearest, action, data):
        if way.allows:
            yield way


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    count = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        count += 1
    return count


def _granting(
    connection: Connection, tenant: str, action: str, scope: str, data: bool, with_custom: bool
) -> list[str]:
    """Return the names of roles that could be given here and would allow the action."""
    found: list[AnyRole] = [role for role in BUILT_IN if role.allows(action, data=data)]
    if with_custom:
        own = (custom_roles.of(one) for one in role_definitions.of_tenant(connection, tenant))
        found += [one for one in own if one.is_assignable(scope) and one.allows(action, data=data)]
    found.sort(key=lambda role: (_breadth(role), role.name))
    return [role.name for role in found[:MOST]]


def _breadth(role: AnyRole) -> tuple[int, int]:
    """Return how much a role grants, roughly: how wide its patterns are, then how many."""
    patterns = [text for one in role.sets for text in one.actions + one.data_actions]
    weights = (
        10 if text == "*" else 3 if text.startswith("*") else 2 if "*" in text else 0 for text in patterns
    )
    return sum(weights), len(patterns)


# -- words


def _allowed_in_words(principal: Holder, way: Way) -> str:
    kind = "custom role" if isinstance(way.role, CustomRole) else "role"
    text = f"Allowed by the {kind} '{way.role.name}' at '{way.assignment.scope}', by its '{way.granted}'"
    return f"{text}, {_by(way)}." if principal.enabled else f"{text}, {_by(way)}; but it may not sign in."


def _by(way: Way) -> str:
    if not way.groups:
        return "held directly"
    return "as a member of " + ", which is in ".join(f"'{group.name}'" for group in way.groups)


def _denied_in_words(ways: Sequence[Way], taken: Sequence[Way], elsewhere: Sequence[Way]) -> str:
    if taken:
        way = taken[0]
        return (
            f"Denied: the role '{way.role.name}' at '{way.assignment.scope}', {_by(way)}, grants it by "
            f"'{way.granted}' and takes it away again by '{way.taken}'."
        )
    if elsewhere:
        way = elsewhere[0]
        return (
            f"Denied: the role '{way.role.name}', {_by(way)}, would allow it, but at "
            f"'{way.assignment.scope}', which does not enclose this scope."
        )
    if ways:
        names = ", ".join(f"'{name}'" for name in dict.fromkeys(way.role.name for way in ways[:MOST]))
        return f"Denied: no role that is held here speaks of this action; held are {names}."
    return "Denied: no role is held here or above."


# -- as JSON


def shown(explanation: Explanation) -> dict[str, object]:
    """Return an explanation as clients see it."""
    who = explanation.principal
    return {
        "allowed": explanation.allowed,
        "reason": explanation.reason,
        "principal": {
            "id": who.object_id,
            "type": who.principal_type,
            "displayName": who.name,
            "enabled": who.enabled,
        },
        "action": explanation.action,
        "isDataAction": explanation.data,
        "scope": explanation.scope,
        "because": [_shown_way(way) for way in explanation.because],
        "takenAway": [_shown_way(way) for way in explanation.taken_away],
        "heldHere": [_shown_way(way) for way in explanation.held],
        "elsewhere": [_shown_way(way) for way in explanation.elsewhere],
        "rolesThatWouldAllow": list(explanation.roles),
    }


def _shown_way(way: Way) -> dict[str, object]:
    found: dict[str, object] = {
        "roleAssignmentId": assignment_id(way.assignment.scope, way.assignment.name),
        "scope": way.assignment.scope,
        "roleName": way.role.name,
        "roleDefinitionName": way.role.guid,
        "roleType": "CustomRole" if isinstance(way.role, CustomRole) else "BuiltInRole",
        "groups": [{"id": group.object_id, "displayName": group.name} for group in way.groups],
    }
    if way.granted:
        found["grantedBy"] = way.granted
    if way.taken:
        found["takenAwayBy"] = way.taken
    return found
