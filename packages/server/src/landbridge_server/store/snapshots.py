"""A database for a long while: one unchanging view of all of it, and an empty one to be filled.

Neither keeps writers waiting. On SQLite a read transaction in WAL mode holds its view while
others commit; the WAL only grows meanwhile. On PostgreSQL it is one ``REPEATABLE READ``
transaction, with a cursor at the server.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError

from landbridge_server.store import postgresql, sqlite
from landbridge_server.store.postgresql import StoreUnavailable


@contextmanager
def snapshot(url: str) -> Iterator[Connection]:
    """Yield a connection that sees the store as it is now, for as long as the block takes.

    Raises:
        StoreUnavailable: the store cannot be reached, or was lost on the way.
    """
    engine = postgresql.long_reader(url) if postgresql.is_postgresql(url) else sqlite.open_engine(url)
    with _disposed(engine, url), engine.connect() as connection:
        yield connection


@contextmanager
def filling(url: str) -> Iterator[Connection]:
    """Yield a connection to an empty store; all is committed at the end, or nothing.

    For SQLite the file must be a new one that nobody else knows: what is left of it after an
    error is of no use, and it is synced to the disk only at the end.

    Raises:
        StoreUnavailable: the store cannot be reached, or was lost on the way.
    """
    if postgresql.is_postgresql(url):
        writer = postgresql.writer(url).execution_options(landbridge_write="migration")
        with _disposed(writer, url), writer.begin() as connection:
            yield connection
        return
    engine = create_engine(url)
    event.listen(engine, "connect", _without_journal)
    with _disposed(engine, url), engine.begin() as connection:
        yield connection
    _sync(Path(engine.url.database or ""))


def _without_journal(dbapi_connection: object, _record: object) -> None:
    cursor = dbapi_connection.cursor()  # type: ignore[attr-defined]
    for pragma in ("journal_mode=OFF", "synchronous=OFF", "temp_store=MEMORY", "cache_size=-65536"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _disposed(engine: Engine, url: str) -> Iterator[None]:
    explained = (postgresql if postgresql.is_postgresql(url) else sqlite).explained
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        found: StoreUnavailable | None = explained(error, url)
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise found or StoreUnavailable(f"The database cannot be used: {reason}.") from error
    finally:
        engine.dispose()
