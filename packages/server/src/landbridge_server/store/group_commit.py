"""Writes that wait together are committed together: one ``fsync`` for all of them.

Each write is a savepoint of the shared transaction: one that raises undoes only itself. An
answer is given after the commit, for failures too, because what they saw may have been a
neighbour's change. If the commit fails, all of them fail, and nothing of them is kept.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection

T = TypeVar("T")

TOGETHER = 32
"""The most writes in one transaction: nobody waits long for neighbours."""


class Outcome(NamedTuple):
    """How a write ended: with a result, or with an error."""

    result: Any
    error: BaseException | None


class Waiting(NamedTuple):
    """A write in a queue. ``aside`` says that it is a long one."""

    work: Callable[[Connection], Any]
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[Any]
    aside: bool = False

    def tell(self, outcome: Outcome) -> None:
        """Tell whoever waits, on the loop; nobody may, if the caller was cancelled."""
        if self.done.done():
            return
        if outcome.error is not None:
            self.done.set_exception(outcome.error)
        else:
            self.done.set_result(outcome.result)


Transaction = Callable[[], AbstractContextManager[Connection]]
Work = Callable[[Connection], Any]


class GroupCommit:
    """The queue before the writer thread. ``transaction`` begins one and commits at its end."""

    def __init__(self, writer: Executor, transaction: Transaction) -> None:
        """Take the thread, as an executor of one worker."""
        self._writer = writer
        self._transaction = transaction
        self._lock = threading.Lock()
        self._queue: deque[Waiting] = deque()
        self._scheduled = False

    def put(self, work: Callable[[Connection], T], *, aside: bool = False) -> asyncio.Future[T]:
        """Queue ``work``; it runs even when nobody waits for the future any more."""
        loop = asyncio.get_running_loop()
        waiting = Waiting(work, loop, loop.create_future(), aside)
        with self._lock:
            self._queue.append(waiting)
            if not self._scheduled:
                self._writer.submit(self._drain)
                self._scheduled = True
        return waiting.done

    def _drain(self) -> None:
        """Commit one group; the next one queues behind what else the thread has to do."""
        with self._lock:
            group = [self._queue.popleft() for _ in range(min(TOGETHER, len(self._queue)))]
        outcomes = together(self._transaction, [waiting.work for waiting in group])
        with self._lock:
            self._scheduled = bool(self._queue)
            if self._scheduled:
                try:
                    self._writer.submit(self._drain)
                except RuntimeError:  # it is shutting down: what waits was never promised
                    self._queue.clear()
        _tell(group, outcomes)


def together(transaction: Transaction, works: Sequence[Work]) -> list[Outcome]:
    """Run works in one transaction, each undone alone if it raises; return how each ended."""
    try:
        with transaction() as connection:
            if len(works) == 1:
                outcomes = [Outcome(works[0](connection), None)]
            else:
                outcomes = [_inside(connection, work) for work in works]
    except BaseException as error:
        return [Outcome(None, error)] * len(works)
    return outcomes


def _inside(connection: Connection, work: Work) -> Outcome:
    connection.exec_driver_sql("SAVEPOINT one")
    try:
        outcome = Outcome(work(connection), None)
    except BaseException as error:
        connection.exec_driver_sql("ROLLBACK TO SAVEPOINT one")
        outcome = Outcome(None, error)
    connection.exec_driver_sql("RELEASE SAVEPOINT one")
    return outcome


def _tell(group: list[Waiting], outcomes: list[Outcome]) -> None:
    def tell() -> None:
        for waiting, outcome in zip(group, outcomes, strict=True):
            waiting.tell(outcome)

    loop = group[0].loop
    if not loop.is_closed():
        loop.call_soon_threadsafe(tell)
