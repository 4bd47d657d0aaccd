"""How often somebody may guess: bounded attempts per name, in memory, by the clock.

Attempts are counted before they are checked, so that many at once count as many. Nothing
is kept over a restart.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable


class AttemptLimiter:
    """Allows ``limit`` failures per name within ``seconds``, then none until these are over."""

    def __init__(
        self, clock: Callable[[], float], limit: int, seconds: float, capacity: int = 10_000
    ) -> None:
        """Remember at most ``capacity`` names; the one that was begun first is forgotten first."""
        self._clock = clock
        self._limit = limit
        self._seconds = seconds
        self._capacity = capacity
        self._windows: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def begin(self, name: str) -> int:
        """Count an attempt; return 0, or the seconds to wait when it must not be checked."""
        now = self._clock()
        started, count = self._windows.get(name, (now, 0))
        if now >= started + self._seconds or now < started:
            self._windows.pop(name, None)
            started, count = now, 0
        if count >= self._limit:
            return max(1, math.ceil(started + self._seconds - now))
        self._windows[name] = (started, count + 1)
        if len(self._windows) > self._capacity:
            self._windows.popitem(last=False)
        return 0

    def blocked(self, name: str) -> int:
        """Return the seconds until ``name`` may be tried again, without counting an attempt."""
        started, count = self._windows.get(name, (0.0, 0))
        left = started + self._seconds - self._clock()
        return max(1, math.ceil(left)) if count >= self._limit and left > 0 else 0

    def succeeded(self, name: str) -> None:
        """Forget the failures of a name: the right answer was given."""
        self._windows.pop(name, None)
