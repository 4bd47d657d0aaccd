"""Reads of the embedded store by a connection that stays open, on the thread that reads most.

Opening, beginning and closing through SQLAlchemy costs several times what a point read of
SQLite costs. Here SQLAlchemy's connection is opened once and believes itself in one long
transaction; each read begins and ends its own in the driver, and so sees one consistent view.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.engine import Engine

T = TypeVar("T")


class SqliteReader:
    """Belongs to the first thread that reads: the event loop's, in a server."""

    def __init__(self, engine: Engine) -> None:
        """Take the engine; nothing is opened yet."""
        self._engine = engine
        self._owner = 0
        self._busy = False
        self._connection: Connection | None = None

    def mine(self) -> bool:
        """Say whether the calling thread is the one that reads here."""
        thread = threading.get_ident()
        if self._owner == 0:
            self._owner = thread
        return self._owner == thread

    def free(self) -> bool:
        """Say whether the calling thread may ``read`` now: not others, and no read within a read."""
        return self.mine() and not self._busy

    def data_version(self) -> int:
        """Return a number that changes when another connection, of any process, has committed.

        Within a read it is the one of that read's view.
        """
        connection = self._connection or self._open()
        cursor = connection.connection.cursor()
        try:
            return int(cursor.execute("PRAGMA data_version").fetchone()[0])
        finally:
            cursor.close()

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` on a consistent view; nothing that it writes is kept."""
        connection = self._connection or self._open()
        driver = connection.connection.cursor()
        driver.execute("BEGIN")
        self._busy = True
        try:
            return work(connection)
        finally:
            self._busy = False
            driver.execute("ROLLBACK")
            driver.close()

    def _open(self) -> Connection:
        connection = self._connection = self._engine.connect()
        connection.exec_driver_sql("ROLLBACK")  # begins for SQLAlchemy, and ends for SQLite
        return connection

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.connection.cursor().execute("BEGIN")  # what SQLAlchemy wants to roll back
            self._connection.close()
            self._connection = None
