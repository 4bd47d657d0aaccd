"""PostgreSQL: how it is reached, and how the nodes of one cloud write there in turn.

Writers queue at one advisory lock, the first statement of each write transaction, so that
one transaction writes at a time in the whole cloud, as with SQLite's ``BEGIN IMMEDIATE``.
Whatever holds on one node (``If-None-Match``, unique names, no write into a group that is
leaving) holds across nodes. The lock goes with the transaction and with its connection: a
node that dies leaves nothing behind. docs/adr/0005 says why not ``SERIALIZABLE``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, create_engine, event, make_url
from sqlalchemy.engine import URL, Dialect, Engine
from sqlalchemy.exc import ArgumentError, DBAPIError, PendingRollbackError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import QueuePool

SCHEMES = ("postgresql", "postgres")
WRITERS = 4983240179
"""The key of the advisory lock; a constant of this program, nothing else."""

WRITE_MS = 10_000
"""No statement of a write runs longer, waiting for the writers' lock included."""

READ_MS = 2_000
"""No statement of a read runs longer."""

READ_PATIENCE = 1.0
"""Seconds that a read on the event loop waits for each answer: nothing else goes on meanwhile."""

ABANDONED_MS = 30_000
"""A transaction in which nothing happens for so long is ended by the server."""

CONNECT_SECONDS = 3
"""How long a connection may take; also how long sent bytes may stay unacknowledged."""

MIGRATION_SECONDS = 300

PATIENCE = 3.0
"""Seconds beyond the server's own bound that threads wait for its answer."""


class StoreUnavailable(Exception):
    """The database cannot be used now; the text says why and holds no secret.

    ``lost`` says that the connection is gone, so that another one may do.
    """

    lost = False


def is_postgresql(url: str) -> bool:
    """Say whether a store URL names a PostgreSQL database."""
    return url.partition(":")[0] in SCHEMES


def parsed(url: str) -> URL:
    """Return a store URL with the driver that we use.

    Raises:
        StoreUnavailable: it is no URL of a PostgreSQL database.
    """
    try:
        found = make_url(url)
    except ArgumentError:
        found = None
    # The text may hold a password, so it is not repeated.
    if found is None or found.drivername not in SCHEMES or not found.database:
        raise StoreUnavailable("The store is given as postgresql://USER@HOST/DATABASE.")
    return found.set(drivername="postgresql+psycopg")


def shown(url: str) -> str:
    """Return a store URL for people: without its password and its options."""
    known = parsed(url)
    port = f":{known.port}" if known.port else ""
    return f"postgresql://{known.username or ''}@{known.host or ''}{port}/{known.database}"


def reader(url: str) -> Engine:
    """Return the engine for reads: one snapshot for all statements, and nothing can be written.

    They are for the event loop; with the execution option ``landbridge_aside`` for a thread.

    Raises:
        StoreUnavailable: the URL cannot be used.
    """
    engine = _open(url, READ_MS)
    event.listen(engine, "begin", _be_brief)
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def writer(url: str) -> Engine:
    """Return the engine for writes, whose transactions wait for one another.

    Raises:
        StoreUnavailable: the URL cannot be used.
    """
    engine = _open(url, WRITE_MS)
    event.listen(engine, "begin", _wait_for_writers)
    return engine


def long_reader(url: str) -> Engine:
    """Return the engine for one long read of everything: one snapshot, rows as they are asked for.

    Raises:
        StoreUnavailable: the URL cannot be used.
    """
    engine = _open(url, 0)
    event.listen(engine, "begin", _be_patient)
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def _open(url: str, statement_ms: int) -> Engine:
    options = f"-c statement_timeout={statement_ms} -c idle_in_transaction_session_timeout={ABANDONED_MS}"
    engine = create_engine(
        parsed(url),
        poolclass=QueuePool,
        pool_use_lifo=True,  # after an outage the connection that was tried is the one that is used
        pool_size=2,
        max_overflow=4,
        pool_timeout=5,
        use_native_hstore=False,
        hide_parameters=True,
        connect_args={
            "application_name": "landbridge",
            "options": options,
            "connect_timeout": CONNECT_SECONDS,
            "tcp_user_timeout": CONNECT_SECONDS * 1000,
            "keepalives_idle": 10,
            "keepalives_interval": 2,
            "keepalives_count": 3,
        },
    )
    event.listen(engine, "do_connect", _connect)
    return engine


def _connect(_dialect: Dialect, _record: object, words: Sequence[str], options: Mapping[str, Any]) -> object:
    # Not at the top: only nodes that share a store need the driver.
    from landbridge_server.store.patient_connection import PatientConnection

    return PatientConnection.connect(*words, **options)


def _wait_at_most(connection: Connection, seconds: float) -> None:
    setattr(connection.connection.dbapi_connection, "patience", seconds)  # noqa: B010 - the driver's type


def _be_brief(connection: Connection) -> None:
    aside = connection.get_execution_options().get("landbridge_aside")
    _wait_at_most(connection, READ_MS / 1000 + PATIENCE if aside else READ_PATIENCE)


def _be_patient(connection: Connection) -> None:
    # Whoever takes the rows may be slow, as a disk is; the server must not take that for a loss.
    _wait_at_most(connection, MIGRATION_SECONDS + PATIENCE)
    connection.exec_driver_sql(f"SET LOCAL idle_in_transaction_session_timeout = '{MIGRATION_SECONDS}s'")


def _wait_for_writers(connection: Connection) -> None:
    # READ COMMITTED on purpose: each statement after the lock sees all that was committed before
    # it. A snapshot for the whole transaction would be older than the lock.
    kind = connection.get_execution_options().get("landbridge_write")
    _wait_at_most(connection, (MIGRATION_SECONDS if kind == "migration" else WRITE_MS / 1000) + PATIENCE)
    if kind == "migration":
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = '{MIGRATION_SECONDS}s'")
    if kind:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITERS})")


def explained(error: Exception, url: str) -> StoreUnavailable | None:
    """Return what to tell about an error that is the database's fault; None for any other.

    The driver's texts name host, port, user and database, never a password.
    """
    where = f"The database {shown(url)} cannot be used: "
    if isinstance(error, PoolTimeout):
        return StoreUnavailable(where + "all connections are busy.")
    if isinstance(error, PendingRollbackError):  # whoever shared a transaction with the one that met the loss
        found = StoreUnavailable(where + "the connection was lost.")
        found.lost = True
        return found
    if not isinstance(error, DBAPIError):
        return None
    state = getattr(error.orig, "sqlstate", None) or ""
    # 08 connection, 28 password, 3D no such database, 53 resources, 55P03/57 lock and shutdown.
    lost = error.connection_invalidated or (not state and type(error).__name__ == "OperationalError")
    if not lost and state[:2] not in ("08", "28", "3D", "53", "57") and state not in ("55P03", "25006"):
        return None
    lines = [line.strip() for line in str(error.orig).splitlines()]
    found = StoreUnavailable(where + "; ".join(line for line in lines if line))
    found.lost = lost or state[:2] == "08" or state.startswith("57P")
    return found
