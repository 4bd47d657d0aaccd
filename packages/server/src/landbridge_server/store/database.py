"""One database, opened once: reads, serialised writes, and the migrations.

SQLite runs in WAL mode with ``synchronous=FULL``: what a caller was told is on the disk.
Writes that wait together share a transaction, and so one ``fsync``; on SQLite they run on the
event loop and only the disk is waited for elsewhere (``store.inline_commit``), on PostgreSQL
they run on a writer thread, and the nodes' writers queue as ``store.postgresql`` says.

Reads run in the calling thread, on both databases: a point read costs less than a thread
switch, and a reader never waits for a writer. A PostgreSQL that does not answer must not
stop the event loop again and again: after the first failure reads are refused at once,
while a thread tries to reach it.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from landbridge_server.store import postgresql, revisions, sqlite
from landbridge_server.store.group_commit import GroupCommit
from landbridge_server.store.histogram import Histogram
from landbridge_server.store.inline_commit import InlineCommit
from landbridge_server.store.postgresql import StoreUnavailable
from landbridge_server.store.remembered import Generation
from landbridge_server.store.sqlite_reader import SqliteReader

__all__ = ["Connection", "Database", "StoreUnavailable"]

T = TypeVar("T")

PROBE_SECONDS = 0.25
"""How often a database that was lost is tried."""

MOMENT = 0.25
"""Seconds that a read waits for a new connection, as after a restart of the database."""


class Database:
    """The open store. ``work`` functions take a connection and must not keep it.

    Every method may raise ``StoreUnavailable`` when the database cannot be reached.
    """

    def __init__(self, url: str) -> None:
        """Open ``url`` (``sqlite:///path`` or ``postgresql://``); ``migrate`` makes the tables."""
        self.url = url
        self.shared = postgresql.is_postgresql(url)
        """Other nodes may use this database at the same time."""
        self.engine = postgresql.writer(url) if self.shared else sqlite.open_engine(url)
        self._readable = postgresql.reader(url) if self.shared else self.engine
        self._aside = self._readable.execution_options(landbridge_aside=True)
        self._writable = self.engine.execution_options(landbridge_write=True)
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store-writer")
        self._reader = SqliteReader(self.engine)
        self._generation = Generation(self._version)
        self._writes = (
            GroupCommit(self._writer, self.writing)
            if self.shared
            else InlineCommit(self._writer, self.engine, self.writing, self._generation.grow)
        )
        self._poster = ThreadPoolExecutor(max_workers=2, thread_name_prefix="store-poster")
        self.write_times = Histogram()
        """How long writes of this process took, those that failed included."""
        self._lost: StoreUnavailable | None = None
        self._closed = threading.Event()

    def migrate(self) -> None:
        """Bring the tables to the newest revision. Safe to run again, also by two nodes at once."""
        engine = self.engine.execution_options(landbridge_write="migration")
        with self._explained(), engine.begin() as connection:
            revisions.upgrade(connection)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection with one consistent view; nothing that it writes is kept."""
        if self._lost is not None:
            raise StoreUnavailable(str(self._lost))
        with self._explained(), self._readable.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Yield a connection in a transaction that commits at the end, or rolls back."""
        if self._lost is not None:
            raise StoreUnavailable(str(self._lost))
        try:
            with self._explained(), self._writable.begin() as connection:
                yield connection
        finally:
            self._generation.grow()

    def generation(self) -> int | None:
        """Return a number that is another one once anything was committed.

        None when nodes share the store, within a write, and to other threads than the reading one.
        """
        writes = self._writes
        if not isinstance(writes, InlineCommit) or writes.inside or not self._reader.mine():
            return None
        return self._generation.current()

    def _version(self) -> int:
        with self._explained():
            return self._reader.data_version()

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` on a consistent view and return its result.

        It runs a second time when the connection turns out to be gone, as after a restart
        of the database.
        """
        if not self.shared and self._reader.free():
            with self._explained():
                return self._reader.read(work)
        try:
            with self.reading() as connection:
                return work(connection)
        except StoreUnavailable as error:
            if not error.lost or not self._reachable(error):
                raise
        with self.reading() as connection:
            return work(connection)

    async def write(self, work: Callable[[Connection], T], *, aside: bool = False) -> T:
        """Run ``work`` where writes run and return once it is committed, or undone.

        What waits together is committed together, each a savepoint of its own. It runs to
        its end even when the caller is cancelled. It may run on the event loop: it must not
        wait for anything, and one that takes longer than some milliseconds is to be run
        ``aside``, on a thread.
        """
        began = time.perf_counter()
        try:
            return await self._writes.put(work, aside=aside)
        except (SQLAlchemyError, sqlite3.Error) as error:
            raise self._explanation(error) from error
        finally:
            self.write_times.observe(time.perf_counter() - began)

    async def post(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` beside the writers, in a short transaction of its own, on another thread.

        For messages between nodes only: it neither waits for writers nor keeps them out.
        """

        def run() -> T:
            with self._explained(), self.engine.begin() as connection:
                return work(connection)

        return await asyncio.get_running_loop().run_in_executor(self._poster, run)

    async def read_aside(self, work: Callable[[Connection], T]) -> T:
        """Run a long read on another thread, so that the event loop goes on."""

        def run() -> T:
            if self._lost is not None:
                raise StoreUnavailable(str(self._lost))
            with self._explained(), self._aside.connect() as connection:
                return work(connection)

        return await asyncio.get_running_loop().run_in_executor(self._poster, run)

    # -- a database that is lost and comes back

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, sqlite3.Error) as error:
            raise self._explanation(error) from error

    def _explanation(self, error: Exception) -> Exception:
        """Return what to raise in place of a driver's error: the same one, if it is no fault of the store."""
        return (postgresql if self.shared else sqlite).explained(error, self.url) or error

    def _reachable(self, error: StoreUnavailable) -> bool:
        """Refuse reads until a thread has reached the database; say whether that took only a moment."""
        if self._lost is not None:
            return False
        self._lost = error
        tried = threading.Event()
        threading.Thread(target=self._probe, args=(tried,), name="store-probe", daemon=True).start()
        tried.wait(MOMENT)
        return self._lost is None

    def _probe(self, tried: threading.Event) -> None:
        while True:
            try:
                with self._explained(), self._aside.connect() as connection:
                    connection.exec_driver_sql("SELECT 1")
            except StoreUnavailable as error:
                self._lost = error
            else:
                self._lost = None
            tried.set()
            if self._lost is None or self._closed.wait(PROBE_SECONDS):
                return

    def close(self) -> None:
        """Finish the running write and close all connections."""
        self._closed.set()
        self._writer.shutdown(wait=True)
        self._poster.shutdown(wait=True)
        if isinstance(self._writes, InlineCommit):
            self._writes.close()
        self._reader.close()
        self.engine.dispose()
        self._readable.dispose()
