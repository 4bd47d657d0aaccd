"""A cloud of work in memory, and the queues of ``extd`` with true workers below a folder."""

from __future__ import annotations

import asyncio
import contextlib
import io
import time
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from landbridge_agent.daemon.control_plane import Refused
from landbridge_agent.daemon.log import Log
from landbridge_agent.dial import Unreachable
from landbridge_agent.machine import Machine
from landbridge_agent.paths import Paths
from landbridge_agent.work.journal import Journal
from landbridge_agent.work.runner import Runner
from landbridge_wire.work_api import APPLY, RUN_COMMAND, WorkItem, WorkReport

MACHINE_ID = "/subscriptions/s/resourceGroups/g/providers/Microsoft.HybridCompute/machines/m"


class Cloud:
    """What the control plane keeps of reports and output; it can be away."""

    def __init__(self) -> None:
        self.reports: dict[str, list[WorkReport]] = {}
        self.streams: dict[tuple[str, str], bytes] = {}
        self.is_away = False
        self._sequence = 0

    def _check(self, work_id: str) -> None:
        if self.is_away:
            raise Unreachable("The cloud is away.")
        if any(one.ended for one in self.reports.get(work_id, [])):
            raise Refused(404, "It has ended.")

    async def report(self, work_id: str, said: WorkReport) -> None:
        self._check(work_id)
        self.reports.setdefault(work_id, []).append(WorkReport.from_json(said.to_json()))

    async def output(self, work_id: str, stream: str, offset: int, data: bytes) -> int:
        self._check(work_id)
        held = self.streams.get((work_id, stream), b"")
        if offset > len(held):
            raise Refused(409, f"Go on at offset {len(held)}.")
        self.streams[work_id, stream] = held + data[len(held) - offset :]
        return len(self.streams[work_id, stream])

    def run(self, script: str, name: str = "", **more: Any) -> WorkItem:
        """An item that runs a script."""
        return self.item(
            APPLY, name or f"r{self._sequence}", properties={"source": {"script": script}, **more}
        )

    def item(self, kind: str, name: str, type_key: str = RUN_COMMAND, **more: Any) -> WorkItem:
        self._sequence += 1
        parts: dict[str, Any] = {"properties": {}, "protected": {}, "content": {}, **more}
        protected = parts["properties"].pop("protected", parts["protected"])
        target = f"{MACHINE_ID}/{type_key.rpartition('/')[2]}/{name}"
        return WorkItem(
            str(uuid.uuid4()), kind, target, type_key, self._sequence, parts["properties"], protected,
            parts["content"],
        )  # fmt: skip

    def end(self, item: WorkItem) -> WorkReport | None:
        ends = [one for one in self.reports.get(item.id, []) if one.ended]
        assert len(ends) < 2
        return ends[0] if ends else None

    async def ended(self, item: WorkItem, seconds: float = 30.0) -> WorkReport:
        await until(lambda: self.end(item) is not None, seconds)
        found = self.end(item)
        assert found is not None
        return found

    def view(self, item: WorkItem) -> dict[str, Any]:
        """The newest view that was reported."""
        found: dict[str, Any] = {}
        for one in self.reports.get(item.id, []):
            found = one.properties.get("instanceView", found)
        return found


async def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


class Place:
    """One machine's folder, its journal and its queues."""

    def __init__(self, root: Path, cloud: Cloud) -> None:
        self.paths, self.cloud = Paths(root, True), cloud
        self.machine = Machine(self.paths)
        self.machine.prepare()
        self.journal = Journal(self.paths.work)
        self.journal.prepare()
        self.told = io.StringIO()
        self.environment = {
            "LANDBRIDGE_AGENT_ROOT": str(root),
            "PATH": "/usr/bin:/bin",
            "SECRET_OF_AGENT": "x",
        }

    @contextlib.asynccontextmanager
    async def queues(self) -> AsyncIterator[Runner]:
        """Queues over the journal, as a newly started ``extd`` has them; workers live on at the end."""
        log = Log(self.paths.work_log, self.told, time.time, verbose=True)
        calls: Any = self.cloud
        queues = Runner(self.paths, self.journal, calls, self.environment, log, time.time)
        running = asyncio.ensure_future(queues.run())
        await asyncio.sleep(0)
        try:
            yield queues
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    @property
    def log(self) -> str:
        return self.told.getvalue()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def work_cloud() -> Cloud:
    return Cloud()


@pytest.fixture
def place(tmp_path: Path, work_cloud: Cloud) -> Place:
    return Place(tmp_path / "machine", work_cloud)
