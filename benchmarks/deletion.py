"""The deletion of a group with a thousand machines, and what others notice of it."""

from __future__ import annotations

import threading
import time

from benchmarks.cloud import Cloud
from benchmarks.load import Ask, Load, Run
from benchmarks.measuring import Effort, cpu_seconds
from benchmarks.report import Goal, Table, number
from running import GROUP

COUNT = 1_000
WATCHED_SECONDS = 6
GROUPS = "2022-09-01"


def tables(store: str, effort: Effort) -> list[Table]:
    """Delete a group of ``COUNT`` machines, ``rounds`` times over, and return the best."""
    runs = [_deleted(store) for _ in range(effort.rounds)]
    cpu, wall, waits = min(runs, key=lambda one: one[0])
    table = Table(f"Deletion of a group of {COUNT:,} machines, {store.partition(':')[0]}", ("What", "Figure"))
    table.rows = [
        ["server CPU", f"{number(cpu)} s"],
        ["from the request to the end of the operation", f"{number(wall)} s"],
        ["a GET meanwhile, one after the other: p99", f"{number(waits.p99)} ms"],
        ["the same, worst", f"{number(waits.worst)} ms"],
    ]
    table.notes = ["Server CPU leaves out what the same GETs cost without a deletion."]
    table.goals = [
        Goal("Deletion of a group of 1,000: server CPU", cpu, 1.0, False, " s"),
        Goal("Deletion of a group of 1,000: worst wait of a request", waits.worst, 100.0, False, " ms"),
    ]
    return [table]


def _deleted(store: str) -> tuple[float, float, Run]:
    """Return CPU seconds of the deletion, its wall time, and how the GETs fared."""
    with Cloud(store, COUNT) as cloud:
        watcher = Load(cloud.url, [Ask("GET", f"{cloud.subscription}?api-version={GROUPS}")], cloud.headers,
                       cloud.pids, 1)  # fmt: skip
        alone = watcher.run(2)
        found: list[Run] = []
        watching = threading.Thread(target=lambda: found.append(watcher.run(WATCHED_SECONDS)))
        before = cpu_seconds(cloud.pids)
        watching.start()
        time.sleep(0.5)
        started = time.monotonic()
        group = f"{cloud.subscription}/resourceGroups/{GROUP}"
        answer = cloud.arm("DELETE", group, version=GROUPS)
        if answer.status != 202:
            raise RuntimeError(f"The deletion was refused: {answer.body}")
        while cloud.arm("GET", group, version=GROUPS).status == 200:
            time.sleep(0.02)
        wall = time.monotonic() - started
        watching.join()
        seen = found[0]
        cpu = cpu_seconds(cloud.pids) - before - seen.count * alone.cpu / 1e6
        return cpu, wall, seen
