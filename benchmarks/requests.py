"""The control plane's HTTP beside Azurite, etcd and a bare route: GET, PUT, lists; all over TLS."""

from __future__ import annotations

import json
import threading

from benchmarks.cloud import VERSION, Cloud, machine_body
from benchmarks.load import Ask, Load, Run, best
from benchmarks.measuring import Effort
from benchmarks.peers.azurite import Azurite
from benchmarks.peers.bare import Bare
from benchmarks.peers.etcd import Etcd
from benchmarks.report import Goal, Table, number, ratio
from running import GROUP, MACHINES

OURS, AZURITE, ETCD = "Landbridge", "Azurite", "etcd"
BARE, BARE_OURS = "bare Starlette, uvicorn", "bare Starlette, our listener"
MACHINE_COUNT = 1_000
SAMPLE = 200

Loads = dict[str, Load]


def tables(store: str, effort: Effort) -> list[Table]:
    """Run all servers side by side, one loaded at a time, and return the tables."""
    with Cloud(store, MACHINE_COUNT) as cloud:
        content = json.dumps(cloud.arm("GET", cloud.path(1), version=VERSION).body).encode()
        azurite, etcd = Azurite(), Etcd()
        bare, ours = Bare(content, "uvicorn"), Bare(content, "ours")
        try:
            return [
                _get(cloud, azurite, etcd, bare, ours, effort),
                _put(cloud, azurite, etcd, effort),
                _list(cloud, azurite, etcd, effort),
            ]
        finally:
            for peer in (azurite, etcd, bare, ours):
                peer.stop()


def run(loads: Loads, effort: Effort) -> dict[str, Run]:
    """Run each load in turn, ``rounds`` times; return the best run of each."""
    for load in loads.values():
        load.run(1)
    runs: dict[str, list[Run]] = {name: [] for name in loads}
    for _ in range(effort.rounds):
        for name, load in loads.items():
            runs[name].append(load.run(effort.seconds))
    return {name: best(some) for name, some in runs.items()}


def _rows(found: dict[str, Run], table: Table) -> None:
    ours = found[OURS]
    for name, one in found.items():
        cells = [name, ratio(one.rate / ours.rate), ratio(one.cpu / ours.cpu)]
        table.rows.append([*cells, number(one.cpu), ratio(one.p50 / ours.p50), ratio(one.p99 / ours.p99)])


HEADS = ("Server", "rate x ours", "CPU x ours", "CPU us/request", "p50 x ours", "p99 x ours")


def _get(cloud: Cloud, azurite: Azurite, etcd: Etcd, bare: Bare, ours: Bare, effort: Effort) -> Table:
    numbers = range(SAMPLE)
    gets = [Ask("GET", cloud.versioned(one)) for one in numbers]
    found = run(
        {
            OURS: Load(cloud.url, gets, cloud.headers, cloud.pids),
            AZURITE: Load(azurite.url, [azurite.get(one) for one in numbers], {}, azurite.pids),
            ETCD: Load(etcd.url, [etcd.get(one) for one in numbers], etcd.headers, etcd.pids),
            BARE: Load(bare.url, gets, cloud.headers, bare.pids),
            BARE_OURS: Load(ours.url, gets, cloud.headers, ours.pids),
        },
        effort,
    )
    table = Table("GET of one machine, authenticated and authorized", HEADS)
    _rows(found, table)
    mine = found[OURS]
    table.goals = [
        Goal("GET: CPU x Azurite", mine.cpu / found[AZURITE].cpu, 0.5, False),
        Goal("GET: rate x bare Starlette (uvicorn)", mine.rate / found[BARE].rate, 0.5, True),
        Goal("GET: rate x bare Starlette (our listener)", mine.rate / found[BARE_OURS].rate, 0.5, True),
    ]
    return table


def _put(cloud: Cloud, azurite: Azurite, etcd: Etcd, effort: Effort) -> Table:
    body = json.dumps(machine_body())
    stored = cloud.arm("GET", cloud.path(0), version=VERSION).body
    changed = json.dumps(machine_body("{n}") | {"properties": {"vmId": stored["properties"]["vmId"]}})
    found = run(
        {
            OURS: Load(cloud.url, [Ask("PUT", cloud.versioned(0), changed, JSON)], cloud.headers, cloud.pids),
            f"{OURS}, new machine": Load(
                cloud.url, [Ask("PUT", cloud.versioned("made-{n}"), body, JSON)], cloud.headers, cloud.pids
            ),
            AZURITE: Load(azurite.url, [azurite.create()], {}, azurite.pids),
            ETCD: Load(etcd.url, [etcd.put()], etcd.headers, etcd.pids),
        },
        effort,
    )
    table = Table("PUT of one machine, answered when it is on the disk", HEADS)
    _rows(found, table)
    table.notes = [
        "Azurite's answer does not wait for the disk; etcd's and ours do.",
        "A new machine is a principal, an endpoint and a service configuration too: six rows.",
    ]
    for name in (OURS, f"{OURS}, new machine"):
        kind = "PUT, new machine" if name != OURS else "PUT"
        table.goals += [
            Goal(f"{kind}: rate x Azurite", found[name].rate / found[AZURITE].rate, 2.0, True),
            Goal(f"{kind}: rate x etcd", found[name].rate / found[ETCD].rate, 0.7, True),
        ]
    return table


JSON = {"Content-Type": "application/json"}


def _list(cloud: Cloud, azurite: Azurite, etcd: Etcd, effort: Effort) -> Table:
    page = page_of(cloud)
    load = Load(cloud.url, [page], cloud.headers, cloud.pids, 4)
    found = run(
        {
            OURS: load,
            AZURITE: Load(azurite.url, [azurite.page()], {}, azurite.pids, 4),
            ETCD: Load(etcd.url, [etcd.page()], etcd.headers, etcd.pids, 4),
        },
        effort,
    )
    table = Table("List of 1,000 machines", HEADS)
    _rows(found, table)
    waits = [behind(cloud, load, effort.seconds) for _ in range(effort.rounds)]
    wait = min(waits, key=lambda one: one.worst)
    table.notes = [
        "Four lists at a time without a pause; the worst wait is that of a GET of a fifth connection.",
        f"GET behind the lists: p50 {number(wait.p50)} ms, p99 {number(wait.p99)} ms.",
    ]
    table.goals = [
        Goal("List of 1,000: rate x Azurite", found[OURS].rate / found[AZURITE].rate, 3.0, True),
        Goal("List of 1,000: worst wait of a request behind it", wait.worst, 50.0, False, " ms"),
    ]
    return table


def page_of(cloud: Cloud) -> Ask:
    """Return the request for the first page of the group's machines."""
    path = f"{cloud.subscription}/resourceGroups/{GROUP}/providers/{MACHINES}"
    return Ask("GET", f"{path}?api-version={VERSION}")


def behind(cloud: Cloud, lists: Load, seconds: float) -> Run:
    """Run GETs on one connection while lists are asked for."""
    single = Load(cloud.url, [Ask("GET", cloud.versioned(3))], cloud.headers, cloud.pids, 1)
    with lists.start(seconds + 1) as other:
        drained = threading.Thread(target=other.communicate)
        drained.start()
        found = single.run(seconds)
        drained.join()
    return found
