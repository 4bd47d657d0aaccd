"""SSH through the relay with TLS on both legs, beside direct ssh and the Go relay.

All three log in to the same sshd with the same key exchange and cipher. Bulk data are zeros:
nothing on the way compresses. The echo is one byte there and back through ``cat``.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from benchmarks.cloud import Cloud
from benchmarks.measuring import Effort, cpu_seconds, median
from benchmarks.peers.gorelay import GoRelay
from benchmarks.report import Goal, Table, number, ratio
from quickstart.sshd import user_name
from running import ENVIRONMENT, Agent, Connection, Sshd

SAME = ("KexAlgorithms=curve25519-sha256", "Ciphers=aes128-gcm@openssh.com", "Compression=no")
ECHOES = 300
DIRECT, OURS, GO = "direct ssh", "Landbridge", "Go relay"


@dataclass
class Way:
    """One way to the sshd, what its relay and agent are, and what was seen on it."""

    name: str
    argv: list[str]
    relay: int | None = None
    agent: int | None = None
    down: list[float] = field(default_factory=list)
    up: list[float] = field(default_factory=list)
    login: list[float] = field(default_factory=list)
    echo: list[float] = field(default_factory=list)
    relay_down: list[float] = field(default_factory=list)
    relay_up: list[float] = field(default_factory=list)
    agent_cpu: list[float] = field(default_factory=list)

    @property
    def relay_cpu(self) -> float:
        """CPU seconds of the relay per GiB, the worse direction of the best rounds."""
        return max(min(self.relay_down), min(self.relay_up))


def tables(store: str, effort: Effort) -> list[Table]:
    """Measure and return the table."""
    sshd = Sshd()
    try:
        with Cloud(store, 0) as cloud:
            agent = connected(cloud, sshd)
            go = GoRelay(sshd.port)
            try:
                ways = _ways(cloud, agent, sshd, go)
                for way in ways:
                    _run(way, "true")
                for _ in range(effort.rounds):
                    _round(ways, effort)
                return [_table(ways, effort)]
            finally:
                go.stop()
                agent.stop()
    finally:
        sshd.stop()


def connected(cloud: Cloud, sshd: Sshd, name: str = "bench") -> Agent:
    """Return an agent that is Connected and lets the relay reach the sshd."""
    agent = Agent(cloud, name)
    agent.start_daemon()
    done = [agent.run("config", "set", "incomingconnections.ports", str(sshd.port)), agent.connect()]
    if any(one.returncode for one in done):
        raise RuntimeError("".join(one.stdout for one in done))
    agent.wait_connected()
    return agent


def _ways(cloud: Cloud, agent: Agent, sshd: Sshd, go: GoRelay) -> list[Way]:
    connection = Connection(agent, sshd)
    options = [word for option in (*SAME, "BatchMode=yes") for word in ("-o", option)]
    plain = ["ssh", "-F", "none", *options, "-i", str(sshd.key), "-o", "IdentitiesOnly=yes"]
    plain += ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]
    target = f"{user_name()}@127.0.0.1"
    assert agent.daemon is not None
    return [
        Way(DIRECT, [*plain, "-p", str(sshd.port), target]),
        Way(
            OURS,
            [*connection.ssh_command, *options, connection.host],
            cloud.child.process.pid,
            agent.daemon.process.pid,
        ),
        Way(GO, [*plain, "-o", f"ProxyCommand={go.proxy}", target], go.relay.pid, go.agent.pid),
    ]


def _round(ways: Sequence[Way], effort: Effort) -> None:
    size = effort.mebibytes << 20
    for way in ways:
        _bulk(way, size, way.down, way.relay_down, lambda one: _run(one, f"head -c {size} /dev/zero"))
    for way in ways:
        _bulk(way, size, way.up, way.relay_up, lambda one: _send(one, size))
    for _ in range(effort.repeats):
        for way in ways:
            way.login.append(_timed(partial(_run, way, "true")))
    for way in ways:
        way.echo.append(_echo(way))


def _timed(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _bulk(way: Way, size: int, rates: list[float], cpus: list[float], work: Callable[[Way], None]) -> None:
    pids = [pid for pid in (way.relay, way.agent) if pid is not None]
    before = [cpu_seconds([pid]) for pid in pids]
    rates.append(size / _timed(lambda: work(way)) / 1e6)
    used = [(cpu_seconds([pid]) - was) * (1 << 30) / size for pid, was in zip(pids, before, strict=True)]
    if used:
        cpus.append(used[0])
        way.agent_cpu.append(used[1])


def _run(way: Way, command: str) -> None:
    subprocess.run(
        [*way.argv, command], check=True, env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )


def _send(way: Way, size: int) -> None:
    with subprocess.Popen(["head", "-c", str(size), "/dev/zero"], stdout=subprocess.PIPE) as source:
        subprocess.run([*way.argv, "cat >/dev/null"], check=True, env=ENVIRONMENT, stdin=source.stdout)


def _echo(way: Way) -> float:
    """Return the median time of one byte there and back, in microseconds."""
    argv = [*way.argv, "cat"]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, env=ENVIRONMENT, stdin=pipe, stdout=pipe, bufsize=0) as process:
        to, back = process.stdin.fileno(), process.stdout.fileno()  # type: ignore[union-attr]
        seen: list[float] = []
        for number in range(ECHOES + 20):
            started = time.perf_counter()
            os.write(to, b"x")
            os.read(back, 1)
            if number >= 20:
                seen.append((time.perf_counter() - started) * 1e6)
            time.sleep(0.001)
        process.stdin.close()  # type: ignore[union-attr]
    return median(seen)


def _table(ways: Sequence[Way], effort: Effort) -> Table:
    direct, ours, go = ways
    heads = ("Way", "down x direct", "up x direct", "`ssh true` x direct", "echo x Go")
    table = Table(
        "SSH through the relay, TLS on both legs", (*heads, "relay s/GiB down", "up", "agent s/GiB")
    )
    for way in ways:
        table.rows.append(
            [
                way.name,
                ratio(max(way.down) / max(direct.down)),
                ratio(max(way.up) / max(direct.up)),
                ratio(_login(way) / _login(direct)),
                ratio(min(way.echo) / min(go.echo)),
                number(min(way.relay_down)) if way.relay else "-",
                number(min(way.relay_up)) if way.relay else "-",
                number(min(way.agent_cpu)) if way.relay else "-",
            ]
        )
    pairs = [
        (max(getattr(ours, way)), max(getattr(direct, way)), max(getattr(go, way))) for way in ("down", "up")
    ]
    login = _login(ours) / _login(direct)
    table.goals = [
        Goal("SSH bulk, worse direction: x direct", min(a / b for a, b, _ in pairs), 0.5, True),
        Goal("SSH bulk, worse direction: x Go relay", min(a / c for a, _, c in pairs), 1.25, True),
        Goal("`ssh host true`: x direct", login, 1.2, False),
        Goal("Echo round trip p50: x Go relay", min(ours.echo) / min(go.echo), 1.25, False),
        Goal("Relay CPU per GiB: x Go relay", ours.relay_cpu / go.relay_cpu, 0.75, False),
    ]
    table.notes = [
        f"{effort.mebibytes} MiB each way; best of {effort.rounds}. `ssh true`: median of "
        f"{effort.rounds * effort.repeats} in turn. The Go relay authenticates nobody; ours verifies token, "
        "machine and role.",
        f"Direct ssh: {number(max(direct.down))} MB/s down, {number(max(direct.up))} up, "
        f"`ssh true` {number(_login(direct) * 1000)} ms, echo {number(min(direct.echo))} us.",
    ]
    return table


def _login(way: Way) -> float:
    return median(way.login)
