"""One of two nodes is killed while 100 sessions are open and 10 new ones begin each second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import pytest

from quickstart.programs import Children, wait_until
from relay_client import Ended, Refused, Target, Tunnel, connect, echoing, reserved_port, target_of
from running import ENVIRONMENT, Agent, Connection, ControlPlane, Sshd
from two_nodes import Nodes, running_nodes

pytestmark = [pytest.mark.ssh, pytest.mark.slow]

OPEN = 100
REAL = 4
"""So many of the open sessions, and one in ten of the new ones, are OpenSSH's."""

NEW_PER_SECOND = 10
BEFORE, AFTER = 3.0, 9.0
"""Seconds of load before and after the kill."""

REFUSED_SECONDS = 5.0
"""The promise."""

PULSE = 0.4


@dataclass
class Session:
    """An open session that says something every ``PULSE`` seconds and hears it back."""

    node: ControlPlane
    rounds: int = 0
    longest: float = 0.0
    broken: str = ""


@dataclass
class Attempt:
    """A new session: when it began and ended, and why it failed if it did."""

    began: float
    real: bool
    ended: float = 0.0
    failed: str = ""


@dataclass
class Scene:
    """What the coroutines share."""

    nodes: Nodes
    machines: list[Connection]
    targets: list[Target]
    sessions: list[Session] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    with running_nodes() as found:
        yield found


def connected(nodes: Nodes, name: str, sshd: Sshd, port: int) -> Connection:
    agent = Agent(nodes.one, name)
    agent.start_daemon()
    ports = f"{sshd.port},{port}"
    assert agent.run("config", "set", "incomingconnections.ports", ports).returncode == 0
    done = agent.connect()
    assert done.returncode == 0, done.stdout
    agent.wait_connected()
    return Connection(agent, sshd)


async def pulse(session: Session, tunnel: Tunnel) -> None:
    """Keep a session busy until it breaks or the test is over."""
    try:
        while True:
            said = f"{id(session)} {session.rounds}\n".encode()
            began = time.monotonic()
            await tunnel.send(said)
            assert await tunnel.exactly(len(said)) == said
            session.longest = max(session.longest, time.monotonic() - began)
            session.rounds += 1
            await asyncio.sleep(PULSE)
    except (Ended, OSError) as error:
        session.broken = f"{error}" or type(error).__name__
    finally:
        tunnel.drop()


class RealTunnel(Tunnel):
    """The same through OpenSSH: ``cat`` on the machine."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def send(self, data: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(data)
        await self._process.stdin.drain()

    async def exactly(self, count: int) -> bytes:
        assert self._process.stdout is not None
        try:
            return await self._process.stdout.readexactly(count)
        except asyncio.IncompleteReadError:
            raise Ended(f"ssh ended with {await self._process.wait()}") from None

    def drop(self) -> None:
        if self._process.returncode is None:
            self._process.kill()


async def ssh(machine: Connection, *words: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        *machine.ssh_command, machine.host, *words,
        env=ENVIRONMENT, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip


@asynccontextmanager
async def open_sessions(scene: Scene):
    """Hold half of the sessions at each node, and half of those at each machine."""
    nodes = scene.nodes
    tasks = []
    async with AsyncExitStack() as stack:
        for number in range(OPEN):
            node, which = (nodes.one, nodes.two)[number % 2], number // 2 % 2
            session = Session(node)
            if number < REAL:
                nodes.prefer(node)
                process = await ssh(scene.machines[which], "cat")
                stack.push_async_callback(process.wait)
                tunnel: Tunnel = RealTunnel(process)
                await tunnel.send(b"in\n")
                assert await tunnel.exactly(3) == b"in\n"
            else:
                tunnel = await connect(node.port, scene.targets[which])
            scene.sessions.append(session)
            tasks.append(asyncio.ensure_future(pulse(session, tunnel)))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            for outcome in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(outcome, Exception):
                    raise outcome


async def begin(scene: Scene, number: int) -> None:
    """Begin one new session, through the balancer, and see that it works."""
    attempt = Attempt(time.monotonic(), real=number % 10 == 0)
    scene.attempts.append(attempt)
    which = number // 2 % 2
    try:
        if attempt.real:
            process = await ssh(scene.machines[which], f"echo {number}")
            said, _ = await process.communicate()
            attempt.failed = "" if said == f"{number}\n".encode() else f"ssh ended with {process.returncode}"
        else:
            tunnel = await connect(scene.nodes.balancer.port, scene.targets[which])
            said = str(number).encode() * 100
            await tunnel.send(said)
            assert await tunnel.exactly(len(said)) == said
            await tunnel.close()
    except (Ended, Refused, OSError, EOFError) as error:
        attempt.failed = f"{type(error).__name__} {error}"
    attempt.ended = time.monotonic()


async def load(scene: Scene, seconds: float) -> None:
    """Begin new sessions at the promised rate, and wait for all of them."""
    began = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        for number in range(int(seconds * NEW_PER_SECOND)):
            await asyncio.sleep(max(0.0, began + number / NEW_PER_SECOND - time.monotonic()))
            tasks.create_task(begin(scene, number))


async def play(scene: Scene) -> float:
    """Run the load, kill the first node in its midst, and return when that was."""
    nodes = scene.nodes
    async with open_sessions(scene):
        nodes.prefer(nodes.one, nodes.two)
        nodes.balancer.spread = True
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(load(scene, BEFORE + AFTER))
            await asyncio.sleep(BEFORE)
            nodes.one.kill()
            killed = time.monotonic()
    return killed


def test_a_node_is_killed_and_the_sessions_of_the_other_do_not_notice(nodes: Nodes, sshd: Sshd) -> None:
    listener = reserved_port()
    port = listener.getsockname()[1]
    machines = []
    try:
        for name, node, other in (("held", nodes.one, nodes.two), ("apart", nodes.two, nodes.one)):
            nodes.prefer(node, other)
            machines.append(connected(nodes, name, sshd, port))
        where = {node: f"wss://127.0.0.1:{node.port}" for node in (nodes.one, nodes.two)}
        assert nodes.holders() == {"held": where[nodes.one], "apart": where[nodes.two]}
        scene = Scene(nodes, machines, [target_of(nodes.one, one.host, port) for one in machines])

        async def run() -> float:
            async with echoing(listener):
                return await play(scene)

        check(scene, asyncio.run(run()))
        wait_until(
            "both machines to be at the second node",
            lambda: nodes.holders() == dict.fromkeys(("held", "apart"), where[nodes.two]) or None,
            Children(), 10,
        )  # fmt: skip
    finally:
        for machine in machines:
            machine.agent.stop()


def check(scene: Scene, killed: float) -> None:
    """Compare what was seen with what is promised, and print the figures."""
    untouched = [one for one in scene.sessions if one.node is scene.nodes.two]
    lost = [one for one in scene.sessions if one.node is scene.nodes.one]
    failed = [one for one in scene.attempts if one.failed]
    after = [one for one in scene.attempts if one.began > killed and not one.failed]
    refused = max((one.ended for one in failed), default=killed) - killed
    print(
        f"\n{len(untouched)} sessions of the other node: {sum(one.rounds for one in untouched)} rounds, the "
        f"longest took {max(one.longest for one in untouched):.2f} s; {len(scene.attempts)} new sessions: "
        f"{len(failed)} failed, the last {refused:.2f} s after the kill; the longest that was held and then "
        f"served took {max(one.ended - one.began for one in after):.2f} s, the first was served "
        f"{min(one.ended for one in after) - killed:.2f} s after the kill"
    )
    for one in failed:
        print(f"  {one.began - killed:+.2f} s, {one.ended - one.began:.2f} s long: {one.failed}")
    assert [one.broken for one in untouched if one.broken] == []
    assert min(one.rounds for one in untouched) > AFTER / 2 / PULSE
    assert [one for one in lost if not one.broken] == []
    assert [one.failed for one in failed if one.ended < killed] == []
    assert refused <= REFUSED_SECONDS
    assert max(one.ended - one.began for one in after) <= REFUSED_SECONDS
