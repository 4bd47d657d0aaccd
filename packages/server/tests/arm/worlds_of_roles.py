"""Random worlds of roles, and a model of who may do what in them: slow, and plain to see through.

The model shares nothing with the engine but the words: it follows memberships until nothing is
added, compares scopes segment by segment and patterns letter by letter.
"""

from __future__ import annotations

import itertools
import json
import random
from dataclasses import dataclass, field

from sqlalchemy import delete

from landbridge_server.identity.caller import Caller
from landbridge_server.store import groups, holders, role_assignments, role_definitions, subscriptions
from landbridge_server.store.groups import Group
from landbridge_server.store.holders import Holder
from landbridge_server.store.role_assignments import Assignment
from landbridge_server.store.role_definitions import Definition
from landbridge_server.store.schema import group_members
from landbridge_server.store.schema import role_assignments as assignments_table
from landbridge_server.store.schema import role_definitions as definitions_table
from landbridge_server.store.subscriptions import Subscription

HOME, ABROAD = "tenant-home", "tenant-abroad"
SUBSCRIPTIONS = {"s1": HOME, "s2": HOME, "s3": ABROAD}
SCOPES = [
    "/",
    *(f"/subscriptions/{one}" for one in SUBSCRIPTIONS),
    *(f"/subscriptions/{one}/resourceGroups/{group}" for one in SUBSCRIPTIONS for group in ("g", "g2")),
    "/subscriptions/s1/resourceGroups/g/providers/A.B/things/x",
    "/subscriptions/s1/resourceGroups/g/providers/A.B/things/x1",
    "/subscriptions/s1/resourceGroups/g/providers/A.B/things/x/parts/y",
    "/subscriptions/s1/resourceGroups/g/providers/A.B/things/x/providers/C.D/ends/default",
    "/subscriptions/nowhere",
    "/providers/A.B/things/x",
]
ACTIONS = [
    "A.B/things/read",
    "A.B/things/write",
    "A.B/things/delete",
    "A.B/things/parts/read",
    "A.B/things/login/action",
    "C.D/ends/list/action",
    "C.D/read",
]
PRINCIPALS = {f"p{number}": ABROAD if number == 4 else HOME for number in range(5)}
GROUPS = {f"group{number}": ABROAD if number == 7 else HOME for number in range(8)}
_NUMBERS = itertools.count()
WORDS = ("actions", "notActions", "dataActions", "notDataActions")


# -- the model


def matches(pattern: str, action: str) -> bool:
    if not pattern:
        return not action
    if pattern[0] == "*":
        return matches(pattern[1:], action) or (action != "" and matches(pattern, action[1:]))
    return action != "" and pattern[0] == action[0] and matches(pattern[1:], action[1:])


def any_matches(patterns: list[str], action: str) -> bool:
    return any(matches(pattern.lower(), action.lower()) for pattern in patterns)


def segments(scope: str) -> list[str]:
    return [one for one in scope.lower().split("/") if one]


def encloses(above: str, scope: str) -> bool:
    return segments(scope)[: len(segments(above))] == segments(above)


@dataclass
class World:
    """Everything that a decision may depend on."""

    members: set[tuple[str, str]] = field(default_factory=set)
    roles: dict[tuple[str, str], list[dict[str, list[str]]]] = field(default_factory=dict)
    given: set[tuple[str, str, str]] = field(default_factory=set)
    """Scope, role, and holder."""

    def themselves(self, who: str) -> set[str]:
        """Return somebody and every group that he is in, however far around."""
        found = {who}
        while True:
            more = {group for group, member in self.members if member in found} - found
            if not more:
                return found
            found |= more

    def role_allows(self, tenant: str, role: str, action: str, data: bool) -> bool:
        grant, take = ("dataActions", "notDataActions") if data else ("actions", "notActions")
        return any(
            any_matches(one[grant], action) and not any_matches(one[take], action)
            for one in self.roles[tenant, role]
        )

    def held(self, who: str) -> list[tuple[str, str]]:
        """Return scope and role of all that counts for somebody."""
        tenant, selves = tenant_of(who), self.themselves(who)
        return [
            (scope, role)
            for scope, role, holder in self.given
            if holder in selves and tenant_of(holder) == tenant
        ]

    def allows(self, who: str, action: str, scope: str, data: bool) -> bool:
        tenant = tenant_of(who)
        parts = segments(scope)
        if len(parts) > 1 and parts[0] == "subscriptions" and SUBSCRIPTIONS.get(parts[1]) != tenant:
            return False
        return any(
            encloses(above, scope) and self.role_allows(tenant, role, action, data)
            for above, role in self.held(who)
        )

    def visible(self, who: str, action: str, scope: str) -> set[str] | None:
        """Return None for everywhere, or where below the scope a role allows it; none is a refusal."""
        if self.allows(who, action, scope, data=False):
            return None
        return {
            below.lower()
            for below, role in self.held(who)
            if encloses(scope, below)
            and self.role_allows(tenant_of(who), role, action, data=False)
            and self.allows(who, action, below, data=False)
        }

    def subscriptions(self, who: str) -> set[str]:
        scopes = [scope for scope, _ in self.held(who)]
        mine = {one for one, tenant in SUBSCRIPTIONS.items() if tenant == tenant_of(who)}
        return {
            one for one in mine if "/" in scopes or any(segments(scope)[:2][1:] == [one] for scope in scopes)
        }


def tenant_of(who: str) -> str:
    return PRINCIPALS.get(who) or GROUPS[who]


# -- chance


def some_pattern(chance: random.Random) -> str:
    kind = chance.randrange(6)
    if kind < 2:
        return chance.choice(["*", "*/read", "A.B/*", "*/action", "C.D/*/action", "**"])
    action = chance.choice(ACTIONS)
    if kind < 4:
        return action
    start = chance.randrange(len(action))
    end = chance.randrange(start, len(action) + 1)
    return action[:start] + "*" + action[end:]


def some_role(chance: random.Random) -> list[dict[str, list[str]]]:
    """Return the sets of a role: what they grant is wide enough for something to be left of it."""
    counts = {
        "actions": (1, 2, 3),
        "notActions": (0, 0, 1),
        "dataActions": (0, 1, 2),
        "notDataActions": (0, 1),
    }
    return [
        {word: [some_pattern(chance) for _ in range(chance.choice(counts[word]))] for word in WORDS}
        for _ in range(chance.choice((1, 1, 2)))
    ]


def some_case(chance: random.Random, text: str) -> str:
    return chance.choice([text, text, text.upper(), text.lower(), text.title()])


def some_scope(chance: random.Random) -> str:
    scope = chance.choice(SCOPES + SCOPES[8:12] * 2)
    if scope != "/" and chance.random() < 0.2:
        scope += chance.choice(["/providers/C.D/ends/new", "2", "/resourceGroups/new"])
    return scope if scope == "/" else "/" + some_case(chance, scope[1:])


def some_place(chance: random.Random) -> str:
    """Return where a role is given: rather far up, so that it reaches what is asked about."""
    if chance.random() < 0.5:
        return some_scope(chance)
    return chance.choice(["/", "/subscriptions/s1", "/Subscriptions/S1", *SCOPES[4:6]])


def some_holder(chance: random.Random) -> str:
    return chance.choice([*PRINCIPALS, *GROUPS, *GROUPS])


def some_world(chance: random.Random) -> World:
    world = World()
    for tenant in (HOME, ABROAD):
        for role in ("r0", "r1", "r2", "r3"):
            world.roles[tenant, role] = some_role(chance)
    for _ in range(chance.randrange(20)):
        world.members.add((chance.choice(list(GROUPS)), some_holder(chance)))
    for _ in range(chance.randrange(24)):
        world.given.add((some_place(chance), chance.choice(("r0", "r1", "r2", "r3")), some_holder(chance)))
    if chance.random() < 0.02:  # more than a decision keeps in mind
        who = some_holder(chance)
        world.given |= {(f"/subscriptions/s1/resourceGroups/g{number}", "r0", who) for number in range(600)}
    return world


# -- the same world in the store


def lay_out(connection: object) -> None:
    """Add what is the same in all worlds."""
    for number, (name, tenant) in enumerate(SUBSCRIPTIONS.items()):
        subscriptions.add(connection, Subscription(name, tenant, name, "Enabled", float(number)))
    for name, tenant in GROUPS.items():
        groups.add(connection, Group(name, tenant, name, name, name, "{}", 0.0))


def write(connection: object, world: World) -> None:
    """Replace everything by what is in the world."""
    for table in (group_members, assignments_table, definitions_table):
        connection.execute(delete(table))
    for group, member in sorted(world.members):
        groups.add_member(connection, group, member)
    for (tenant, role), sets in world.roles.items():
        definition = Definition(tenant, role, role, role, "", json.dumps(sets), '["/"]', 0.0, "", 0.0, "")
        role_definitions.put(connection, definition, is_new=True)
    for number, (scope, role, holder) in enumerate(sorted(world.given)):
        add_given(connection, scope, role, holder, str(number))


def add_given(connection: object, scope: str, role: str, holder: str, key: str) -> None:
    made = Assignment(key, key, scope, scope.lower(), tenant_of(holder), role, holder, "User", "", 0.0, "")
    role_assignments.add(connection, made)


def change(connection: object, world: World, chance: random.Random) -> None:
    """Let one thing change, in the world and in the store."""
    kind = chance.randrange(4)
    if kind == 0 and world.members:
        pair = chance.choice(sorted(world.members))
        world.members.remove(pair)
        groups.remove_member(connection, *pair)
    elif kind == 1:
        pair = (chance.choice(list(GROUPS)), some_holder(chance))
        if pair not in world.members:
            world.members.add(pair)
            groups.add_member(connection, *pair)
    elif kind == 2 and world.given:
        one = chance.choice(sorted(world.given))
        world.given.remove(one)
        scope, role, holder = one
        connection.execute(
            delete(assignments_table).where(
                assignments_table.c.scope == scope,
                assignments_table.c.role_definition == role,
                assignments_table.c.principal_id == holder,
            )
        )
    else:
        one = (some_place(chance), chance.choice(("r0", "r1", "r2", "r3")), some_holder(chance))
        if one not in world.given:
            world.given.add(one)
            add_given(connection, *one, f"new{next(_NUMBERS)}")


def caller(who: str) -> Caller:
    return Caller(who, tenant_of(who), "User", who, "")


def holder(who: str) -> Holder:
    kind = "User" if who in PRINCIPALS else holders.GROUP
    return Holder(who, tenant_of(who), kind, who, who, True)
