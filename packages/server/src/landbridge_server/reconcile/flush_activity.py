"""Writes the activity log in batches, links it into its chain, and drops what is too old or too much.

Where the chain ends is also kept in a file beside the database. A database that is put back, with
its seal, to how it was yesterday does not fit it. The file is written after the commit: after a
crash it names an earlier end, which is no contradiction.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import msgspec

from landbridge_server.arm import operations
from landbridge_server.arm.activity import Activity
from landbridge_server.arm.event_documents import NOBODY
from landbridge_server.ca.keyring import write_atomically
from landbridge_server.store import event_chain
from landbridge_server.store import operations as stored_operations
from landbridge_server.store.database import Connection, Database
from landbridge_server.store.event_chain import BEGINNING, Place, Seal
from landbridge_server.store.events import Event

logger = logging.getLogger("landbridge")

ROWS = 200
"""Events per transaction: some milliseconds of the writer."""

KEPT = 90 * 86400.0
"""Seconds that an event stays: what the real service keeps."""

MOST = 2_000_000
"""Events that are kept at all."""

PRUNE_SECONDS = 3600.0
PRUNED_AT_ONCE = 2_000

DAMAGED = "Landbridge/activityLog/damaged/action"
"""The action of the event that tells of somebody who changed the log."""

HEAD_FILE = "activity-head.json"
"""The file below the control plane's folder that says where the chain ends."""


def read_head(data: Path) -> Place:
    """Return where the chain ended when this folder's control plane last wrote to it.

    Raises:
        ValueError: the file is there and cannot be read.
    """
    try:
        return msgspec.json.decode((data / HEAD_FILE).read_bytes(), type=Place)
    except FileNotFoundError:
        return BEGINNING
    except (OSError, msgspec.MsgspecError) as error:
        raise ValueError(f"{data / HEAD_FILE} cannot be read: {error}") from error


class FlushActivity:
    """The task."""

    def __init__(
        self, db: Database, activity: Activity, clock: Callable[[], float], seal: Seal, data: Path
    ) -> None:
        """Take the store, what happened, the clock, the seal of the chain, and the folder of its end.

        Raises:
            ValueError: the file with the chain's end cannot be read.
        """
        self.db = db
        self.activity = activity
        self.clock = clock
        self.data = data
        self._seal = seal
        self._head = read_head(data)
        self._filed = self._head
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
        await self._file()
        now = self.clock()
        if now - self._pruned_at >= PRUNE_SECONDS:
            await self.db.write(
                lambda connection: stored_operations.prune(connection, now - operations.KEPT), aside=True
            )
            while await self.db.write(lambda connection: self._trim(connection, now), aside=True):
                pass
            self._pruned_at = now

    async def _write(self, batch: list[Event]) -> None:
        now = self.clock()
        self._head, amiss = await self.db.write(
            lambda connection: event_chain.append(connection, self._seal, batch, self._head, now), aside=True
        )
        for text in amiss:
            logger.error("the activity log was tampered with", extra={"fields": {"reason": text}})
            self.activity.happened(DAMAGED, "/", NOBODY, status=500, error=("ActivityLogDamaged", text))

    async def _file(self) -> None:
        if self._head != self._filed:
            content, path = msgspec.json.encode(self._head), self.data / HEAD_FILE
            await asyncio.get_running_loop().run_in_executor(None, write_atomically, path, content)
            self._filed = self._head

    def _trim(self, connection: Connection, now: float) -> bool:
        return event_chain.trim(connection, self._seal, now - KEPT, MOST, PRUNED_AT_ONCE)
