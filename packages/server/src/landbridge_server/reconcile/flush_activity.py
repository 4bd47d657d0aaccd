"""Writes the activity log in batches, and drops what is too old or too much."""

from __future__ import annotations

from collections.abc import Callable

from landbridge_server.arm import operations
from landbridge_server.arm.activity import Activity
from landbridge_server.store import events
from landbridge_server.store import operations as stored_operations
from landbridge_server.store.database import Connection, Database
from landbridge_server.store.events import Event

ROWS = 200
"""Events per transaction: some milliseconds of the writer."""

KEPT = 90 * 86400.0
"""Seconds that an event stays: what the real service keeps."""

MOST = 1_000_000
"""Events that are kept at all."""

PRUNE_SECONDS = 3600.0


class FlushActivity:
    """The task."""

    def __init__(self, db: Database, activity: Activity, clock: Callable[[], float]) -> None:
        """Take the store, what happened, and the clock."""
        self.db = db
        self.activity = activity
        self.clock = clock
        self._pruned_at = float("-inf")
        self._unwritten: list[Event] = []

    async def __call__(self) -> None:
        """Write all that happened; what could not be written is tried again with the next turn."""
        while True:
            self._unwritten = self._unwritten or self.activity.take(ROWS)
            if not self._unwritten:
                break
            await self._write(self._unwritten)
            self._unwritten = []
        now = self.clock()
        if now - self._pruned_at >= PRUNE_SECONDS:
            await self.db.write(lambda connection: self._prune(connection, now), aside=True)
            self._pruned_at = now

    async def _write(self, batch: list[Event]) -> None:
        await self.db.write(lambda connection: events.add(connection, batch), aside=True)

    def _prune(self, connection: Connection, now: float) -> None:
        events.prune(connection, now - KEPT, MOST)
        stored_operations.prune(connection, now - operations.KEPT)
