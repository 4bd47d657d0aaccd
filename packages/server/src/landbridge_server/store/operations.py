"""Long-running operations: what was promised with a 202, and how it ended."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, bindparam, select, update

from landbridge_server.store.prepared import Prepared
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


_ADD = Prepared(operations.insert())


def add(connection: Connection, operation: Operation) -> None:
    """Add an operation."""
    _ADD.run(connection, operation._asdict())


_GET = Prepared(select(operations).where(operations.c.operation_id == bindparam("one")))


def get(connection: Connection, operation_id: str) -> Operation | None:
    """Return the operation with this id."""
    row = _GET.first(connection, {"one": operation_id})
    return Operation(*row) if row is not None else None


def running(connection: Connection, kind: str) -> list[Operation]:
    """Return what is still to be done of a kind, the oldest first."""
    rows = connection.execute(
        select(operations)
        .where(operations.c.status == IN_PROGRESS, operations.c.kind == kind)
        .order_by(operations.c.started_at, operations.c.operation_id)
    )
    return [Operation(*row) for row in rows]


_END = Prepared(
    update(operations)
    .where(operations.c.operation_id == bindparam("one"))
    .values(status=bindparam("now_status"), ended_at=bindparam("now"), error=bindparam("why"))
)


def end(connection: Connection, operation_id: str, status: str, now: float, error: str | None = None) -> None:
    """Note how an operation ended."""
    _END.run(connection, {"one": operation_id, "now_status": status, "now": now, "why": error})


def prune(connection: Connection, before: float) -> None:
    """Forget operations that ended before ``before``."""
    connection.execute(operations.delete().where(operations.c.ended_at < before))
