"""One of two nodes is killed while 100 sessions are open and 10 new ones begin each second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from pulses import PULSE_SECONDS, Pulse, pulsing, real_tunnel, ssh
from quickstart.programs import Children, wait_until
from relay_client import Ended, Refused, Target, Tunnel, connect, echoing, reserved_port, target_of
from running import Connection, Sshd
from two_nodes import Nodes, connected, running_nodes

pytestmark = [pytest.mark.ssh, pytest.mark.slow]

OPEN = 100
REAL = 4
"""So many of the open sessions, and one in ten of the new ones, are OpenSSH's."""

NEW_PER_SECOND = 10
BEFORE, AFTER = 3.0, 9.0
"""Seconds of load before and after the kill."""

REFUSED_SECONDS = 5.0
"""The promise."""


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
    untouched: list[Pulse] = field(default_factory=list)
    lost: list[Pulse] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    with running_nodes() as found:
        yield found


@asynccontextmanager
async def open_sessions(scene: Scene) -> AsyncIterator[None]:
    """Hold half of the sessions at each node, and half of those at each machine."""
    nodes = scene.nodes
    async with pulsing() as hold:
        for number in range(OPEN):
            node, which = (nodes.one, nodes.two)[number % 2], number // 2 % 2
            if number < REAL:
                nodes.prefer(node)
                tunnel: Tunnel = await real_tunnel(scene.machines[which])
            else:
                tunnel = await connect(node.port, scene.targets[which])
            (scene.untouched if node is nodes.two else scene.lost).append(hold(tunnel))
        yield


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
    untouched = scene.untouched
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
    assert min(one.rounds for one in untouched) > AFTER / 2 / PULSE_SECONDS
    assert [one for one in scene.lost if not one.broken] == []
    assert [one.failed for one in failed if one.ended < killed] == []
    assert refused <= REFUSED_SECONDS
    assert max(one.ended - one.began for one in after) <= REFUSED_SECONDS
