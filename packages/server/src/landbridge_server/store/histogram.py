"""How long things take: counts of durations below given bounds, for a few tenths of a microsecond each."""

from __future__ import annotations

from bisect import bisect_left

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds; the last bucket, without a bound, comes behind them."""


class Histogram:
    """Durations in seconds. Not thread-safe: it belongs to the event loop."""

    __slots__ = ("counts", "sum")

    def __init__(self) -> None:
        """Begin without any."""
        self.counts = [0] * (len(BOUNDS) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.sum += seconds
