"""Asks machines to upgrade extensions by themselves, once a newer minor version is published.

Upgraded are extensions whose ``enableAutomaticUpgrade`` is not false, as the documents have it, to the
newest version of the same major one; each is asked once for each version, also if it failed: a
machine rolls back by itself. Waves: at most ``PER_MINUTE`` in a minute, all nodes together, and only
machines that are connected. What is built into the agent is upgraded with the agent.

A walk looks at ``PAGE`` extensions each turn, so 100,000 take about an hour.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from landbridge_server.arm import work
from landbridge_server.arm.activity import Activity
from landbridge_server.arm.event_documents import Who
from landbridge_server.fleet.extension_packages import VERSION, newest, numbers
from landbridge_server.store import extension_upgrades, extensions, machines, resources
from landbridge_server.store.database import Connection, Database
from landbridge_server.store.resources import Query, Stored
from landbridge_wire.work_api import EXTENSION, UPGRADE

PAGE = 1000
PER_MINUTE = 200
TOGETHER = 20
"""So many are asked in one transaction."""

CLOUD = Who("landbridge:automatic-upgrade")
"""Who asks, in the activity log."""

ACTION = "Microsoft.HybridCompute/machines/upgradeExtensions/action"


class _View(msgspec.Struct):
    typeHandlerVersion: str = ""


class _Properties(msgspec.Struct):
    publisher: str = ""
    type: str = ""
    provisioningState: str = ""
    enableAutomaticUpgrade: bool = True
    instanceView: _View = msgspec.field(default_factory=_View)


class _Extension(msgspec.Struct):
    properties: _Properties


_decode = msgspec.json.Decoder(_Extension).decode


class Due(NamedTuple):
    """An extension that is to be upgraded, by ``name`` (Publisher.Type), to ``version``."""

    resource_key: str
    name: str
    version: str


Published = Mapping[str, list[str]]
"""``publisher/type`` in lower case -> the published versions."""


def published(connection: Connection) -> Published:
    """Return what there are packages of."""
    found: dict[str, list[str]] = {}
    for one in extensions.everyone(connection):
        found.setdefault(one.name_key, []).append(one.version)
    return found


def due(stored: Stored, there: Published) -> Due | None:
    """Return to what an extension is to be upgraded, if anything. Pure."""
    try:
        said = _decode(stored.document).properties
    except msgspec.DecodeError:
        return None
    has = said.instanceView.typeHandlerVersion
    if not said.enableAutomaticUpgrade or said.provisioningState != work.SUCCEEDED:
        return None
    if not VERSION.fullmatch(has):
        return None
    versions = there.get(f"{said.publisher}/{said.type}".lower(), [])
    best = newest((one for one in versions if numbers(one)[0] == numbers(has)[0]), str)
    if best is None or numbers(best) <= numbers(has):
        return None
    return Due(stored.key, f"{said.publisher}.{said.type}", best)


class UpgradeExtensions:
    """The task; each node may run it."""

    def __init__(
        self,
        db: Database,
        is_connected: Callable[[str], bool],
        activity: Activity,
        on_news: Callable[[], object],
        clock: Callable[[], float],
    ) -> None:
        """Take the store, and who knows which machines (by their keys) are there.

        ``on_news`` hears that there is work for machines.
        """
        self.db = db
        self.is_connected = is_connected
        self.activity = activity
        self.on_news = on_news
        self.clock = clock
        self._after = ""

    async def __call__(self) -> None:
        """Look at the next page, and ask as many as this minute allows."""
        there = self.db.read(published)
        if not there:
            return
        found = await self.db.read_aside(lambda connection: self._look(connection, there))
        while found:
            now, some = self.clock(), found[:TOGETHER]
            asked = await self.db.write(self._asking(some, there, now), aside=True)
            for target in asked:
                self.activity.happened(ACTION, target, CLOUD, status=202)
            if asked:
                self.on_news()
            found = found[TOGETHER:]

    def _look(self, connection: Connection, there: Published) -> list[Due]:
        room = PER_MINUTE - extension_upgrades.count_since(connection, self.clock() - 60.0)
        page = resources.find(connection, Query(type_key=EXTENSION, after=self._after, limit=PAGE))
        found: list[Due] = []
        for stored in page:
            if len(found) >= room:
                return found  # what follows has its turn with the next one
            self._after = stored.key
            one = due(stored, there)
            if one and self._may(connection, one):
                found.append(one)
        if len(page) < PAGE:
            self._after = ""
        return found

    def _may(self, connection: Connection, one: Due) -> bool:
        asked = extension_upgrades.asked(connection, one.resource_key)
        return asked != one.version and self.is_connected(work.machine_of(one.resource_key))

    def _asking(self, some: list[Due], there: Published, now: float) -> Callable[[Connection], list[str]]:
        def ask(connection: Connection) -> list[str]:
            return [target for one in some if (target := self._ask(connection, one, there, now))]

        return ask

    def _ask(self, connection: Connection, one: Due, there: Published, now: float) -> str:
        """Ask one machine; return its id, or nothing where it is not so any more."""
        stored = resources.get(connection, one.resource_key)
        machine = resources.get(connection, work.machine_of(one.resource_key))
        row = machines.get(connection, work.machine_of(one.resource_key))
        if stored is None or machine is None or row is None or row.enrolled_at is None:
            return ""
        if due(stored, there) != one or extension_upgrades.asked(connection, one.resource_key) == one.version:
            return ""
        extension_upgrades.note(connection, one.resource_key, one.version, now)
        content = {"extensionTargets": {one.name: {"targetVersion": one.version}}}
        work.ask(connection, UPGRADE, machine.resource_id, CLOUD, now, content)
        return machine.resource_id
