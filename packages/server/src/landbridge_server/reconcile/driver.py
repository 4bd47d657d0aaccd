"""Runs the tasks that make intent true: each woken by a signal and by a clock.

A task is idempotent and takes no arguments: it looks at the store, does what is left to do,
and returns. One that raises is logged and tried again with its next turn.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from landbridge_server.store.database import StoreUnavailable

logger = logging.getLogger("landbridge")


@dataclass
class Task:
    """A task. ``period`` in seconds is how long it sleeps when nobody wakes it."""

    name: str
    run: Callable[[], Awaitable[None]]
    period: float
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        """Have the task run soon. Call it on the event loop."""
        self.woken.set()


class Driver:
    """Runs tasks side by side, each one turn after the other."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        """Take the tasks; nothing runs yet."""
        self.tasks = tasks

    async def run(self) -> None:
        """Run all tasks until cancelled, beginning at once."""
        async with asyncio.TaskGroup() as group:
            for task in self.tasks:
                group.create_task(self._turns(task))

    async def settle(self) -> None:
        """Run each task once, in order; for tests and for a clean stop. Errors pass."""
        for task in self.tasks:
            task.woken.clear()
            await task.run()

    async def _turns(self, task: Task) -> None:
        while True:
            task.woken.clear()
            try:
                await task.run()
            except StoreUnavailable as error:
                reason = {"task": task.name, "reason": str(error)}
                logger.warning("task waits for the store", extra={"fields": reason})
            except Exception as error:
                logger.error("task failed", exc_info=error, extra={"fields": {"task": task.name}})
            try:
                async with asyncio.timeout(task.period):
                    await task.woken.wait()
            except TimeoutError:
                pass
