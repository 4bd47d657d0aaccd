"""One database, opened once: reads, serialised writes, and the migrations.

SQLite runs in WAL mode with ``synchronous=FULL``: what a caller was told is on the disk.
Reads run in the calling thread, because a point read costs less than a thread switch and a
WAL reader never waits for the writer. Writes run on one writer thread, one transaction
each, so that no request waits behind another one's ``fsync``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from alembic import command
from alembic.config import Config as AlembicConfig
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import Engine
from sqlalchemy.pool import QueuePool

__all__ = ["Connection", "Database"]

T = TypeVar("T")

MIGRATIONS = Path(__file__).parent / "migrations"


def _configure_sqlite(dbapi_connection: object, _record: object) -> None:
    cursor = dbapi_connection.cursor()  # type: ignore[attr-defined]
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=10000", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_immediate(connection: Connection) -> None:
    # A write transaction takes its lock at the start: two writers queue instead of failing half-way.
    if connection.get_execution_options().get("landbridge_write"):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.exec_driver_sql("BEGIN")


def _engine(url: str) -> Engine:
    if not url.startswith("sqlite"):
        return create_engine(url)
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=8,
        connect_args={"check_same_thread": False, "isolation_level": None},
    )
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_immediate)
    return engine


class Database:
    """The open store. ``work`` functions take a connection and must not keep it."""

    def __init__(self, url: str) -> None:
        """Open ``url`` (``sqlite:///path``); the tables are made by ``migrate``."""
        self.engine = _engine(url)
        self._writable = self.engine.execution_options(landbridge_write=True)
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store-writer")

    def migrate(self) -> None:
        """Bring the tables to the newest revision. Safe to run again."""
        config = AlembicConfig()
        config.set_main_option("script_location", str(MIGRATIONS))
        with self._writable.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection with one consistent view; nothing that it writes is kept."""
        with self.engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Yield a connection in a transaction that commits at the end, or rolls back."""
        with self._writable.begin() as connection:
            yield connection

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` on a consistent view and return its result."""
        with self.reading() as connection:
            return work(connection)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in a transaction of its own on the writer thread.

        The transaction runs to its end even when the caller is cancelled.
        """
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._writer, self._run, work))

    def _run(self, work: Callable[[Connection], T]) -> T:
        with self.writing() as connection:
            return work(connection)

    def close(self) -> None:
        """Finish the running write and close all connections."""
        self._writer.shutdown(wait=True)
        self.engine.dispose()
