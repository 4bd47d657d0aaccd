"""Group commit for the embedded store: writes run on the event loop, their ``fsync`` beside it.

A write of some rows costs SQLite less than two threads that take the interpreter from one
another cost Python. So the writes that wait are run on the loop's thread, one after the
other, each a savepoint of one transaction; only the ``COMMIT``, which waits for the disk and
lets the interpreter go meanwhile, runs on the writer thread. What arrives meanwhile waits and
makes the next group.

An answer is given after the commit, for failures too, because what they saw may have been a
neighbour's change. If the commit fails, all of them fail, and nothing of them is kept.

Two kinds of group run on the writer thread as a whole: a write that was announced as a long
one (``aside``), which is always alone; and one that finds the file locked by another process,
because waiting is not the loop's business.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.engine import Engine

from landbridge_server.store.group_commit import TOGETHER, Outcome, Transaction, Waiting, Work, together

T = TypeVar("T")

TURN_SECONDS = 0.004
"""After so long a group begins no further write: everybody else has a turn."""


class InlineCommit:
    """The queue of writes of one loop at a time, which alone may use it."""

    def __init__(
        self,
        writer: Executor,
        engine: Engine,
        transaction: Transaction,
        committed: Callable[[], None],
    ) -> None:
        """Take the writer thread, as an executor of one worker, and the engine.

        ``transaction`` begins one on another connection, which waits for locks;
        ``committed`` hears of every commit of ours before anybody else does.
        """
        self._writer = writer
        self._engine = engine
        self._transaction = transaction
        self._committed = committed
        self._queue: deque[Waiting] = deque()
        self._busy = False
        self.inside = False
        """A write runs now: what it sees may never be committed."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connection: Connection | None = None

    def put(self, work: Callable[[Connection], T], *, aside: bool = False) -> asyncio.Future[T]:
        """Queue ``work``; it runs even when nobody waits for the future any more."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._adopt(loop)
        waiting = Waiting(work, loop, loop.create_future(), aside)
        self._queue.append(waiting)
        if not self._busy:
            self._busy = True
            loop.call_soon(self._next, loop)
        return waiting.done

    def _adopt(self, loop: asyncio.AbstractEventLoop) -> None:
        """Serve another loop, as tests and commands do; what waited on the one before has ended."""
        if self._loop is not None:
            self._writer.submit(int).result()  # a commit may be under way
            self._queue.clear()
        self._loop, self._busy = loop, False

    # -- on the loop

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run one group; there is at least one write, and no transaction of ours is open."""
        if self._queue[0].aside:
            self._hand_over(loop, [self._queue.popleft()])
            return
        try:
            driver = self._driver()
            driver.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            group = self._short(TOGETHER)
            if _code(error) == sqlite3.SQLITE_BUSY:
                self._hand_over(loop, group)
            else:
                self._done(group, [Outcome(None, error)] * len(group))
            return
        self._run(loop, driver)

    def _run(self, loop: asyncio.AbstractEventLoop, driver: sqlite3.Connection) -> None:
        group: list[Waiting] = []
        outcomes: list[Outcome] = []
        changes = driver.total_changes
        until = time.monotonic() + TURN_SECONDS
        try:
            while self._queue and not self._queue[0].aside and len(group) < TOGETHER:
                group.append(self._queue.popleft())
                outcomes.append(self._inside(driver, group[-1].work))
                if time.monotonic() >= until:
                    break
        except BaseException as error:  # the transaction is gone, and with it what the others did
            _roll_back(driver)
            self._done(group, [Outcome(None, error)] * len(group))
            return
        if driver.total_changes == changes:
            driver.execute("ROLLBACK")
            self._done(group, outcomes)
        else:
            self._writer.submit(self._commit, loop, driver, group, outcomes)

    def _inside(self, driver: sqlite3.Connection, work: Work) -> Outcome:
        driver.execute("SAVEPOINT one")
        self.inside = True
        try:
            outcome = Outcome(work(self._connection), None)  # type: ignore[arg-type]
        except BaseException as error:
            if not driver.in_transaction:  # SQLite undid everything, as when the disk is full
                raise
            driver.execute("ROLLBACK TO one")
            outcome = Outcome(None, error)
        finally:
            self.inside = False
        driver.execute("RELEASE one")
        return outcome

    def _short(self, most: int) -> list[Waiting]:
        group: list[Waiting] = []
        while self._queue and not self._queue[0].aside and len(group) < most:
            group.append(self._queue.popleft())
        return group

    def _hand_over(self, loop: asyncio.AbstractEventLoop, group: list[Waiting]) -> None:
        self._writer.submit(self._elsewhere, loop, group)

    def _done(self, group: list[Waiting], outcomes: list[Outcome]) -> None:
        """Tell a group and begin the next one."""
        for waiting, outcome in zip(group, outcomes, strict=True):
            waiting.tell(outcome)
        if self._queue:
            group[0].loop.call_soon(self._next, group[0].loop)
        else:
            self._busy = False

    # -- on the writer thread

    def _commit(
        self,
        loop: asyncio.AbstractEventLoop,
        driver: sqlite3.Connection,
        group: list[Waiting],
        outcomes: list[Outcome],
    ) -> None:
        try:
            driver.execute("COMMIT")
        except BaseException as error:
            _roll_back(driver)
            outcomes = [Outcome(None, error)] * len(group)
        finally:
            self._committed()
        self._answer(loop, group, outcomes)

    def _elsewhere(self, loop: asyncio.AbstractEventLoop, group: list[Waiting]) -> None:
        self._answer(loop, group, together(self._transaction, [waiting.work for waiting in group]))

    def _answer(self, loop: asyncio.AbstractEventLoop, group: list[Waiting], outcomes: list[Outcome]) -> None:
        try:
            loop.call_soon_threadsafe(self._done, group, outcomes)
        except RuntimeError:  # the loop has ended, and everybody who waited with it
            self._busy = False

    # -- the connection

    def _driver(self) -> sqlite3.Connection:
        """Return the writer's own connection, which SQLAlchemy believes in one long transaction."""
        if self._connection is None:
            connection = self._engine.connect()
            connection.exec_driver_sql("ROLLBACK")  # begins for SQLAlchemy, and ends for SQLite
            connection.exec_driver_sql("PRAGMA busy_timeout=0")  # who must wait does so on the thread
            self._connection = connection
        driver: sqlite3.Connection = self._connection.connection.dbapi_connection  # type: ignore[assignment]
        return driver

    def close(self) -> None:
        """Close the connection, once the writer thread has ended."""
        if self._connection is not None:
            _roll_back(self._driver())
            self._connection.invalidate()  # it has settings that others do not expect
            self._connection.close()
            self._connection = None


def _roll_back(driver: sqlite3.Connection) -> None:
    """End what is open; after some failures SQLite has done it itself."""
    if driver.in_transaction:
        driver.execute("ROLLBACK")


def _code(error: sqlite3.Error) -> int:
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF
