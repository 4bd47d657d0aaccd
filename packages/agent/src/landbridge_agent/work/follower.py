"""Follows one item from the journal to its end: its worker, what it prints, what becomes of it.

The worker is a process of its own and outlives this one: after a restart it is found again by its
id and its start. If the worker itself was killed, what it left is killed too and the item ends with
an honest failure. It is never begun again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping
from typing import Any

from landbridge_agent.daemon.log import Log
from landbridge_agent.paths import Paths
from landbridge_agent.work import entry, limits, processes, tree
from landbridge_agent.work.delivery import Delivery
from landbridge_agent.work.interrupted import canceled_before, interrupted, not_started
from landbridge_agent.work.journal import Entry, Journal
from landbridge_wire.work_api import RUN_COMMAND, WorkReport

WORKER = "landbridge_agent.work.worker"
STARTS = 3
"""How often a worker is started that ends before it has begun."""

FIRST_LOOK, LOOK_SECONDS, QUICK_LOOKS = 0.3, 2.0, 20
"""How often is looked at what a worker has to tell: quickly for the first while."""

KILL_SECONDS = 1.2
"""What a worker has to end its program and itself, once that is wanted."""


class Follower:
    """One item that has not ended. ``gate`` lets its worker begin; it is held while that runs."""

    def __init__(
        self,
        which: Entry,
        journal: Journal,
        paths: Paths,
        environment: Mapping[str, str],
        log: Log,
        delivery: Delivery,
        clock: Callable[[], float],
    ) -> None:
        self.which, self.item = which, which.item
        self._journal, self._paths, self._environment = journal, paths, environment
        self._log, self._delivery, self._clock = log, delivery, clock
        self._may_begin = True
        self.unwanted = asyncio.Event()
        """Set when it is to end before its time."""
        self.ended = asyncio.Event()
        """Set when nothing of it runs any more."""
        self.over = asyncio.Event()
        """Set when the cloud knows how it ended."""
        if entry.canceled(which.folder) is not None:
            self.unwanted.set()

    @property
    def has_begun(self) -> bool:
        """Whether a worker was started, or may have been by an earlier process."""
        return not self._may_begin or self.which.started

    def cancel(self, why: str) -> None:
        """Have it end now, within two seconds."""
        if self.ended.is_set():
            return
        self._log.info(f"{self.name} is to end: {why}")
        self.which.cancel(why)
        self.unwanted.set()

    @property
    def name(self) -> str:
        """What logs call it."""
        return f"{self.item.kind} {self.item.type.rpartition('/')[2]}/{self.item.name} ({self.item.id})"

    async def carry_out(self, gate: contextlib.AbstractAsyncContextManager[Any]) -> WorkReport:
        """Have it carried out, unless it was; return how it ended.

        Raises:
            OSError: the journal cannot be written.
        """
        report = self.which.result
        if report is None and await self._enter(gate):
            try:
                report = await self._work()
            finally:
                await self._leave(gate)
        elif report is None:
            report = self.which.conclude(canceled_before(self.which))
        if self.item.type == RUN_COMMAND:
            await asyncio.to_thread(tree.kill, self.item.id)
        elif (group := limits.find_group(self.item.id, limits.hierarchy())) is not None:
            limits.remove_group(group)  # unless something was to stay
        self.ended.set()
        state = report.properties.get("instanceView", {}).get("executionState", "")
        told = report.errorCode or state or "done"
        self._log.info(f"{self.name} ended: {told}")
        return report

    _inside = False

    async def _enter(self, gate: contextlib.AbstractAsyncContextManager[Any]) -> bool:
        """Wait until it may begin; False when it is not wanted any more before that.

        What an earlier process has begun comes first, and takes its place as it is.
        """
        if self.has_begun:
            await gate.__aenter__()
            self._inside = True
            return True
        entering = asyncio.ensure_future(gate.__aenter__())
        unwanted = asyncio.ensure_future(self.unwanted.wait())
        try:
            await asyncio.wait((entering, unwanted), return_when=asyncio.FIRST_COMPLETED)
        except BaseException:
            entering.cancel()
            raise
        finally:
            unwanted.cancel()
            if not entering.done():
                entering.cancel()
            await asyncio.gather(entering, unwanted, return_exceptions=True)
        self._inside = not entering.cancelled()
        if self.unwanted.is_set():
            await self._leave(gate)
            return False
        return True

    async def _leave(self, gate: contextlib.AbstractAsyncContextManager[Any]) -> None:
        if self._inside:
            self._inside = False
            await gate.__aexit__(None, None, None)

    async def _work(self) -> WorkReport:
        """Start the worker, or find the one of before; wait for its end."""
        for attempt in range(STARTS):
            if not self.which.started:
                await self._start(attempt)
            while pid := self.which.worker:
                await self._watch(pid)
            if self.which.started:
                return self.which.result or await self._interrupted()
        return self.which.conclude(not_started(self.which))

    async def _start(self, attempt: int) -> None:
        if attempt:
            await asyncio.sleep(attempt)
        self._may_begin = False
        try:
            pid = processes.start_worker(WORKER, self.which.folder, self.item.id, self._environment)
        except OSError as error:
            self._log.error(f"{self.name}: no worker can be started: {error}")
            return
        self._log.info(f"{self.name} began, process {pid}")
        await self._watch(pid)

    async def _interrupted(self) -> WorkReport:
        await asyncio.to_thread(tree.kill, self.item.id)
        # It may have written its last word between two looks at it.
        report = self.which.result or self.which.conclude(interrupted(self.which, self._paths, self._clock()))
        self._log.warning(f"{self.name}: its worker is gone; what it left was ended")
        return report

    # -- a worker that runs --------------------------------------------------------------------

    async def _watch(self, pid: int) -> None:
        """Wait until a worker has ended; pass on what it tells meanwhile, and end it when that is wanted."""
        try:
            handle = os.pidfd_open(pid)
        except OSError:
            return
        gone = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(handle, gone.set)
        others = [
            asyncio.ensure_future(self._tell()),
            asyncio.ensure_future(self._enforce(gone)),
        ]
        try:
            await gone.wait()
        finally:
            loop.remove_reader(handle)
            os.close(handle)
            for one in others:
                one.cancel()
            results = await asyncio.gather(*others, return_exceptions=True)
            for result in results:
                if isinstance(result, Exception):
                    self._log.error(f"{self.name}: a defect while it ran: {result!r}")
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)  # noqa: ASYNC222 -- it has ended

    async def _tell(self) -> None:
        looks = 0
        while True:
            await asyncio.sleep(FIRST_LOOK if looks < QUICK_LOOKS else LOOK_SECONDS)
            looks += 1
            await self._delivery.progress(self.which)

    async def _enforce(self, gone: asyncio.Event) -> None:
        await self.unwanted.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(KILL_SECONDS):
                await gone.wait()
        if not gone.is_set():
            await asyncio.to_thread(tree.kill, self.item.id)

    # -- telling how it ended ------------------------------------------------------------------

    async def deliver(self, report: WorkReport) -> None:
        """Tell the cloud how it ended, however long that takes; then forget it."""
        await self._delivery.end(self.which, report)
        self._journal.end(self.which, report)
        self.over.set()
