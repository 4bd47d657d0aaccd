"""How long commands go on: what they say meanwhile, and how they end when they are told to."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable

SECONDS = 2.0


class Progress:
    """Hears how much is done; prints a line every two seconds, on standard error, none for what is quicker.

    ``unit`` is what is counted.
    """

    def __init__(self, monotonic: Callable[[], float], unit: str = "rows") -> None:
        """Begin now."""
        self._unit = unit
        self._monotonic = monotonic
        self._began = self._said = monotonic()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Take what is done, with how many, and of how many (0: nobody knows)."""
        now = self._monotonic()
        if now - self._said < SECONDS:
            return
        self._said = now
        rows = f"{done:,} of {total:,} {self._unit}" if total else f"{done:,} {self._unit}"
        print(f"{what} {rows} after {now - self._began:.0f} s", file=sys.stderr, flush=True)


def tidy_when_terminated() -> None:
    """Have SIGTERM end this process as an error does: what was begun is tidied up."""
    signal.signal(signal.SIGTERM, _end)


def _end(_number: int, _frame: object) -> None:
    sys.exit(128 + signal.SIGTERM)
