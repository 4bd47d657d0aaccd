"""The queues of ``extd``: which item may begin when, and which ends which.

Run commands run beside each other, one of each name: a newer one ends the older. Extensions and
their upgrades are one queue, one after the other, in the order in which they were asked. A
cancellation and a removal wait for nothing but the end of what they end.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from typing import Any

from landbridge_agent.daemon.log import Log
from landbridge_agent.paths import Paths
from landbridge_agent.work import limits, tree
from landbridge_agent.work.cloud_calls import Calls
from landbridge_agent.work.delivery import Delivery
from landbridge_agent.work.follower import Follower
from landbridge_agent.work.interrupted import streams
from landbridge_agent.work.journal import Entry, Journal
from landbridge_wire.work_api import (
    APPLY,
    CANCEL,
    EXTENSION,
    MACHINE,
    REMOVE,
    RUN_COMMAND,
    WorkItem,
    WorkReport,
)

AT_ONCE = 8
"""Run commands that run beside each other."""

RETRY_SECONDS = 30.0
SWEEP_SECONDS = 3600.0
LATE = "The run had ended before it could be canceled."
NEWER = "a newer run of the same name was asked for"


class Runner:
    """All items of one machine, for as long as it is connected to one cloud."""

    def __init__(
        self,
        paths: Paths,
        journal: Journal,
        calls: Calls,
        environment: Mapping[str, str],
        log: Log,
        clock: Callable[[], float],
    ) -> None:
        self._paths, self._journal, self._environment = paths, journal, environment
        self._log, self._clock = log, clock
        self._delivery = Delivery(calls, paths, log)
        self._followers: dict[str, Follower] = {}
        self._repeated: set[str] = set()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._queue = asyncio.Lock()
        self._names: dict[str, asyncio.Lock] = {}
        self._tasks: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Go on with what the journal holds, and take what comes, until cancelled. Workers live on."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            known = self._journal.entries()
            for one in sorted(known, key=lambda one: not one.started):  # what runs has its place already
                self._begin(one)
            self._settle()
            while True:  # what extensions have left running ends at some time
                await asyncio.to_thread(limits.sweep, limits.hierarchy())
                await asyncio.sleep(SWEEP_SECONDS)

    def poke(self) -> None:
        """Deliver at once what waits to be delivered."""
        self._delivery.poke()

    def take(self, items: Iterable[WorkItem]) -> None:
        """Accept what the cloud asks; what is known already changes nothing."""
        for item in sorted(items, key=lambda one: one.sequence):
            if item.id in self._followers:
                continue
            known = self._journal.ended(item.id)
            if known is not None:
                self._repeat(item, known)
                continue
            try:
                which = self._journal.add(item)
            except OSError as error:
                self._log.error(f"{item.id} cannot be noted, so it waits: {error}")
                continue
            if which is not None:
                self._begin(which)
        self._settle()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        if self._tasks is None:
            work.close()
            return
        self._tasks.create_task(work)

    def _repeat(self, item: WorkItem, known: WorkReport) -> None:
        """Tell again how an item ended: the cloud has not heard, or has forgotten."""
        if item.id in self._repeated:
            return
        self._repeated.add(item.id)

        async def tell() -> None:
            try:
                await self._delivery.report(item.id, known)
            finally:
                self._repeated.discard(item.id)

        self._spawn(tell())

    def _begin(self, which: Entry) -> None:
        self._log.debug(f"{which.item.kind} {which.item.target} ({which.item.id}) is taken up")
        follower = Follower(
            which, self._journal, self._paths, self._environment, self._log, self._delivery, self._clock
        )
        self._followers[which.item.id] = follower
        self._spawn(self._guard(follower))

    def _settle(self) -> None:
        """End what something newer takes the place of."""
        for one in list(self._followers.values()):
            for older in self._of_target(one.item):
                if older.item.sequence >= one.item.sequence or older.item.kind != APPLY:
                    continue
                is_run = one.item.type == RUN_COMMAND
                if is_run and one.item.kind == APPLY:
                    self._cancel(older, NEWER)
                elif one.item.kind == REMOVE and (is_run or not older.has_begun):
                    self._cancel(older, "the resource is being deleted")

    def _cancel(self, which: Follower, why: str) -> None:
        if which.unwanted.is_set():
            return
        try:
            which.cancel(why)
        except OSError as error:
            self._log.error(f"{which.name} cannot be ended: {error}")

    def _of_target(self, item: WorkItem) -> list[Follower]:
        key = item.target.lower()
        return [
            one for one in self._followers.values() if one.item.target.lower() == key and one.item is not item
        ]

    def _before(self, item: WorkItem, kind: str) -> list[Follower]:
        of_target = self._of_target(item)
        return [one for one in of_target if one.item.kind == kind and one.item.sequence < item.sequence]

    # -- one item ------------------------------------------------------------------------------

    async def _guard(self, follower: Follower) -> None:
        """See one item to its end; a full disk, say, delays that."""
        while True:
            try:
                report = await self._carry_out(follower)
                await self._told_before(follower.item)
                await follower.deliver(report)
                break
            except Exception as error:
                self._log.error(f"{follower.name}: {type(error).__name__}: {error}. It is tried again.")
                await asyncio.sleep(RETRY_SECONDS)
        self._log.debug(f"{follower.name}: the cloud knows how it ended")
        self._followers.pop(follower.item.id, None)
        if not self._of_target(follower.item):
            self._names.pop(follower.item.target.lower(), None)

    async def _told_before(self, item: WorkItem) -> None:
        """Wait until the cloud knows how what was asked before about the same resource has ended.

        The last that it hears is what it shows.
        """
        for one in [*self._before(item, APPLY), *self._before(item, REMOVE)]:
            await one.over.wait()

    async def _carry_out(self, follower: Follower) -> WorkReport:
        item = follower.item
        if item.kind == CANCEL:
            return follower.which.conclude(await self._end_run(item))
        if item.type == RUN_COMMAND and item.kind == REMOVE:
            report = follower.which.conclude(await self._remove_run(item))
            follower.ended.set()
            return report
        if item.type == RUN_COMMAND:
            for one in self._before(item, REMOVE):
                await one.ended.wait()
            return await follower.carry_out(self._turn(item))
        if item.type in (EXTENSION, MACHINE):
            return await follower.carry_out(self._queue)
        text = f"This agent does not know how to do '{item.kind[:40]}' of {item.type[:100]}."
        return follower.which.conclude(WorkReport({}, True, "OperationNotAllowed", text))

    @contextlib.asynccontextmanager
    async def _turn(self, item: WorkItem) -> AsyncIterator[None]:
        """The turn of a run command: the only one of its name, and one of ``AT_ONCE``."""
        async with self._name(item), self._slots:
            yield

    def _name(self, item: WorkItem) -> asyncio.Lock:
        return self._names.setdefault(item.target.lower(), asyncio.Lock())

    async def _end_run(self, item: WorkItem) -> WorkReport:
        which = self._followers.get(str(item.content.get("run", "")))
        if which is None or which.item.kind != APPLY or which.ended.is_set():
            return WorkReport({}, True, "OperationNotAllowed", LATE)
        self._cancel(which, "it was canceled")
        await which.over.wait()
        return WorkReport({}, True)

    async def _remove_run(self, item: WorkItem) -> WorkReport:
        for one in self._before(item, APPLY):
            await one.ended.wait()
        async with self._name(item):
            await asyncio.to_thread(_remove_files, self._paths, item)
        return WorkReport({}, True)


def _remove_files(paths: Paths, item: WorkItem) -> None:
    for path in streams(paths, WorkItem(item.id, APPLY, item.target, item.type, item.sequence)).values():
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(path.parent.parent)


def drop(journal: Journal, paths: Paths) -> int:
    """End and forget everything: the machine is another one's now, or nobody's. Return how many items."""
    known = journal.entries()
    for one in known:
        tree.kill(one.item.id)
        said = WorkReport({}, True, "OperationPreempted", "The machine was disconnected before it had ended.")
        journal.end(one, one.result or said)
    shutil.rmtree(paths.run_commands / "download", ignore_errors=True)
    return len(known)
