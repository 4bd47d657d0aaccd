"""What waits for a machine: asked in the transaction of a write, ended by the machine's report.

Only a machine can carry out what is written about it: install an extension, run a command.
Each such write becomes one operation (what the caller polls) and one item of work (what the
machine fetches). Until the machine has reported, the resource says Creating, Updating or
Deleting and the operation InProgress, across restarts, for as long as it takes.

- A newer write about the same resource takes the place of an item that no agent has fetched.
- What no agent ever fetched can be removed at once: nothing of it is on the machine.
- What goes on after it has succeeded for callers, such as a script in the background, is detached:
  its operation has ended, its item stays until the machine's last report.
- When the machine's resource goes, removals have succeeded and everything else is given up.

The decision and its reasons: docs/adr/0006. Who asks on behalf of a machine has proved to be it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from landbridge_server.arm import documents, etags, operations
from landbridge_server.arm.event_documents import Who
from landbridge_server.arm.registry import Registry
from landbridge_server.arm.removal import remove
from landbridge_server.arm.resource_type import Document, Effects, ResourceType
from landbridge_server.identity.caller import Caller
from landbridge_server.store import machine_news, machines, resources, work
from landbridge_server.store import operations as stored_operations
from landbridge_server.store.database import Connection
from landbridge_server.store.operations import Operation
from landbridge_server.store.resources import Stored
from landbridge_server.store.work import Item
from landbridge_wire import arm_id
from landbridge_wire.errors import ArmError

APPLY = "apply"
"""Make the machine have what the resource says."""
REMOVE = "remove"
"""Make the machine have nothing of the resource any more."""
CANCEL = "cancel"
"""End what the machine runs for the item that ``content.run`` names."""
OVERTAKING = (REMOVE, CANCEL)
"""Kinds that a machine gets however much waits before them."""

CREATING, UPDATING, DELETING = "Creating", "Updating", "Deleting"
SUCCEEDED, FAILED, CANCELED = "Succeeded", "Failed", "Canceled"
"""Canceled: taken back before any machine had something of it."""

OVERTAKEN = '{"overtaken":true}'
"""The content of a run that has still to end, while a newer one of the same resource has begun."""

AT_ONCE = 200
"""Things to do that a machine gets with one request."""


@dataclass(frozen=True)
class Report:
    """What a machine says about one item. ``properties`` are what it observed, unverified.

    ``ended``: there is nothing more to do; ``error`` says why it failed.
    """

    properties: Mapping[str, Any] = field(default_factory=dict)
    ended: bool = False
    error: ArmError | None = None


def preempted(why: str) -> ArmError:
    """Return the error of an operation that something else took the place of."""
    return ArmError("OperationPreempted", f"The operation was given up: {why}", cause="service")


def ask(
    connection: Connection,
    kind: str,
    target: str,
    caller: Caller | Who,
    now: float,
    content: Mapping[str, Any] | None = None,
) -> Operation:
    """Ask a machine to do something about ``target``, the id of a resource of it or of itself.

    ``kind`` is APPLY, REMOVE or the name of an action; ``content`` says what the resource does not.
    """
    own = arm_id.parse(target)
    if kind == REMOVE and (under_way := _removal(connection, own.key)) is not None:
        return under_way
    if kind in (APPLY, REMOVE):
        newer = "a newer one about the same resource was accepted before the machine had begun."
        give_up(connection, _unfetched(connection, own.key), preempted(newer), now)
    result = {APPLY: operations.PUT_RESOURCE, REMOVE: operations.DELETE_RESOURCE}
    made = operations.begin(
        connection,
        result.get(kind, operations.ACTION),
        own.subscription,
        own.text,
        caller.object_id,
        now,
    )
    work.add(
        connection,
        work_id=made.operation_id,
        machine_key=machine_of(own.key),
        target_key=own.key,
        kind=kind,
        content=msgspec.json.encode(content or {}).decode(),
        now=now,
    )
    return made


def machine_of(key: str) -> str:
    """Return the key of the machine that a resource, or an extension of it, lies below."""
    return "/".join(key.split("/")[:9])


def _unfetched(connection: Connection, target_key: str) -> list[Item]:
    return [
        one
        for one in work.of_target(connection, target_key)
        if one.fetched_at is None and one.kind in (APPLY, REMOVE)
    ]


def _removal(connection: Connection, target_key: str) -> Operation | None:
    """Return the removal that is the last thing asked about a resource."""
    last = [one for one in work.of_target(connection, target_key) if one.kind in (APPLY, REMOVE)][-1:]
    return stored_operations.get(connection, last[0].work_id) if last and last[0].kind == REMOVE else None


def under_way(connection: Connection, target_key: str) -> Operation | None:
    """Return the operation of the newest PUT or PATCH of a resource, while the machine has not reported it.

    None: there is none, or a removal was asked since.
    """
    last = [one for one in work.of_target(connection, target_key) if one.kind in (APPLY, REMOVE)][-1:]
    if not last or last[0].kind != APPLY or last[0].detached_at is not None:
        return None
    return stored_operations.get(connection, last[0].work_id)


def next_state(old: Document | None) -> str:
    """Return the state of a resource that is written: Creating until a machine had it once."""
    state = (old or {}).get("properties", {}).get("provisioningState", CREATING)
    return CREATING if state in (CREATING, CANCELED) else UPDATING


def is_delivered(connection: Connection, stored: Stored) -> bool:
    """Say whether something of a resource may be on its machine."""
    machine = machines.get(connection, machine_of(stored.key))
    if machine is None or machine.enrolled_at is None:
        return False
    if any(one.fetched_at is not None for one in work.of_target(connection, stored.key)):
        return True
    return next_state(documents.decode(stored)) != CREATING


def ask_removal(connection: Connection, stored: Stored, caller: Caller, now: float) -> Operation:
    """Ask the machine to remove a resource; the operation has ended where there is nothing to do."""
    asked = ask(connection, REMOVE, stored.resource_id, caller, now)
    if is_delivered(connection, stored):
        document = documents.decode(stored)
        document["properties"]["provisioningState"] = DELETING
        rewrite(connection, stored, document, now)
        return asked
    work.remove(connection, [asked.operation_id])
    operations.succeed(connection, asked.operation_id, now)
    return asked._replace(status=stored_operations.SUCCEEDED, ended_at=now)


def ask_to_cancel(connection: Connection, stored: Stored, run: Item, caller: Caller, now: float) -> Operation:
    """Ask the machine to end a run that it has begun; asked again meanwhile, the same operation."""
    for one in work.of_target(connection, stored.key):
        if one.kind == CANCEL and content_of(one).get("run") == run.work_id:
            under_way = stored_operations.get(connection, one.work_id)
            if under_way is not None:
                return under_way
    return ask(connection, CANCEL, stored.resource_id, caller, now, {"run": run.work_id})


def rewrite(connection: Connection, stored: Stored, document: Document, now: float) -> Stored:
    """Write what became of a resource; who wrote it last stays the same."""
    row = stored._replace(document=msgspec.json.encode(document).decode(), etag=etags.new(), changed_at=now)
    resources.put(connection, row, documents.tags_of(document), is_new=False)
    return row


def give_up(connection: Connection, items: list[Item], error: ArmError, now: float) -> None:
    """End items that nobody will carry out any more."""
    for one in items:
        if one.detached_at is None:
            operations.fail(connection, one.work_id, error, now)
    work.remove(connection, [one.work_id for one in items])


def abandon(connection: Connection, key: str, now: float) -> None:
    """End all work about a resource that goes, and about what lies below it."""
    items = work.at_or_below(connection, key)
    for one in items:
        if one.kind == REMOVE:
            operations.succeed(connection, one.work_id, now)
    work.remove(connection, [one.work_id for one in items if one.kind == REMOVE])
    gone = preempted("the resource was deleted before the machine had done it.")
    give_up(connection, [one for one in items if one.kind != REMOVE], gone, now)


def waiting(connection: Connection, machine_key: str) -> list[Item]:
    """Return what a machine has to do, the oldest first: ``AT_ONCE``, and all that overtakes."""
    items = work.of_machine(connection, machine_key, AT_ONCE)
    if len(items) == AT_ONCE:
        items += work.later(connection, machine_key, items[-1].sequence, OVERTAKING)
    return items


def take(connection: Connection, machine_key: str, items: list[Item], is_all: bool, now: float) -> None:
    """Note that a machine's agent holds these items; ``is_all``: nothing else waits for it."""
    work.set_fetched(connection, [one.work_id for one in items if one.fetched_at is None], now)
    if is_all:
        machine_news.clear(connection, machine_key, machine_news.WORK)


def fetch(connection: Connection, machine_key: str, now: float) -> list[Item]:
    """Return what a machine has to do, the oldest first; asked again, the same until it has reported."""
    items = waiting(connection, machine_key)
    take(connection, machine_key, items, len(items) < AT_ONCE, now)
    return items


def item_of(connection: Connection, machine_key: str, work_id: str) -> Item:
    """Return an item of a machine.

    Raises:
        ArmError: NotFound; it has ended, or is another machine's.
    """
    item = work.get(connection, work_id)
    if item is None or item.machine_key != machine_key:
        raise ArmError("NotFound", f"There is no work '{work_id[:100]}' for this machine.")
    return item


def report(
    connection: Connection,
    registry: Registry,
    machine_key: str,
    work_id: str,
    said: Report,
    now: float,
    effects: Effects,
) -> None:
    """Take over what a machine says about an item; the transaction is the caller's.

    Raises:
        ArmError: NotFound; the item has ended, or is another machine's.
    """
    item = item_of(connection, machine_key, work_id)
    stored = resources.get(connection, item.target_key)
    if said.ended:
        _end(connection, item, said, now)
    if stored is None:
        return
    if item.kind not in (APPLY, REMOVE):
        asked_of = registry.find(stored.type_key)
        if isinstance(asked_of, ResourceType):
            asked_of.on_acted(connection, stored, item.kind, said.properties, now)
        return
    if item.content == OVERTAKEN:
        return
    others = _others(connection, item)
    newer = next((one for one in reversed(others) if one.sequence > item.sequence), None)
    if item.kind == REMOVE and said.ended and said.error is None and newer is None:
        remove(connection, registry, stored.key, effects)
        return
    document = documents.decode(stored)
    properties = document["properties"]
    kind = registry.find(stored.type_key)
    goes_on = False
    if isinstance(kind, ResourceType) and not (kind.runs and newer is not None and newer.kind == APPLY):
        properties.update(kind.observe(said.properties, said.error))
        begins = item.kind == APPLY and item.detached_at is None and not said.ended
        goes_on = begins and kind.goes_on(properties)
        if kind.runs and item.kind == APPLY:
            others = _overtake(connection, others, item)
    if goes_on:
        operations.succeed(connection, work_id, now)
        work.set_detached(connection, work_id, now)
    if said.ended or goes_on:
        waiting = next((one for one in reversed(others) if one.detached_at is None), None)
        properties["provisioningState"] = _state_after(item, said, newer or waiting)
    rewrite(connection, stored, document, now)


def _others(connection: Connection, item: Item) -> list[Item]:
    """Return what else is wanted of the machine about the same resource, the oldest first."""
    found = work.of_target(connection, item.target_key)
    return [
        one
        for one in found
        if one.kind in (APPLY, REMOVE) and one.work_id != item.work_id and one.content != OVERTAKEN
    ]


def _overtake(connection: Connection, others: list[Item], item: Item) -> list[Item]:
    """Note that the machine has begun a run: what it still says about earlier ones is not shown."""
    early = [one for one in others if one.kind == APPLY and one.sequence < item.sequence]
    work.set_content(connection, [one.work_id for one in early], OVERTAKEN)
    return [one for one in others if one not in early]


def _end(connection: Connection, item: Item, said: Report, now: float) -> None:
    """End an item as its machine says, and what it was to be told about it and was not yet."""
    work.remove(connection, [item.work_id])
    if said.error is not None and item.detached_at is None:
        operations.fail(connection, item.work_id, said.error, now)
    elif item.detached_at is None:
        operations.succeed(connection, item.work_id, now)
    if item.kind == APPLY:
        late = [
            one
            for one in work.of_target(connection, item.target_key)
            if one.kind == CANCEL and one.fetched_at is None and content_of(one).get("run") == item.work_id
        ]
        ended = ArmError("OperationNotAllowed", "The run had ended before the machine could cancel it.")
        give_up(connection, late, ended, now)
    if machine_news.WORK in machine_news.kinds(connection, item.machine_key):
        machine_news.mark(connection, item.machine_key, machine_news.WORK)  # there is room for more


def is_shown(connection: Connection, item: Item) -> bool:
    """Say whether what a run prints is still of interest: no newer one has been asked for."""
    newer = (one.kind == APPLY and one.sequence > item.sequence for one in _others(connection, item))
    return item.content != OVERTAKEN and not any(newer)


def content_of(item: Item) -> dict[str, Any]:
    """Return what the request said and the resource does not."""
    found: dict[str, Any] = msgspec.json.decode(item.content)
    return {} if item.content == OVERTAKEN else found


def _state_after(item: Item, said: Report, other: Item | None) -> str:
    """Return the state of a resource about which ``other`` has still to be done, if anything."""
    if other is None:
        # What was detached has succeeded already: how it ended is told elsewhere.
        return FAILED if said.error is not None and item.detached_at is None else SUCCEEDED
    if other.kind == REMOVE:
        return DELETING
    return CREATING if item.kind == REMOVE and said.error is None else UPDATING
