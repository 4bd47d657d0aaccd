"""The embedded store: how SQLite is opened, and what its failures mean to people."""

from __future__ import annotations

import sqlite3

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from landbridge_server.store.postgresql import StoreUnavailable

BUSY_MILLISECONDS = 5000
"""How long a statement waits for another process that holds the file."""

CACHE_KIBIBYTES = 32 * 1024
"""The most that a connection keeps of the file in memory: several long pages of machines."""

_REASONS = {
    sqlite3.SQLITE_BUSY: "another process has locked it",
    sqlite3.SQLITE_LOCKED: "another process has locked it",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "the disk cannot be read or written",
    sqlite3.SQLITE_READONLY: "it cannot be written",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened",
    sqlite3.SQLITE_CORRUPT: "it is damaged: restore a backup",
    sqlite3.SQLITE_NOTADB: "it is no database: restore a backup",
}


def open_engine(url: str) -> Engine:
    """Return an engine for ``sqlite:///path``: WAL, and every commit synced to the disk."""
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=8,
        connect_args={"check_same_thread": False, "isolation_level": None},
    )
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    return engine


def _configure(dbapi_connection: object, _record: object) -> None:
    cursor = dbapi_connection.cursor()  # type: ignore[attr-defined]
    # The wait comes first: changing the journal mode may itself meet a locked file.
    for pragma in (
        f"busy_timeout={BUSY_MILLISECONDS}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"cache_size=-{CACHE_KIBIBYTES}",
        # What a savepoint could have to restore would be written to a file otherwise.
        "temp_store=MEMORY",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    # A write transaction takes its lock at the start: two writers queue instead of failing half-way.
    if connection.get_execution_options().get("landbridge_write"):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.exec_driver_sql("BEGIN")


def explained(error: Exception, url: str) -> StoreUnavailable | None:
    """Return what to tell about an error that is the file's or the disk's fault; None for any other."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(cause, "sqlite_errorcode", None)
    reason = _REASONS.get(code & 0xFF) if isinstance(code, int) else None
    if reason is None:
        return None
    return StoreUnavailable(f"The database {make_url(url).database} cannot be used: {reason} ({cause}).")
