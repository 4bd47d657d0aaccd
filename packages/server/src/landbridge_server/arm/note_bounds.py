"""Keeps floods out of the activity log: what repeats is counted, and nobody can fill it alone.

Of equal notes the first is written at once; those of the next minute become one more, with
their number. Beyond that each caller has a budget of notes, and all who did not prove who they
are have one together. What exceeds it is counted, and the number becomes a note of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

WINDOW = 60.0
"""Seconds in which equal notes are one."""

KEYS = 10_000
"""Different notes that are remembered for a window."""

STRANGERS = ""
"""Who has not proven anything: all of them share one budget."""


class Rate(NamedTuple):
    """How many notes at once, and how many a second for ever."""

    burst: float
    per_second: float


STRANGERS_RATE = Rate(500.0, 0.1)
"""Under an attack of months they write less than what the log keeps for everybody."""

CALLERS_RATE = Rate(1000.0, 1.0)


@dataclass
class _Repeat(Generic[T]):
    note: T
    until: float
    count: int = 0


@dataclass
class _Budget:
    left: float
    at: float
    exceeded: int = 0
    told: float = 0.0


class Bounds(Generic[T]):
    """Decides which notes are written. Times are those of ``clock``, unix seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Begin with full budgets."""
        self.clock = clock
        self._repeats: dict[Hashable, _Repeat[T]] = {}
        self._budgets: dict[str, _Budget] = {}

    def admit(self, note: T, key: Hashable, who: str) -> bool:
        """Say whether to write a note of ``who`` now; equal notes have equal keys."""
        now = self.clock()
        repeat = self._repeats.get(key)
        if repeat is not None and now < repeat.until:
            repeat.note = note
            repeat.count += 1
            return False
        if len(self._repeats) >= KEYS or not self._spend(who, now):
            self._budget(who, now).exceeded += 1
            return False
        if repeat is not None and repeat.count:
            return True  # its count is still to be told; this one begins no window
        self._repeats.pop(key, None)  # a new window stands behind the others
        self._repeats[key] = _Repeat(note, now + WINDOW)
        return True

    def _budget(self, who: str, now: float) -> _Budget:
        budget = self._budgets.get(who)
        if budget is None:
            budget = self._budgets[who] = _Budget(_rate(who).burst, now)
        return budget

    def _spend(self, who: str, now: float) -> bool:
        budget, rate = self._budget(who, now), _rate(who)
        budget.left = min(rate.burst, budget.left + max(0.0, now - budget.at) * rate.per_second)
        budget.at = now
        if budget.left < 1:
            return False
        budget.left -= 1
        return True

    def repeated(self, *, all_of_them: bool = False) -> list[tuple[T, int]]:
        """Return the newest of the notes that were counted, with their number, once their window ends."""
        now, ended = self.clock(), []
        for key, one in self._repeats.items():
            if now < one.until and not all_of_them:
                break  # they are in the order of their time
            ended.append(key)
        gone = [self._repeats.pop(key) for key in ended]
        return [(one.note, one.count) for one in gone if one.count]

    def exceeded(self, *, all_of_them: bool = False) -> list[tuple[str, int]]:
        """Return who went beyond their budget and by how many notes, at most once a window each."""
        now, found = self.clock(), []
        for who, one in list(self._budgets.items()):
            if one.exceeded and (all_of_them or now - one.told >= WINDOW):
                found.append((who, one.exceeded))
                one.exceeded, one.told = 0, now
            elif now - one.at > _rate(who).burst / _rate(who).per_second and not one.exceeded:
                del self._budgets[who]  # full again
        return found


def _rate(who: str) -> Rate:
    return CALLERS_RATE if who else STRANGERS_RATE
