"""Moving resources to another group: what must hold, and the move itself, in one transaction.

Checked in ARM's order: the request's own sense, both groups, each resource, locks, targets.
A move changes nothing but the place: see ``store.moves``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from landbridge_server.arm import documents, etags, locks, refusals, registrations
from landbridge_server.arm.engine import DELETING
from landbridge_server.arm.registry import Registry
from landbridge_server.arm.resource_type import Kind, ResourceType
from landbridge_server.store import locks as stored_locks
from landbridge_server.store import moves, resources
from landbridge_server.store.database import Connection
from landbridge_server.store.moves import MovedMachine, Place
from landbridge_server.store.resources import Stored
from landbridge_wire import arm_id
from landbridge_wire.arm_id import ArmId
from landbridge_wire.errors import ArmError

MOST = 800
"""Resources in one request, as the documents have it."""

_ENDED = frozenset({"Succeeded", "Failed", "Canceled"})


@dataclass(frozen=True)
class Request:
    """What is asked: resources out of one group into another; checked for its own sense only."""

    source: ArmId
    target: ArmId
    resources: tuple[ArmId, ...]


def parsed(source: ArmId, body: dict[str, object]) -> Request:
    """Return what a body asks for.

    Raises:
        ArmError: it makes no sense, whatever the store holds.
    """
    target = _id(body.get("targetResourceGroup"), "targetResourceGroup")
    if not target.group or target.namespace:
        raise refusals.invalid(
            "'targetResourceGroup' must be the id of a resource group.", "targetResourceGroup"
        )
    given = body.get("resources")
    if not isinstance(given, list) or not given:
        raise refusals.invalid("'resources' must be an array of resource ids.", "resources")
    if len(given) > MOST:
        raise ArmError(
            "BadRequest", f"The request moves {len(given)} resources; at most {MOST} are possible."
        )
    if arm_id.same(source.text, target.text):
        raise ArmError(
            "BadRequest", f"The source and the target resource group are the same: '{target.group}'."
        )
    wanted = tuple(_id(one, "resources") for one in given)
    for one in wanted:
        if not arm_id.contains(source.text, one.text) or not one.namespace or one.collection:
            raise ArmError(
                "BadRequest", f"The resource '{one.text}' is not in the resource group '{source.group}'."
            )
    if len({one.key for one in wanted}) < len(wanted):
        raise ArmError("BadRequest", "The request names a resource twice.")
    return Request(source, target, wanted)


def _id(unverified: object, name: str) -> ArmId:
    if not isinstance(unverified, str):
        raise refusals.invalid(f"'{name}' must hold resource ids.", name)
    try:
        return arm_id.parse(unverified)
    except arm_id.MalformedId as error:
        raise refusals.invalid(f"'{unverified[:200]}' is not a resource id: {error}", name) from error


def check(connection: Connection, registry: Registry, request: Request, now: float) -> list[Stored]:
    """Return the rows of the resources, if all of them can be moved.

    Raises:
        ArmError: they cannot; nothing was changed.
    """
    for group in (request.source, request.target):
        stored = resources.get(connection, group.key)
        if stored is None:
            raise refusals.group_missing(group.group)
        if DELETING in stored.document:
            raise refusals.group_leaving(group.group)
    rows = [_movable(connection, registry, one) for one in request.resources]
    _check_locks(connection, request)
    for namespace in {one.namespace.lower(): one.namespace for one in request.resources}.values():
        provider = registry.provider(namespace)
        if not registrations.is_registered(connection, request.target.subscription.lower(), provider, now):
            raise refusals.not_registered(provider.namespace)
    for row in rows:
        there = _target(request, request.target.text, row)
        if resources.exists(connection, there.lower()):
            raise ArmError("Conflict", f"The resource '{there}' exists already in the target resource group.")
    return rows


def _movable(connection: Connection, registry: Registry, wanted: ArmId) -> Stored:
    kind = registry.type(wanted.namespace, wanted.type.partition("/")[2], "")
    if not isinstance(kind, ResourceType) or kind.kind is not Kind.TRACKED:
        raise ArmError(
            "BadRequest",
            f"The resource '{wanted.text}' cannot be moved by itself: "
            "resources of its type go with what they belong to.",
        )
    if not kind.movable:
        raise ArmError("BadRequest", f"Resources of the type '{kind.full_type}' cannot be moved.")
    stored = resources.get(connection, wanted.key)
    if stored is None:
        raise refusals.resource_missing(wanted)
    return stored


def _check_locks(connection: Connection, request: Request) -> None:
    """Refuse when a ReadOnly lock holds for either group, or for a resource or something in it."""
    for group in (request.source, request.target):
        locks.check_write(connection, group.text)
    inside = stored_locks.below(connection, request.source.key)
    if not inside:
        return
    for one in request.resources:
        found = [lock for lock in inside if lock.resource_id.lower().startswith(one.key + "/")]
        if held := locks.read_only(found):
            raise locks.refuse("write", one.text, held)


def _target(request: Request, group_id: str, row: Stored) -> str:
    """Return the id that a resource will have."""
    depth = request.source.text.count("/") + 1
    return "/".join([group_id, *row.resource_id.split("/")[depth:]])


def move(connection: Connection, registry: Registry, request: Request, now: float) -> list[MovedMachine]:
    """Move the resources with all that is below them; return the machines among them.

    Raises:
        ArmError: they cannot be moved; nothing was changed.
    """
    rows = check(connection, registry, request, now)
    group = resources.get(connection, request.target.key)
    if group is None:
        raise refusals.group_missing(request.target.group)
    return carry(
        connection,
        registry,
        [Place(row.key, _target(request, group.resource_id, row)) for row in rows],
        group,
        now,
    )


def carry(
    connection: Connection, registry: Registry, places: Sequence[Place], group: Stored, now: float
) -> list[MovedMachine]:
    """Give resources, and all that is below them, their new ids in a group; return the machines.

    That nothing is there yet, and that no lock forbids it, was checked.

    Raises:
        ArmError: something is under way in one of them; nothing was changed.
    """
    renamed: list[tuple[str, Stored]] = []
    for place in places:
        for row in resources.below(connection, place.old_key):
            _check_ended(row)
            renamed.append((row.key, _placed(row, place, group, now)))
    moves.rename_resources(connection, renamed)
    machines = moves.carry_along(connection, places)
    for _, row in renamed:
        kind = registry.find(row.type_key)
        if isinstance(kind, ResourceType) and kind.keeps_shown:
            shown = kind.shown(connection, row.key, documents.decode(row))
            resources.set_shown(connection, row.key, shown)
    return machines


def check_states(connection: Connection, rows: Sequence[Stored]) -> None:
    """Return if nothing is under way in the resources, nor in what is below them.

    Raises:
        ArmError: something is.
    """
    for row in rows:
        for one in resources.below(connection, row.key):
            _check_ended(one)


def _check_ended(row: Stored) -> None:
    state = documents.decode(row).get("properties", {}).get("provisioningState", "Succeeded")
    if state not in _ENDED:
        raise ArmError(
            "Conflict",
            f"The resource '{row.resource_id}' cannot be moved while it is in the state '{state}'. "
            "Try again when the operation on it has ended.",
        )


def _placed(row: Stored, place: Place, group: Stored, now: float) -> Stored:
    text = place.rebased(row.resource_id)
    document = documents.decode(row)
    at_top, etag = row.key == place.old_key, etags.new()
    document["id"] = text
    if at_top:
        document["name"] = text.rpartition("/")[2]
    return row._replace(
        key=text.lower(),
        name_key=text.lower().rpartition("/")[2] if at_top else row.name_key,
        resource_id=text,
        subscription_id=group.subscription_id,
        group_key=group.name_key,
        parent_key=group.key if at_top else place.rebased(row.parent_key).lower(),
        document=msgspec.json.encode(document).decode(),
        etag=etag,
        changed_at=now,
        shown=None,  # it tells the id: it is made anew
        shown_etag=etag,
    )
