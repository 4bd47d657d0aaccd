"""What is read from ``/proc``, and how several runs become one figure."""

from __future__ import annotations

import os
import re
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Effort:
    """How much of everything a run does: ``--quick`` shows that it works, not how fast it is."""

    rounds: int
    seconds: float
    mebibytes: int
    agents: int
    sizes: tuple[int, ...]
    repeats: int


FULL = Effort(
    rounds=3, seconds=4.0, mebibytes=256, agents=10_000, sizes=(10, 1_000, 10_000, 100_000), repeats=21
)
QUICK = Effort(rounds=1, seconds=1.0, mebibytes=64, agents=500, sizes=(10, 1_000), repeats=5)


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the CPU time of processes so far, user and system, reaped children included."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += sum(int(value) for value in fields[11:15])
    return ticks / TICK


def memory_kib(pid: int, line: str = "VmRSS") -> int:
    """Return a line of ``/proc/PID/status`` in KiB."""
    found = re.search(rf"^{line}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    if found is None:
        raise LookupError(f"/proc/{pid}/status has no {line}")
    return int(found.group(1))


def load_average() -> float:
    """Return how many processes wanted to run over the last minute."""
    return os.getloadavg()[0]


def interleaved(rounds: int, parts: Sequence[Callable[[], float]]) -> list[list[float]]:
    """Run each part in turn, ``rounds`` times over; return the figures of each part."""
    figures: list[list[float]] = [[] for _ in parts]
    for _ in range(rounds):
        for index, part in enumerate(parts):
            figures[index].append(part())
    return figures


def median(values: Iterable[float]) -> float:
    """Return the median."""
    return statistics.median(values)
