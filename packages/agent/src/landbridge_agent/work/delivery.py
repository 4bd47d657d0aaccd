"""Brings to the cloud what workers tell: observed properties, output while it is printed, and the end.

Whatever cannot be delivered is kept and tried again; what the cloud does not want any more (404) is
dropped. Output may be sent twice: the cloud says where the next piece begins.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

from landbridge_agent.daemon.control_plane import Refused
from landbridge_agent.daemon.log import Log
from landbridge_agent.dial import Unreachable
from landbridge_agent.paths import Paths
from landbridge_agent.work import entry
from landbridge_agent.work.cloud_calls import Calls
from landbridge_agent.work.interrupted import streams
from landbridge_agent.work.journal import Entry
from landbridge_wire.work_api import OUTPUT_CHUNK, OUTPUT_LIMIT, WorkReport

LONGEST_PAUSE = 60.0
AWAY_SECONDS = 15.0
"""How long a cloud that cannot be reached is not asked to take what can wait."""

PRINTED = "printed.json"
UNWANTED = 404
BROKEN = frozenset({400, 413, 415, 422})
"""Statuses that do not change when the same is sent again."""

PASSING = (Unreachable, Refused, OSError)
"""What keeps something from being delivered now."""


class Delivery:
    """The way of every follower to the cloud."""

    def __init__(self, calls: Calls, paths: Paths, log: Log) -> None:
        self._calls, self._paths, self._log = calls, paths, log
        self._offsets: dict[tuple[str, str], int] = {}
        self._told: dict[str, bytes] = {}
        self._unwanted: set[str] = set()
        self._again = asyncio.Event()
        self._away_until = 0.0

    def poke(self) -> None:
        """Try again at once: the cloud can be reached, or has something to say."""
        self._away_until = 0.0
        self._again.set()
        self._again = asyncio.Event()

    async def progress(self, which: Entry) -> None:
        """Pass on what is new about an item that runs; what cannot be passed on now comes later."""
        work_id = which.item.id
        now = asyncio.get_running_loop().time()
        if work_id in self._unwanted or now < self._away_until:
            return
        try:
            seen = entry.read(which.folder / entry.OBSERVED)
            if seen is not None and self._told.get(work_id) != seen:
                await self._calls.report(work_id, WorkReport(json.loads(seen)))
                self._told[work_id] = seen
            for stream, path in streams(self._paths, which.item).items():
                while await self._piece(work_id, stream, path):
                    pass
        except Refused as error:
            if error.status == UNWANTED:
                self._unwanted.add(work_id)
            self._log.debug(f"{work_id}: not passed on: {error}")
        except PASSING as error:
            self._away_until = now + AWAY_SECONDS
            self._log.debug(f"{work_id}: not passed on yet: {error}")

    async def _piece(self, work_id: str, stream: str, path: Path) -> bool:
        """Send the next piece of a stream; False when there is none."""
        at = self._offsets.get((work_id, stream), 0)
        data = _read(path, at, min(OUTPUT_CHUNK, OUTPUT_LIMIT - at)) if at < OUTPUT_LIMIT else b""
        if not data:
            return False
        self._offsets[work_id, stream] = await self._send(work_id, stream, at, data)
        return True

    async def _send(self, work_id: str, stream: str, at: int, data: bytes) -> int:
        try:
            return await self._calls.output(work_id, stream, at, data)
        except Refused as error:
            if error.status != 409 or not at:
                raise
            return 0  # it holds less than it did, from a backup perhaps: once more from the beginning

    async def end(self, which: Entry, report: WorkReport) -> None:
        """Bring all output and the last report to the cloud; return when that is done, or unwanted."""
        work_id = which.item.id
        if work_id not in self._unwanted:
            for stream, path in streams(self._paths, which.item).items():
                await self._insist(work_id, lambda s=stream, p=path: self._whole(which, s, p))  # type: ignore[misc]
            await self.report(work_id, report)
        self._told.pop(work_id, None)
        self._unwanted.discard(work_id)
        for stream in ("stdout", "stderr"):
            self._offsets.pop((work_id, stream), None)

    async def report(self, work_id: str, report: WorkReport) -> None:
        """Bring a last report to the cloud, however long that takes."""
        if not await self._insist(work_id, lambda: self._calls.report(work_id, report)):
            short = WorkReport({}, True, report.errorCode, report.errorMessage[:1000])
            await self._insist(work_id, lambda: self._calls.report(work_id, short))

    async def _whole(self, which: Entry, stream: str, path: Path) -> None:
        work_id = which.item.id
        while await self._piece(work_id, stream, path):
            pass
        total = (entry.read_object(which.folder / PRINTED) or {}).get(stream, 0)
        at = self._offsets.get((work_id, stream), 0)
        if isinstance(total, int) and total > at >= OUTPUT_LIMIT:
            self._offsets[work_id, stream] = await self._send(work_id, stream, total, b"")

    async def _insist(self, work_id: str, send: Callable[[], Awaitable[object]]) -> bool:
        """Try until it went; False when it never will as it is. What is unwanted counts as gone."""
        pause = 1.0
        while True:
            again = self._again
            try:
                await send()
                return True
            except Refused as error:
                if error.status == UNWANTED:
                    return True
                if error.status in BROKEN:
                    self._log.error(f"{work_id}: the cloud does not take it: {error}")
                    return False
                why: Exception = error
            except PASSING as error:
                why = error
            self._log.debug(f"{work_id}: not delivered yet: {why}")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await again.wait()
            pause = min(pause * 2, LONGEST_PAUSE)


def _read(path: Path, at: int, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(at)
            return file.read(most)
    except OSError:
        return b""
