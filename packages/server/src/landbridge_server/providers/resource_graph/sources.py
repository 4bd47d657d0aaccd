"""Where the rows of a query come from: the resources that a caller may read, and their containers.

``narrowed`` says which of a query's conditions the store can look after: what it returns lets
everything through that the conditions do, and it is told whether also nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from landbridge_server.arm.access import Access
from landbridge_server.arm.registry import Registry
from landbridge_server.arm.resource_type import Kind, ResourceType
from landbridge_server.identity.caller import Caller
from landbridge_server.providers.resource_graph import tree
from landbridge_server.providers.resource_graph.tree import Compare, Expression, Literal, Not, Path
from landbridge_server.store import graph, subscriptions, tags
from landbridge_server.store.database import Connection
from landbridge_server.store.graph import Condition, Every, Inverse, Is, Some, Tagged, Visible
from landbridge_server.store.resources import Stored
from landbridge_server.store.subscriptions import Subscription
from landbridge_wire.errors import ArmError

SOURCES = {
    "id": "key",
    "name": "name",
    "type": "type",
    "location": "location",
    "resourceGroup": "group",
    "subscriptionId": "subscription",
}
"""Columns of a query, and the store's columns that hold them in lower case."""

LOWER = frozenset({"type", "location", "resourceGroup", "subscriptionId"})
"""Columns that are shown in lower case, so that the store has exactly what is shown."""

GROUPS = "microsoft.resources/resourcegroups"
_FOLDING = {
    "=~": "in",
    "in~": "in",
    "contains": "contains",
    "startswith": "startswith",
    "endswith": "endswith",
}
CHUNK = 1000


@dataclass(frozen=True)
class Seen:
    """What one caller may see: resources, groups, and subscriptions."""

    tenant_id: str
    resources: tuple[Visible, ...]
    groups: tuple[Visible, ...]
    subscriptions: tuple[Subscription, ...]


def seen_by(
    connection: Connection, access: Access, registry: Registry, caller: Caller, wanted: Sequence[str] | None
) -> Seen:
    """Return what a caller may see, in these subscriptions or in all of its tenant.

    A subscription that is not there, or not to be seen, adds nothing: that says nothing of it.
    """
    inside = access.subscriptions(connection, caller)
    if wanted is not None:
        names = {one.lower() for one in wanted}
        inside = [one for one in inside if one.subscription_id in names]
    kinds = [kind for kind in registry.types() if isinstance(kind, ResourceType)]
    tracked = [kind for kind in kinds if kind.kind in (Kind.TRACKED, Kind.TRACKED_CHILD)]
    groups = [kind for kind in kinds if kind.kind is Kind.GROUP]
    return Seen(
        caller.tenant_id,
        tuple(_visible(connection, access, caller, inside, tracked)),
        tuple(_visible(connection, access, caller, inside, groups)),
        tuple(inside),
    )


def _visible(
    connection: Connection,
    access: Access,
    caller: Caller,
    inside: Sequence[Subscription],
    kinds: Sequence[ResourceType],
) -> Iterator[Visible]:
    for one in inside:
        places: dict[tuple[str, ...] | None, list[str]] = {}
        for kind in kinds:
            scope = f"/subscriptions/{one.subscription_id}"
            try:
                within = access.visible(connection, caller, kind.action("read"), scope)
            except ArmError:
                continue
            places.setdefault(within, []).append(kind.key)
        for within, types in places.items():
            yield Visible(one.subscription_id, tuple(types), within)


# -- conditions


def narrowed(conditions: Sequence[Expression]) -> tuple[Condition, bool]:
    """Return what the store can look after, and whether that is all."""
    found = [_narrowed(one) for one in conditions]
    terms = tuple(one[0] for one in found if one is not None)
    return Every(terms), all(one is not None and one[1] for one in found)


def _narrowed(expression: Expression) -> tuple[Condition, bool] | None:
    match expression:
        case tree.All():
            condition, exact = narrowed(expression.terms)
            return condition, exact
        case tree.Any():
            found = [_narrowed(one) for one in expression.terms]
            known = [one for one in found if one is not None]
            if len(known) < len(found):
                return None
            return Some(tuple(one[0] for one in known)), all(one[1] for one in known)
        case Not():
            inner = _narrowed(expression.term)
            return (Inverse(inner[0]), True) if inner is not None and inner[1] else None
        case Compare():
            return _compared(expression)
    return None


def _compared(compare: Compare) -> tuple[Condition, bool] | None:
    values = [one.value for one in compare.right if isinstance(one, Literal)]
    texts = tuple(one for one in values if isinstance(one, str))
    if not isinstance(compare.left, Path) or len(texts) < len(compare.right):
        return None
    parts, negated = compare.left.parts, compare.operator[0] == "!"
    bare = compare.operator.removeprefix("!")
    bare = {"=": "==", "~": "=~"}.get(bare, bare)  # what is left of != and !~
    if len(parts) == 2 and parts[0] == "tags" and bare in ("==", "in"):
        tagged = Tagged(parts[1], texts)
        return (Inverse(tagged) if negated else tagged), True
    if len(parts) > 1 or parts[0] not in SOURCES:
        return None
    column, lower = SOURCES[parts[0]], tuple(one.lower() for one in texts)
    if bare in _FOLDING:
        found: Condition = Is(column, _FOLDING[bare], lower)
        return (Inverse(found) if negated else found), True
    if bare not in ("==", "in"):
        return (Is(column, "contains", lower), False) if bare == "has" and not negated else None
    if parts[0] in LOWER:
        found = Is(column, "in", texts)
        return (Inverse(found) if negated else found), True
    return None if negated else (Is(column, "in", lower), False)


# -- rows


class Resources:
    """The table ``resources``: all tracked resources, as readers see them."""

    def __init__(self, seen: Seen, registry: Registry) -> None:
        """Take what may be seen, and the types that know how they are shown."""
        self.seen = seen
        self.registry = registry

    def scan(
        self, connection: Connection, condition: Condition, after: str, *, rendered: bool
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield key and row of all resources behind ``after``, a chunk at a time.

        What is not ``rendered`` lacks the properties that only the type knows.
        """
        while True:
            found = graph.page(connection, self.seen.resources, condition, limit=CHUNK, after=after)
            for stored, row in zip(found, self.rows(connection, found, rendered=rendered), strict=True):
                yield stored.key, row
            if len(found) < CHUNK:
                return
            after = found[-1].key

    def rows(
        self, connection: Connection, found: Sequence[Stored], *, rendered: bool = True
    ) -> list[dict[str, Any]]:
        """Return the rows of resources, in the same order."""
        bodies: list[str | bytes] = [one.document for one in found]
        if rendered:
            by_type: dict[str, list[int]] = {}
            for index, one in enumerate(found):
                by_type.setdefault(one.type_key, []).append(index)
            for type_key, places in by_type.items():
                kind = self.registry.find(type_key)
                if isinstance(kind, ResourceType):
                    shown = kind.render(connection, [found[index] for index in places])
                    for index, body in zip(places, shown, strict=True):
                        bodies[index] = body
        tenant = self.seen.tenant_id
        return [_row(one, body, tenant) for one, body in zip(found, bodies, strict=True)]


def _row(stored: Stored, body: str | bytes, tenant_id: str) -> dict[str, Any]:
    document: Mapping[str, Any] = msgspec.json.decode(body)
    return {
        "id": stored.resource_id,
        "name": document["name"],
        "type": stored.type_key,
        "tenantId": tenant_id,
        "kind": document.get("kind", ""),
        "location": stored.location,
        "resourceGroup": stored.group_key,
        "subscriptionId": stored.subscription_id,
        "managedBy": document.get("managedBy", ""),
        "sku": document.get("sku"),
        "plan": document.get("plan"),
        "properties": document.get("properties"),
        "tags": document.get("tags"),
        "identity": document.get("identity"),
    }


class Containers:
    """The table ``resourcecontainers``: subscriptions and resource groups."""

    def __init__(self, seen: Seen) -> None:
        """Take what may be seen."""
        self.seen = seen

    def scan(self, connection: Connection, after: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield key and row of all containers behind ``after``: each subscription, then its groups."""
        for one in sorted(self.seen.subscriptions):
            key = f"/subscriptions/{one.subscription_id}"
            if key > after:
                yield key, self._subscription(connection, one)
            places = [place for place in self.seen.groups if place.subscription_id == one.subscription_id]
            yield from self._groups(connection, places, max(after, key)) if after < key + "0" else ()

    def _groups(
        self, connection: Connection, places: Sequence[Visible], after: str
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        while True:
            found = graph.page(connection, places, Every(), limit=CHUNK, after=after)
            for one in found:
                row = _row(one, one.document, self.seen.tenant_id)
                yield one.key, row | {"type": "microsoft.resources/subscriptions/resourcegroups"}
            if len(found) < CHUNK:
                return
            after = found[-1].key

    def _subscription(self, connection: Connection, one: Subscription) -> dict[str, Any]:
        shown = subscriptions.get(connection, one.subscription_id) or one
        key = f"/subscriptions/{one.subscription_id}"
        return {
            "id": key,
            "name": shown.display_name,
            "type": "microsoft.resources/subscriptions",
            "tenantId": one.tenant_id,
            "kind": "",
            "location": "",
            "resourceGroup": "",
            "subscriptionId": one.subscription_id,
            "managedBy": "",
            "sku": None,
            "plan": None,
            "properties": {"state": shown.state},
            "tags": tags.own(connection, key),
            "identity": None,
        }
