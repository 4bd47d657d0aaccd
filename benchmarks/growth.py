"""What grows with the number of machines: the same calls at several sizes of the cloud."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Sequence
from urllib.parse import quote

from benchmarks.cloud import VERSION, Cloud, machine_body
from benchmarks.crowd import Crowd
from benchmarks.fleet import beats, members
from benchmarks.load import CONNECTIONS, Ask, Load, Run, best
from benchmarks.measuring import Effort
from benchmarks.report import Goal, Table, number, ratio
from benchmarks.requests import page_of
from benchmarks.seed import RACK_NAME
from landbridge_server.arm.access import Access
from landbridge_server.identity.caller import Caller
from landbridge_server.store import principals
from landbridge_server.store.database import Database
from running import MACHINES

SAMPLE = 200
AGENTS = 1_000
QUESTIONS = 2_000
SETTLING_SECONDS = 3.0
PAGE = 10
LONG = 1_000
PUTS = 100
FILTERED_MS = 60.0
CHANNELS = 20
BEATS = 50
READ = "Microsoft.HybridCompute/machines/read"


def tables(store: str, effort: Effort) -> list[Table]:
    """Measure at each size and return the table."""
    found: list[dict[str, float]] = []
    waits: dict[str, list[float]] = {}
    for size in effort.sizes:
        with Cloud(store, size) as cloud:
            time.sleep(SETTLING_SECONDS)  # after its start it learns of every machine once
            found.append(_measure(cloud, size, effort))
            for name, ask in _filtered(cloud).items():
                run = _run(cloud, [ask], effort, 1)
                found[-1][name] = run.cpu
                waits.setdefault(name, []).append(run.p50)
    sizes = [f"{size:,}" for size in effort.sizes]
    heads = ("CPU us of the server", *(f"{size} machines" for size in sizes), f"x, {sizes[-1]} to {sizes[0]}")
    table = Table(f"Growth, {store.partition(':')[0]}", heads)
    for name in found[0]:
        values = [one[name] for one in found]
        table.rows.append([name, *(number(value) for value in values), ratio(values[-1] / values[0])])
    table.notes = [
        f"A short page is {PAGE} machines at every size, beginning in the middle; long and filtered pages "
        f"hold {LONG:,} where there are as many, and the tag is that of one rack. GETs and PUTs are spread "
        f"over the fleet. Heartbeats are those of at most {AGENTS:,} connected agents.",
        "Every machine has a role assignment of its own; the caller's lies at the root.",
        *(f"{name}: p50 {_waits(one)} ms at {' / '.join(sizes)} machines." for name, one in waits.items()),
    ]
    table.goals = [
        Goal(f"{name} of {sizes[-1]}: p50", waits[name][-1], FILTERED_MS, False, " ms") for name in waits
    ]
    return [table]


def _waits(values: Sequence[float]) -> str:
    return " / ".join(number(value) for value in values)


def _measure(cloud: Cloud, size: int, effort: Effort) -> dict[str, float]:
    step = max(1, size // SAMPLE)
    numbers = range(0, size, step)
    page = page_of(cloud)
    middle = f"&$top={PAGE}&$skiptoken={_token(cloud, size // 2)}"
    gets = [Ask("GET", cloud.versioned(one)) for one in numbers]
    return {
        "GET of a machine": _cpu(cloud, gets, effort),
        "PUT of a machine": _cpu(cloud, _puts(cloud, numbers), effort),
        "short page": _cpu(cloud, [Ask("GET", page.path + middle)], effort),
        "long page": _run(cloud, [page], effort, 1).cpu,
        "authorization": _authorization(cloud, numbers),
        "heartbeat": _heartbeat(cloud, size, effort),
    }


def _token(cloud: Cloud, number: int) -> str:
    """Return the continuation that begins after a machine, as a nextLink would have it."""
    return base64.urlsafe_b64encode(cloud.path(number).lower().encode()).decode().rstrip("=")


def _puts(cloud: Cloud, numbers: Sequence[int]) -> list[Ask]:
    """Return changes of one tag; each machine keeps its vmId, which nobody may change."""
    puts = []
    for one in numbers[:PUTS]:
        stored = cloud.arm("GET", cloud.path(one), version=VERSION).body
        body = machine_body("{n}") | {"properties": {"vmId": stored["properties"]["vmId"]}}
        puts.append(Ask("PUT", cloud.versioned(one), json.dumps(body), {"Content-Type": "application/json"}))
    return puts


def _filtered(cloud: Cloud) -> dict[str, Ask]:
    """Return lists of the subscription's resources by what a filter may name."""
    resources = f"{cloud.subscription}/resources?api-version=2022-09-01&$top={LONG}&$filter="
    terms = {
        "filtered page, one tag": f"tagName eq 'rack' and tagValue eq '{RACK_NAME % 0}'",
        "filtered page, type and part of the name": (
            f"resourceType eq '{MACHINES}' and substringof('chine-', name)"
        ),
    }
    return {name: Ask("GET", resources + quote(text)) for name, text in terms.items()}


def _run(cloud: Cloud, asks: Sequence[Ask], effort: Effort, connections: int) -> Run:
    load = Load(cloud.url, asks, cloud.headers, cloud.pids, connections)
    load.run(1)
    return best([load.run(effort.seconds) for _ in range(effort.rounds)])


def _cpu(cloud: Cloud, asks: Sequence[Ask], effort: Effort) -> float:
    return _run(cloud, asks, effort, CONNECTIONS).cpu


def _authorization(cloud: Cloud, numbers: Sequence[int]) -> float:
    """Return what one question costs in a process of its own, without HTTP."""
    db = Database(cloud.database_url)
    try:
        with db.reading() as connection:
            principal = principals.by_app_id(connection, cloud.admin.client_id)
        if principal is None:
            raise LookupError("The administrator is gone.")
        caller = Caller(principal.object_id, principal.tenant_id, principal.kind, "", principal.app_id or "")
        access = Access(db)
        started = time.process_time()
        for number_ in range(QUESTIONS):
            access.require(caller, READ, cloud.path(numbers[number_ % len(numbers)]))
        return (time.process_time() - started) * 1e6 / QUESTIONS
    finally:
        db.close()


def _heartbeat(cloud: Cloud, size: int, effort: Effort) -> float:
    count = min(size, AGENTS)
    # A machine may hold a few channels, and send some messages on each, before it is cut.
    channels = (members(cloud, count) * CHANNELS)[: max(count, CHANNELS * 10)]
    crowd = Crowd(cloud.port, channels, cloud.data)
    try:
        crowd.order("open")
        share = count / len(channels)  # beats() counts one channel for each machine
        return min(beats(cloud, crowd, count, BEATS)[1] * share for _ in range(effort.rounds))
    finally:
        crowd.stop()
