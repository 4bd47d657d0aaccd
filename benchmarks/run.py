"""``landbridge run`` over many machines, and how the control plane answers others meanwhile."""

from __future__ import annotations

import http.client
import json
import ssl
import subprocess
import threading
import time
from dataclasses import dataclass

from benchmarks.busy_crowd import BusyCrowd
from benchmarks.cloud import Cloud
from benchmarks.fleet import GONE_SECONDS, SETTLE_SECONDS, members
from benchmarks.measuring import Effort, cpu_seconds, load_average, median
from benchmarks.report import Goal, Table, number, ratio
from benchmarks.seed import principal_ids
from landbridge_server.identity.keys import SigningKeys
from landbridge_server.identity.tokens import AGENT_LIFETIME, TokenIssuer
from landbridge_server.store import machines, principals
from landbridge_server.store.database import Database
from landbridge_wire import agent_api
from running import ENVIRONMENT, PROGRAMS

CANARY = "5%"
ASKS_PER_SECOND = 100
IDLE_SECONDS = 10.0
SIZES = (10, 100, 1_000)
TIMES_IDLE = 3.0


@dataclass(frozen=True)
class Found:
    """One run. Seconds, ``cpu`` beyond that of the GETs; their quantiles in milliseconds."""

    wall: float
    cpu: float
    idle: tuple[float, float]
    during: tuple[float, float]


def tables(store: str, effort: Effort) -> list[Table]:
    """Measure at each size and return the table."""
    sizes = [size for size in SIZES if effort.rounds > 1 or size <= 100]
    found = {size: _at(store, size, effort) for size in sizes}
    heads = ("landbridge run --canary 5%", *(f"{size:,} machines" for size in sizes))
    table = Table("A command on many machines", heads)
    table.rows = [
        ["whole run, removal included", *(f"{number(one.wall)} s" for one in found.values())],
        ["commands per second", *(number(size / one.wall) for size, one in found.items())],
        [
            "server CPU for one command",
            *(f"{number(one.cpu * 1e3 / size)} ms" for size, one in found.items()),
        ],
        ["GET p50, idle", *(f"{number(one.idle[0])} ms" for one in found.values())],
        ["GET p50, during x idle", *(ratio(one.during[0] / one.idle[0]) for one in found.values())],
        ["GET p99, idle", *(f"{number(one.idle[1])} ms" for one in found.values())],
        ["GET p99, during x idle", *(ratio(one.during[1] / one.idle[1]) for one in found.values())],
    ]
    table.notes = [
        "The machines are simulated in one process: control channels, and for each command the requests of "
        "the true agent, every one on a TLS connection of its own (fetch, running, output, end, fetch, "
        "removed). The script itself takes no time there. All share two cores; the machines and "
        "`landbridge run`, which in truth are other computers, have a lower priority (nice 10).",
        f"GETs of one machine, {ASKS_PER_SECOND} a second on one connection, for {IDLE_SECONDS:g} s before "
        f"and after the run (idle) and all through it. Median of {effort.rounds}, the longest run once; "
        f"load average at the end {load_average():.2f}.",
        "The CPU time is without what the same time costs when only the GETs go on; "
        f"{sizes[-1]:,} machines x {sizes[0]}: {ratio(_each(found, sizes[-1]) / _each(found, sizes[0]))}.",
    ]
    last = found[sizes[-1]]
    table.goals = [
        Goal(
            f"Run over {sizes[-1]:,} machines: GET p99 x idle",
            last.during[1] / last.idle[1],
            TIMES_IDLE,
            False,
        )
    ]
    return [table]


def _each(found: dict[int, Found], size: int) -> float:
    return found[size].cpu / size


def _at(store: str, size: int, effort: Effort) -> Found:
    with Cloud(store, size) as cloud:
        cloud.stop()
        agents = _agents(cloud, size)
        cloud.start()
        crowd = BusyCrowd(cloud.port, agents, cloud.data)
        try:
            time.sleep(SETTLE_SECONDS)
            runs = [_run(cloud, size) for _ in range(effort.rounds if size < SIZES[-1] else 1)]
        finally:
            crowd.stop()
            time.sleep(min(GONE_SECONDS, size / 100))
    return Found(
        median(one.wall for one in runs),
        median(one.cpu for one in runs),
        _middle([one.idle for one in runs]),
        _middle([one.during for one in runs]),
    )


def _middle(values: list[tuple[float, float]]) -> tuple[float, float]:
    return median(one[0] for one in values), median(one[1] for one in values)


def _agents(cloud: Cloud, count: int) -> list[tuple[str, str, str]]:
    """Note that all machines have enrolled; return their hybrid connections with both tokens."""
    issuer = TokenIssuer(SigningKeys.open(cloud.data / "keys", time.time), cloud.config.endpoints, time.time)
    bearers: list[str] = []
    db = Database(cloud.database_url)
    try:
        with db.writing() as connection:
            for key, object_id in principal_ids(cloud.database_url)[:count]:
                machines.set_enrolled(connection, key, time.time())
                own = principals.get(connection, object_id)
                if own is None:
                    raise LookupError(f"{key} has no identity.")
                audience, app = agent_api.AUDIENCE, own.app_id or ""
                bearers.append(issuer.access_token(own, own.tenant_id, audience, app, AGENT_LIFETIME))
    finally:
        db.close()
    listening = members(cloud, count)
    return [(path, token, bearer) for (path, token), bearer in zip(listening, bearers, strict=True)]


def _run(cloud: Cloud, size: int) -> Found:
    before = cpu_seconds(cloud.pids)
    with Asking(cloud) as idle:
        time.sleep(IDLE_SECONDS)
    resting = (cpu_seconds(cloud.pids) - before) / IDLE_SECONDS
    argv = [
        "nice",
        "-n",
        "10",
        PROGRAMS / "landbridge",
        "run",
        "--data",
        cloud.data,
        "--tag",
        "benchmark=one",
    ]
    argv += ["--canary", CANARY, "-o", "json", "--", "echo", "hello"]
    started, before = time.perf_counter(), cpu_seconds(cloud.pids)
    with Asking(cloud) as during:
        done = subprocess.run(
            argv, env=ENVIRONMENT | {"HOME": str(cloud.data)}, capture_output=True, text=True
        )
        wall = time.perf_counter() - started
    used = cpu_seconds(cloud.pids) - before - resting * wall
    time.sleep(SETTLE_SECONDS)
    with Asking(cloud) as after:
        time.sleep(IDLE_SECONDS)
    states = [one["state"] for one in json.loads(done.stdout or "[]")]
    if done.returncode or states != ["Succeeded"] * size:
        raise RuntimeError(f"{done.returncode}: {done.stderr[-2000:]} {sorted(set(states))}")
    return Found(wall, used, quantiles(idle.took + after.took), quantiles(during.took))


class Asking:
    """GETs of one machine at a steady pace, from a thread."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud, self._over = cloud, threading.Event()
        self.took: list[float] = []
        self._fault: Exception | None = None
        self._headers, self._path = cloud.headers, cloud.versioned(0)
        self._thread = threading.Thread(target=self._go)

    def __enter__(self) -> Asking:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop; a request that failed fails the benchmark."""
        self._over.set()
        self._thread.join()
        if self._fault is not None:
            raise self._fault

    def _go(self) -> None:
        context = ssl.create_default_context(cafile=str(self._cloud.admin.ca_file))
        link = http.client.HTTPSConnection("localhost", self._cloud.port, context=context, timeout=60)
        link.connect()
        due = time.perf_counter()
        try:
            while not self._over.is_set():
                due = max(due + 1 / ASKS_PER_SECOND, time.perf_counter())
                time.sleep(max(0.0, due - time.perf_counter()))
                started = time.perf_counter()
                link.request("GET", self._path, headers=self._headers)
                answer = link.getresponse()
                answer.read()
                self.took.append((time.perf_counter() - started) * 1000)
                if answer.status != 200:
                    raise RuntimeError(f"GET was answered {answer.status}")
        except Exception as error:
            self._fault = error
        finally:
            link.close()


def quantiles(took: list[float]) -> tuple[float, float]:
    """Return p50 and p99."""
    ordered = sorted(took)
    return median(ordered), ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
