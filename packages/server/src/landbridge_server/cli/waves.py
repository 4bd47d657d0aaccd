"""Which machines of a run may begin now: canaries first, so many at once, none after too many failures.

Pure: it is told what began and ended, and says what may begin. A machine begins at most once.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Share:
    """A number of machines, or a percentage of them."""

    number: float
    percent: bool = False

    def of(self, count: int) -> int:
        """Return how many of ``count`` that is: rounded up, and at least one."""
        return max(1, math.ceil(count * self.number / 100 if self.percent else self.number))

    def __str__(self) -> str:
        """Return it as it is written on a command line."""
        return f"{self.number:g}{'%' if self.percent else ''}"


@dataclass(frozen=True)
class Rules:
    """How a run goes over its machines.

    ``canary`` of them end before the others begin. At most ``at_once`` run. ``stop``: so many
    failures end the run; a percentage is one of the canaries while only they run, and of all
    machines afterwards. Without it one failed canary ends the run, and nothing else does.
    """

    at_once: int
    canary: Share | None = None
    stop: Share | None = None


class Waves:
    """The run as it stands."""

    def __init__(self, machines: Sequence[str], rules: Rules, away: Collection[str] = ()) -> None:
        """Take all machines, in their order; those that are ``away`` begin only once they are here.

        Canaries are taken from those that are here, as far as there are enough.
        """
        absent = set(away)
        order = [one for one in machines if one not in absent] + [one for one in machines if one in absent]
        first = min(len(order), rules.canary.of(len(order))) if rules.canary else 0
        self.rules = rules
        self.count = len(order)
        self.canaries = frozenset(order[:first])
        self.stopped = ""
        """Why nothing begins any more; empty while it does."""
        self._first = deque(one for one in order[:first] if one not in absent)
        self._rest = deque(one for one in order[first:] if one not in absent)
        self._away = absent & set(order)
        self._running: set[str] = set()
        self._ended: dict[str, bool] = {}
        self._canaries_left = first
        self._failed_canaries = 0
        self._failed = 0

    @property
    def running(self) -> frozenset[str]:
        """The machines that have begun and not ended."""
        return frozenset(self._running)

    @property
    def away(self) -> frozenset[str]:
        """The machines that are waited for."""
        return frozenset(self._away)

    @property
    def ended(self) -> int:
        """How many machines have ended."""
        return len(self._ended)

    @property
    def failed(self) -> int:
        """How many of those failed."""
        return self._failed

    @property
    def in_canary(self) -> bool:
        """Whether the others still wait for the canaries."""
        return self._canaries_left > 0

    @property
    def is_over(self) -> bool:
        """Whether nothing runs and nothing will begin."""
        waiting = self._first or self._rest or self._away
        return not self._running and (bool(self.stopped) or not waiting)

    def start(self, most: int | None = None) -> list[str]:
        """Return the machines that begin now, at most so many; from here on they are running."""
        begun: list[str] = []
        room = self.rules.at_once - len(self._running)
        room = room if most is None else min(room, most)
        while not self.stopped and len(begun) < room:
            source = self._first if self.in_canary else self._rest
            if not source:
                break
            machine = source.popleft()
            self._running.add(machine)
            begun.append(machine)
        return begun

    def end(self, machine: str, *, succeeded: bool) -> None:
        """Take that a running machine has ended.

        Raises:
            ValueError: it is not running.
        """
        if machine not in self._running:
            raise ValueError(f"'{machine}' is not running.")
        self._running.remove(machine)
        self._ended[machine] = succeeded
        is_canary = machine in self.canaries
        self._canaries_left -= is_canary
        if not succeeded:
            self._failed += 1
            self._failed_canaries += is_canary
            self._judge()

    def is_here(self, machine: str) -> None:
        """Take that a machine which was away may begin. Told again, nothing changes."""
        if machine in self._away:
            self._away.remove(machine)
            (self._first if machine in self.canaries else self._rest).append(machine)

    def stop(self, why: str) -> None:
        """Let nothing begin any more; what runs goes on. The first reason stays."""
        self.stopped = self.stopped or why

    def take_up(self, running: Iterable[str], ended: Iterable[tuple[str, bool]]) -> None:
        """Take what an earlier process has begun. Only before the first ``start``.

        Raises:
            ValueError: the run has no such machine, or it is named twice.
        """
        known = dict(ended)
        begun = [*running, *known]
        waiting = {*self._first, *self._rest, *self._away}
        if len(set(begun)) < len(begun) or not waiting.issuperset(begun):
            raise ValueError("What was begun before does not belong to this run.")
        gone = set(begun)
        self._first = deque(one for one in self._first if one not in gone)
        self._rest = deque(one for one in self._rest if one not in gone)
        self._away -= gone
        self._running |= gone
        for machine, succeeded in known.items():
            self.end(machine, succeeded=succeeded)

    def _judge(self) -> None:
        stop = self.rules.stop
        if self._failed_canaries:
            bound = (stop or Share(1)).of(len(self.canaries))
            if self._failed_canaries >= bound:
                self.stop(f"{self._failed_canaries} of {len(self.canaries)} canaries failed")
        if stop is not None and self._failed >= stop.of(self.count):
            self.stop(f"{self._failed} of {self.count} machines failed")
