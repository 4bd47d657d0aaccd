"""PostgreSQL is restarted under load: clear 503s, nothing lost, open sessions do not notice."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
import urllib.parse
import urllib.request
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from landbridge_server.relay.credentials import RelayCredentials
from landbridge_server.relay.names import hybrid_connection_path
from landbridge_wire import websocket
from landbridge_wire.hybrid_connections import heartbeat_message
from pulses import Pulse, pulsing, real_tunnel
from relay_client import Refused, Target, Tunnel, connect, echoing, listen, reserved_port, target_of
from running import GROUP, MACHINES, Connection, ControlPlane, Sshd
from two_nodes import Nodes, connected, running_nodes

pytestmark = [pytest.mark.ssh, pytest.mark.slow]

OPEN, REAL = 20, 2
LISTENERS, BEAT_SECONDS = 8, 0.25
WRITERS = 4
AWAY_SECONDS = 1.5
VERSION = "2024-07-10"
FLUSHED_SECONDS = 1.0
"""A heartbeat is on the disk within half a second; with some slack."""


@dataclass
class Machine:
    """A machine without an agent: we hold its control channel and beat."""

    key: str
    beaten_at: float = 0.0
    ended: str = ""


@dataclass
class Seen:
    """What the load was told."""

    answers: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    there: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    sessions: Counter[str] = field(default_factory=Counter)
    pulses: list[Pulse] = field(default_factory=list)
    machines: list[Machine] = field(default_factory=list)


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    with running_nodes() as found:
        yield found


class Writer:
    """One after the other: put a machine, read it, remove every second one, and sign in."""

    def __init__(self, cloud: ControlPlane, seen: Seen) -> None:
        self.cloud, self.seen = cloud, seen

    def call(self, method: str, path: str, body: object = None) -> int:
        answer = self.cloud.arm(method, path, body, version=VERSION)
        code = answer.body["error"]["code"] if answer.status >= 400 and answer.body else ""
        self.seen.answers[f"{method} {answer.status} {code}".strip()] += 1
        if answer.status >= 400 and (answer.status, code) != (503, "ServiceUnavailable"):
            self.seen.wrong.append(f"{method} {path}: {answer.status} {answer.body}")
        return answer.status

    def turn(self, number: int) -> None:
        path = (
            f"{self.cloud.subscription}/resourceGroups/{GROUP}/providers/{MACHINES}/{uuid.uuid4().hex[:12]}"
        )
        body = {"location": "local", "identity": {"type": "SystemAssigned"}, "properties": {}}
        if self.call("PUT", path, body) < 300:
            self.seen.there.add(path)
            self.call("GET", path)
        if number % 2 and path in self.seen.there:
            self.seen.there.discard(path)  # from now on it may be either way, until we are told
            if self.call("DELETE", path) < 300:
                self.seen.gone.add(path)
        self.sign_in()

    def sign_in(self) -> None:
        admin = self.cloud.admin
        form = {"grant_type": "client_credentials", "client_id": admin.client_id}
        form |= {"client_secret": admin.client_secret, "scope": f"{admin.url}/.default"}
        request = urllib.request.Request(
            f"{admin.url}/{admin.tenant}/oauth2/v2.0/token", urllib.parse.urlencode(form).encode()
        )
        answer = self.cloud._answer(request)
        error = answer.body.get("error", "")
        self.seen.answers[f"sign-in {answer.status} {error}".strip()] += 1
        if answer.status != 200 and (answer.status, error) != (503, "temporarily_unavailable"):
            self.seen.wrong.append(f"sign-in: {answer.status} {answer.body}")


async def write(cloud: ControlPlane, seen: Seen, over: asyncio.Event) -> None:
    writer, number = Writer(cloud, seen), 0
    while not over.is_set():
        await asyncio.to_thread(writer.turn, number)
        number += 1


async def begin_sessions(nodes: Nodes, target: Target, seen: Seen, over: asyncio.Event) -> None:
    """Begin a session again and again; each is served, or refused with 503."""
    while not over.is_set():
        try:
            tunnel = await connect(nodes.balancer.port, target)
            await tunnel.send(b"hello")
            assert await tunnel.exactly(5) == b"hello"
            await tunnel.close()
            seen.sessions["served"] += 1
        except Refused as refused:
            seen.sessions[str(refused)] += 1
        await asyncio.sleep(0.1)


async def beat(machine: Machine, channel: Tunnel, over: asyncio.Event) -> None:
    """Send heartbeats on a control channel until the load is over."""

    async def drain() -> None:
        try:
            while True:
                await channel.read()
        except Exception as error:
            machine.ended = str(error)

    reading = asyncio.ensure_future(drain())
    number = 0
    while not over.is_set():
        number += 1
        body = {"agentVersion": "1.0", "sequence": number, "factsDigest": "0"}
        machine.beaten_at = time.time()
        await channel.send(heartbeat_message(body).encode(), websocket.TEXT)
        await asyncio.sleep(BEAT_SECONDS)
    await asyncio.sleep(FLUSHED_SECONDS)
    reading.cancel()
    with suppress(asyncio.CancelledError):
        await reading
    channel.drop()


def machine_without_agent(cloud: ControlPlane, number: int) -> tuple[Machine, str]:
    path = f"{cloud.subscription}/resourceGroups/{GROUP}/providers/{MACHINES}/beats{number}"
    body = {"location": "local", "identity": {"type": "SystemAssigned"}, "properties": {}}
    made = cloud.arm("PUT", path, body, version=VERSION)
    assert made.status < 300, made.body
    return Machine(path.lower()), hybrid_connection_path(made.body["identity"]["principalId"])


async def open_channels(nodes: Nodes, seen: Seen, over: asyncio.Event) -> list[asyncio.Task[None]]:
    key = (nodes.one.data / "keys" / "relay.key").read_bytes()
    credentials = RelayCredentials(key, f"localhost:{nodes.balancer.port}")
    trust = ssl.create_default_context(cafile=str(nodes.one.admin.ca_file))
    tasks = []
    for number in range(LISTENERS):
        machine, path = await asyncio.to_thread(machine_without_agent, nodes.one, number)
        token = credentials.listen_credentials(path, 600, time.time())[0]
        node = (nodes.one, nodes.two)[number % 2]
        channel = await listen(node.port, path, token, trust)
        seen.machines.append(machine)
        tasks.append(asyncio.ensure_future(beat(machine, channel, over)))
    return tasks


async def restart(nodes: Nodes, how: str) -> None:
    await asyncio.to_thread(nodes.server.stop, how)
    await asyncio.sleep(AWAY_SECONDS)
    await asyncio.to_thread(nodes.server.start)


async def play(nodes: Nodes, machine: Connection, listener: socket.socket) -> Seen:
    """Run all of the load while the database crashes once and is restarted once."""
    seen, over = Seen(), asyncio.Event()
    target = target_of(nodes.one, machine.host, listener.getsockname()[1])
    async with echoing(listener), pulsing() as hold:
        for number in range(OPEN):
            node = (nodes.one, nodes.two)[number % 2]
            nodes.prefer(node)
            opened = await (real_tunnel(machine) if number < REAL else connect(node.port, target))
            seen.pulses.append(hold(opened))
        nodes.prefer(nodes.one, nodes.two)
        nodes.balancer.spread = True
        tasks = await open_channels(nodes, seen, over)
        tasks += [asyncio.ensure_future(write(nodes.one, seen, over)) for _ in range(WRITERS)]
        tasks.append(asyncio.ensure_future(begin_sessions(nodes, target, seen, over)))
        try:
            for how in ("immediate", "fast"):
                await asyncio.sleep(2.0)
                await restart(nodes, how)
            await asyncio.sleep(3.0)
        finally:
            over.set()
            await asyncio.gather(*tasks)
    return seen


def test_postgresql_restarts_under_load_and_nothing_is_lost(nodes: Nodes, sshd: Sshd) -> None:
    listener = reserved_port()
    machine = connected(nodes, "steady", sshd, listener.getsockname()[1])
    try:
        seen = asyncio.run(play(nodes, machine, listener))
        print("\n", dict(sorted(seen.answers.items())), dict(seen.sessions))
        print("rounds of open sessions:", sum(one.rounds for one in seen.pulses))
        assert seen.wrong == [], errors_of(nodes)
        assert [one.broken for one in seen.pulses if one.broken] == []
        assert min(one.rounds for one in seen.pulses) > 10
        assert [one.ended for one in seen.machines if one.ended] == []
        assert {text[:4] for text in seen.sessions} == {"serv", "503 "}
        assert sum(count for text, count in seen.answers.items() if " 503 " in text) > 0
        assert lost(nodes, seen) == []
        assert late(nodes, seen) == {}
        machine.agent.wait_connected(10)
        assert machine.ssh("echo after").stdout == "after\n"
    finally:
        machine.agent.stop()


def errors_of(nodes: Nodes) -> str:
    """What the nodes logged as their own errors."""
    lines = [line for node in (nodes.one, nodes.two) for line in node.child.said().splitlines()]
    return "\n".join(line for line in lines if '"level":"error"' in line)


def lost(nodes: Nodes, seen: Seen) -> list[str]:
    """What was acknowledged and is not so, at either node: a request may reach both."""

    def wrong(path: str, wanted: int) -> bool:
        return any(nodes.one.arm("GET", path, version=VERSION).status != wanted for _ in range(2))

    return [path for path in seen.there if wrong(path, 200)] + [
        path for path in seen.gone if wrong(path, 404)
    ]


def late(nodes: Nodes, seen: Seen) -> dict[str, float]:
    """How many seconds the database lacks of the last heartbeats."""
    rows: dict[str, float] = dict(nodes.query("SELECT machine_key, last_seen FROM presence"))
    behind = {one.key: one.beaten_at - rows.get(one.key, 0.0) for one in seen.machines}
    return {key: seconds for key, seconds in behind.items() if seconds > BEAT_SECONDS}
