"""The agent with everything on: memory, idle CPU, tokens, command line, cold start to Connected."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from benchmarks.cloud import Cloud
from benchmarks.measuring import Effort, cpu_seconds, median, memory_kib
from benchmarks.report import Goal, Table, number, ratio
from benchmarks.ssh import connected
from running import ENVIRONMENT, PROGRAMS, Agent, Sshd

IDLE_SECONDS = 30.0
LISTENING = "Listening"


def tables(store: str, effort: Effort) -> list[Table]:
    """Measure and return the table."""
    sshd = Sshd()
    try:
        with Cloud(store, 0) as cloud:
            agent = connected(cloud, sshd)
            try:
                return [_table(agent, effort)]
            finally:
                agent.stop()
    finally:
        sshd.stop()


def _table(agent: Agent, effort: Effort) -> Table:
    assert agent.daemon is not None
    pid = agent.daemon.process.pid
    given = TokenClient(agent)
    token = _repeated(given.token, effort)
    metadata = _repeated(given.metadata, effort)
    time.sleep(3)
    seconds = IDLE_SECONDS if effort.rounds > 1 else 5.0
    before = cpu_seconds([pid])
    time.sleep(seconds)
    idle = (cpu_seconds([pid]) - before) / seconds * 100
    resident = memory_kib(pid) / 1024
    version, empty = _version(effort)
    starts = [_cold_start(agent) for _ in range(effort.rounds)]
    own, wall = min(one[0] for one in starts), min(one[1] for one in starts)
    table = Table("The agent", ("What", "Figure"))
    table.rows = [
        ["himdsd resident: connected, serving metadata and tokens, some asked for", f"{resident:.1f} MiB"],
        [f"CPU of one core over {seconds:.0f} s without work", f"{idle:.3f} %"],
        ["a token from memory: challenge, file, answer", f"{number(token * 1000)} ms"],
        ["instance metadata", f"{number(metadata * 1000)} ms"],
        ["`azcmagent version` x `python3 -I -S -c pass`", ratio(version / empty)],
        ["cold start to Connected, the agent's own CPU time, its children's included", f"{own:.2f} s"],
        ["the same, wall time, control plane on the same machine", f"{wall:.2f} s"],
    ]
    table.notes = [
        f"`azcmagent version` {number(version * 1000)} ms, best of its medians, in turn with Python."
    ]
    table.goals = [
        Goal("himdsd resident with everything on", resident, 35, False, " MiB"),
        Goal("himdsd CPU of a core when idle", idle, 0.1, False, " %"),
        Goal("`azcmagent version`: x `python3 -I -S -c pass`", version / empty, 3.0, False),
        Goal("Cold start to Connected, the agent's own time", own, 0.3, False, " s"),
    ]
    return table


class TokenClient:
    """A program on the machine, as the documents' script does it."""

    def __init__(self, agent: Agent) -> None:
        self._url = str(agent.show()["identityEndpoint"])
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self._token = (
            f"/metadata/identity/oauth2/token?api-version=2020-06-01&resource={agent.cloud.admin.url}"
        )

    def _get(self, path: str, **headers: str) -> bytes:
        request = urllib.request.Request(self._url + path, headers={"Metadata": "true", **headers})
        with self._opener.open(request, timeout=30) as reply:
            content: bytes = reply.read()
            return content

    def token(self) -> None:
        """Get a token: two requests and a file."""
        try:
            self._get(self._token)
        except urllib.error.HTTPError as challenge:
            with challenge:
                key = Path(challenge.headers["Www-Authenticate"].partition("=")[2]).read_text()
        assert b"access_token" in self._get(self._token, Authorization=f"Basic {key}")

    def metadata(self) -> None:
        """Get the instance metadata."""
        assert b"resourceId" in self._get("/metadata/instance?api-version=2020-06-01")


def _repeated(call: Callable[[], None], effort: Effort) -> float:
    """Return the median time of a call, in seconds; the first one, which may fill a memory, is left out."""
    call()
    took = []
    for _ in range(20 * effort.repeats):
        started = time.perf_counter()
        call()
        took.append(time.perf_counter() - started)
    return median(took)


def _version(effort: Effort) -> tuple[float, float]:
    python = str(Path(sys.executable).resolve())
    ours: list[float] = []
    empty: list[float] = []
    for _ in range(effort.repeats * effort.rounds):
        ours.append(_took([str(PROGRAMS / "azcmagent"), "version"]))
        empty.append(_took([python, "-I", "-S", "-c", "pass"]))
    return median(ours), median(empty)


def _took(argv: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(argv, check=True, env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def _cold_start(agent: Agent) -> tuple[float, float]:
    """Start himdsd of a connected machine anew; return its CPU time and the wall time until it listens."""
    agent.kill_daemon()
    started = time.perf_counter()
    child = agent.start_daemon()
    while LISTENING not in child.said():
        child.check()
        time.sleep(0.005)
    wall = time.perf_counter() - started
    return cpu_seconds([child.process.pid]), wall
