"""Long-running operations: what was promised with a 202, and how it ended."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, select, update

from landbridge_server.store.schema import operations

IN_PROGRESS = "InProgress"
SUCCEEDED = "Succeeded"
FAILED = "Failed"
CANCELED = "Canceled"


class Operation(NamedTuple):
    """One operation. ``kind`` names the task that carries it out; ``error`` is JSON, when it failed."""

    operation_id: str
    subscription_id: str
    kind: str
    target_id: str
    principal_id: str
    status: str
    error: str | None
    started_at: float
    ended_at: float | None


def add(connection: Connection, operation: Operation) -> None:
    """Add an operation."""
    connection.execute(operations.insert(), operation._asdict())


def get(connection: Connection, operation_id: str) -> Operation | None:
    """Return the operation with this id."""
    row = connection.execute(select(operations).where(operations.c.operation_id == operation_id)).first()
    return Operation(*row) if row is not None else None


def running(connection: Connection, kind: str) -> list[Operation]:
    """Return what is still to be done of a kind, the oldest first."""
    rows = connection.execute(
        select(operations)
        .where(operations.c.status == IN_PROGRESS, operations.c.kind == kind)
        .order_by(operations.c.started_at, operations.c.operation_id)
    )
    return [Operation(*row) for row in rows]


def end(connection: Connection, operation_id: str, status: str, now: float, error: str | None = None) -> None:
    """Note how an operation ended."""
    connection.execute(
        update(operations)
        .where(operations.c.operation_id == operation_id)
        .values(status=status, ended_at=now, error=error)
    )


def prune(connection: Connection, before: float) -> None:
    """Forget operations that ended before ``before``."""
    connection.execute(operations.delete().where(operations.c.ended_at < before))
