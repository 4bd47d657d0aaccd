"""A connection to PostgreSQL that does not wait for ever: psycopg's, with a bound for each answer.

``statement_timeout`` is kept by the server, and ``tcp_user_timeout`` by the kernels: neither
ends a wait for a server that is frozen, or for what stands in front of one and is silent.
"""

from __future__ import annotations

from typing import TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus

R = TypeVar("R")


class PatientConnection(psycopg.Connection[tuple[object, ...]]):
    """``patience`` in seconds; a server that takes longer counts as lost, and so does the connection."""

    patience = 3.0

    def wait(self, gen: PQGen[R], interval: float = 0.1, timeout: float | None = None) -> R:
        """Wait for an answer.

        Raises:
            psycopg.OperationalError: there was none in time. Nobody knows what became of
                the statement, so the connection is closed.
        """
        try:
            return super().wait(gen, interval, self.patience if timeout is None else timeout)
        except psycopg.OperationalError:
            if self.pgconn.transaction_status != TransactionStatus.ACTIVE:
                raise
            self.pgconn.finish()
            raise psycopg.OperationalError(
                f"the server did not answer within {self.patience:g} seconds"
            ) from None
