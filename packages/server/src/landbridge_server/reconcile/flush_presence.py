"""Writes who was heard from, in batches: a heartbeat costs no transaction of its own."""

from __future__ import annotations

from landbridge_server.fleet.presence import Presence
from landbridge_server.store import machines
from landbridge_server.store.database import Connection, Database
from landbridge_server.store.machines import Seen

ROWS = 1000
"""Machines per transaction."""


class FlushPresence:
    """The task."""

    def __init__(self, db: Database, presence: Presence) -> None:
        """Take the store and the memory."""
        self.db = db
        self.presence = presence

    async def __call__(self) -> None:
        """Write all that changed; what could not be written stays marked as changed."""
        while batch := self.presence.take_dirty(ROWS):
            try:
                await self._write(batch)
            except BaseException:
                self.presence.put_back(batch)
                raise

    async def _write(self, batch: list[Seen]) -> None:
        def work(connection: Connection) -> None:
            machines.save_seen(connection, batch)

        await self.db.write(work, aside=True)
