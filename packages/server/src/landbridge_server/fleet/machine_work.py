"""What a machine gets to do, put together from the items of work and the resources they are about.

An answer is bounded: what overtakes comes always, then what is new, then what the machine was
given before and has not ended, each the oldest first. What finds no room is told about again
as soon as something has ended.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from landbridge_server.arm import documents, work
from landbridge_server.arm.registry import Registry
from landbridge_server.arm.resource_type import Effects, ResourceType
from landbridge_server.arm.sealing import Unreadable
from landbridge_server.store import machine_news, resources
from landbridge_server.store.database import Connection, Database
from landbridge_server.store.work import Item
from landbridge_wire import arm_id
from landbridge_wire.errors import ArmError
from landbridge_wire.work_api import MACHINE, WorkItem

ROOM = 1536 * 1024
"""About how many bytes of JSON the new items take, and as many those that were given before."""

UNREADABLE = (
    "What only the machine may read was sealed with keys that this cloud no longer has. "
    "Write the resource again, with its protected members."
)


class _Part(NamedTuple):
    """What goes into one answer."""

    items: list[Item]
    messages: tuple[WorkItem, ...]
    is_all: bool


class MachineWork:
    """The work of machines, for whoever has proved to be one."""

    def __init__(self, db: Database, registry: Registry, clock: Callable[[], float]) -> None:
        """Take the store, and who knows the types."""
        self.db = db
        self.registry = registry
        self.clock = clock

    async def fetch(self, machine_key: str) -> tuple[WorkItem, ...]:
        """Return what a machine has to do, the oldest first; asked again, the same until it has reported.

        A machine that has nothing new costs no write.
        """
        found = self.db.read(lambda connection: self._unless_new(connection, machine_key))
        if found is None:
            now = self.clock()
            found = await self.db.write(lambda connection: self._take(connection, machine_key, now))
        return found

    def _unless_new(self, connection: Connection, machine_key: str) -> tuple[WorkItem, ...] | None:
        if machine_news.WORK in machine_news.kinds(connection, machine_key):
            return None
        items = work.waiting(connection, machine_key)
        if any(one.fetched_at is None for one in items):
            return None
        try:
            return self._part(connection, items).messages
        except Unreadable:
            return None

    def _take(self, connection: Connection, machine_key: str, now: float) -> tuple[WorkItem, ...]:
        self._end_unreadable(connection, machine_key, now)
        waiting = work.waiting(connection, machine_key)
        part = self._part(connection, waiting)
        is_all = part.is_all and len(waiting) < work.AT_ONCE
        work.take(connection, machine_key, part.items, is_all, now)
        return part.messages

    def _end_unreadable(self, connection: Connection, machine_key: str, now: float) -> None:
        """End the items whose secrets nobody can open any more: they could never be carried out."""
        for one in work.waiting(connection, machine_key):
            try:
                self._secrets(connection, one)
            except Unreadable:
                said = work.Report(ended=True, error=ArmError("Conflict", UNREADABLE))
                work.report(connection, self.registry, machine_key, one.work_id, said, now, Effects())

    def _part(self, connection: Connection, waiting: list[Item]) -> _Part:
        first = [one for one in waiting if one.kind in work.OVERTAKING]
        others = [one for one in waiting if one.kind not in work.OVERTAKING]
        fresh, fresh_all = self._fitting(connection, [one for one in others if one.fetched_at is None])
        given, _ = self._fitting(connection, [one for one in others if one.fetched_at is not None])
        chosen = [(one, self._message(connection, one)) for one in first] + fresh + given
        chosen.sort(key=lambda pair: pair[0].sequence)
        return _Part([item for item, _ in chosen], tuple(message for _, message in chosen), fresh_all)

    def _fitting(self, connection: Connection, items: list[Item]) -> tuple[list[tuple[Item, WorkItem]], bool]:
        chosen: list[tuple[Item, WorkItem]] = []
        room = ROOM
        for one in items:
            message = self._message(connection, one)
            room -= len(msgspec.json.encode(message.to_json()))
            if room < 0 and chosen:
                return chosen, False
            chosen.append((one, message))
        return chosen, True

    def _message(self, connection: Connection, item: Item) -> WorkItem:
        stored = resources.get(connection, item.target_key)
        target = stored.resource_id if stored else item.target_key
        type_key = arm_id.parse(target).type.lower()
        properties: dict[str, Any] = {}
        if stored is not None and type_key != MACHINE and item.kind not in work.OVERTAKING:
            kind = self.registry.find(type_key)
            seen = {"provisioningState", *(kind.observed if isinstance(kind, ResourceType) else ())}
            whole = documents.decode(stored)["properties"]
            properties = {name: value for name, value in whole.items() if name not in seen}
        return WorkItem(
            id=item.work_id,
            kind=item.kind,
            target=target,
            type=type_key,
            sequence=item.sequence,
            properties=properties,
            protected=self._secrets(connection, item),
            content=work.content_of(item),
        )

    def _secrets(self, connection: Connection, item: Item) -> dict[str, Any]:
        """Return what only the machine may read; who removes or ends something needs none of it."""
        if item.kind != work.APPLY:
            return {}
        kind = self.registry.find(arm_id.parse(item.target_key).type)
        found: dict[str, Any] = (
            kind.secrets_of(connection, item.target_key) if isinstance(kind, ResourceType) else {}
        )
        return found
