"""Says how far a long command is: one line every two seconds, on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable

SECONDS = 2.0


class Progress:
    """Hears of rows; says nothing of what is done within two seconds."""

    def __init__(self, what: str, monotonic: Callable[[], float]) -> None:
        """Begin now; ``what`` names what is done, such as ``backup``."""
        self._what = what
        self._monotonic = monotonic
        self._began = self._said = monotonic()

    def __call__(self, done: int, total: int) -> None:
        """Take how many rows are done, of how many (0: nobody knows)."""
        now = self._monotonic()
        if now - self._said < SECONDS:
            return
        self._said = now
        rows = f"{done:,} of {total:,} rows" if total else f"{done:,} rows"
        print(f"{self._what}: {rows} after {now - self._began:.0f} s", file=sys.stderr, flush=True)

    @property
    def seconds(self) -> float:
        """How long it has taken until now."""
        return self._monotonic() - self._began
