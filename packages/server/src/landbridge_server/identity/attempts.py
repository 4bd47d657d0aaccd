"""How often somebody may guess: bounded attempts per name, at all nodes together.

Attempts are counted before they are checked, so that many at once count as many. They are
kept in the store: a restart, or another node, gives no further guesses.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from landbridge_server.store import sign_in_limits
from landbridge_server.store.database import Connection, Database
from landbridge_server.store.sign_in_limits import Window

SKEW = 60.0
"""Seconds by which the clocks of two nodes may differ; a clock that is set back further begins anew."""


class AttemptLimiter:
    """Allows ``limit`` failures per name within ``seconds``, then none until these are over."""

    def __init__(
        self, db: Database, clock: Callable[[], float], kind: str, limit: int, seconds: float
    ) -> None:
        """Count attempts of a ``kind``: names of two kinds have nothing to do with each other."""
        self._db = db
        self._clock = clock
        self._kind = kind
        self._limit = limit
        self._seconds = seconds

    async def begin(self, name: str) -> int:
        """Count an attempt; return 0, or the seconds to wait when it must not be checked."""
        now = self._clock()

        def work(connection: Connection) -> int:
            sign_in_limits.forget_ended_windows(connection, now)
            started, count = self._window(connection, name, now)
            if count >= self._limit:
                return self._left(started, now)
            counted = Window(started, count + 1)
            sign_in_limits.put_window(connection, self._kind, name, counted, started + self._seconds)
            return 0

        return await self._db.write(work)

    def blocked(self, name: str) -> int:
        """Return the seconds until ``name`` may be tried again, without counting an attempt."""
        now = self._clock()
        started, count = self._db.read(lambda connection: self._window(connection, name, now))
        return self._left(started, now) if count >= self._limit else 0

    async def succeeded(self, name: str) -> None:
        """Forget the failures of a name: the right answer was given."""
        await self._db.write(lambda connection: sign_in_limits.forget_window(connection, self._kind, name))

    def _window(self, connection: Connection, name: str, now: float) -> Window:
        found = sign_in_limits.window(connection, self._kind, name)
        if found is None or now >= found.started_at + self._seconds or now < found.started_at - SKEW:
            return Window(now, 0)
        return found

    def _left(self, started: float, now: float) -> int:
        return max(1, math.ceil(started + self._seconds - now))
