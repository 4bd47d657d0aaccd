"""How much there is to do, as the whole cloud's numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from landbridge_server.store.operations import FAILED, IN_PROGRESS, SUCCEEDED
from landbridge_server.store.schema import operations, work

STATES = (IN_PROGRESS, SUCCEEDED, FAILED, "Canceled")


class Load(NamedTuple):
    """Operations by status, and items of work that machines have not fetched, or not ended."""

    operations: Mapping[str, int]
    waiting: int
    fetched: int


def measured(connection: Connection) -> Load:
    """Count. A long read: it looks at every operation of the last days in an index."""
    counted = select(operations.c.status, func.count()).group_by(operations.c.status)
    states = {str(status): int(count) for status, count in connection.execute(counted)}
    total, fetched = connection.execute(select(func.count(), func.count(work.c.fetched_at))).one()
    return Load(states, int(total) - int(fetched), int(fetched))
