"""200 sessions of one machine move 64 MiB each at once, within a stated memory."""

from __future__ import annotations

import asyncio
import hashlib
import random
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from pulses import ssh
from relay_client import READ, Tunnel, connect, reserved_port, target_of
from running import Agent, Connection, ControlPlane, Sshd

pytestmark = [pytest.mark.soak, pytest.mark.ssh, pytest.mark.timeout(1200)]

SESSIONS, REAL, STUCK = 200, 4, 4
"""All of them, those of OpenSSH among them, and those that somebody does not read."""

STUCK_SECONDS = 120.0
"""Longer than the agent takes the relay's silence for."""

SIZE = 64 * 1024 * 1024
FRAME = 256 * 1024
LANDBRIDGE_MIB, HIMDSD_MIB = 384, 300
"""The bound: what each process may have resident at its peak (seen: 309 and 229)."""

CONTENT = random.Random(64).randbytes(SIZE)


def rotated(number: int, start: int, length: int) -> bytes:
    """Return a part of the stream that belongs to a session: no two are alike."""
    at = (number * 8191 + start) % SIZE
    return (CONTENT[at : at + length] + CONTENT[: max(0, at + length - SIZE)])[: min(length, SIZE - start)]


async def take(read, number: int) -> None:
    """Read a session's whole stream and compare every byte."""
    taken = 0
    while taken < SIZE:
        data = await read()
        assert data, f"session {number} ended after {taken} bytes"
        assert data == rotated(number, taken, len(data)), f"session {number} differs after {taken} bytes"
        taken += len(data)
    assert taken == SIZE


@asynccontextmanager
async def serving(listener: socket.socket) -> AsyncIterator[None]:
    """The service on the machine: ``get N`` sends a stream, ``put N`` takes one, ``wait`` reads nothing."""
    problems: list[Exception] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            verb, _, number = (await reader.readline()).decode().strip().partition(" ")
            if verb == "get":
                for start in range(0, SIZE, FRAME):
                    writer.write(rotated(int(number), start, FRAME))
                    await writer.drain()
                await reader.read(1)
            elif verb == "put":
                await take(lambda: reader.read(READ), int(number))
                writer.write(b"taken\n")
                await writer.drain()
                await reader.read(1)
            else:
                await asyncio.sleep(1200)
        except (OSError, asyncio.CancelledError):
            pass
        except Exception as error:
            problems.append(error)
        finally:
            writer.transport.abort()

    async with await asyncio.start_server(serve, sock=listener, limit=READ):
        yield
    assert problems == []


async def move(tunnel: Tunnel, number: int) -> None:
    """Move one stream: up when the number is odd, else down."""
    if number % 2 == 0:
        await tunnel.send(f"get {number}\n".encode())
        await take(tunnel.read, number)
    else:
        await tunnel.send(f"put {number}\n".encode())
        for start in range(0, SIZE, FRAME):
            await tunnel.send(rotated(number, start, FRAME))
        assert await tunnel.exactly(6) == b"taken\n"
    await tunnel.close()


async def move_by_ssh(machine: Connection, number: int, ready: asyncio.Event) -> None:
    """The same through OpenSSH, with the digest of all bytes."""
    make = f"head -c {SIZE} /dev/zero | openssl enc -aes-128-ctr -pass pass:{number} -nosalt -pbkdf2"
    process = await ssh(machine, f"echo in; read go; {make}")
    assert process.stdout is not None
    assert process.stdin is not None
    assert await process.stdout.readline() == b"in\n"
    await ready.wait()
    process.stdin.write(b"go\n")
    seen = hashlib.sha256()
    while block := await process.stdout.read(READ):
        seen.update(block)
    assert await process.wait() == 0
    local = await asyncio.create_subprocess_exec(
        "sh", "-c", f"{make} | sha256sum", stdout=asyncio.subprocess.PIPE
    )
    assert seen.hexdigest() == (await local.communicate())[0].decode().split()[0]


async def stick(tunnel: Tunnel, number: int, over: asyncio.Event) -> None:
    """Have the machine send what nobody reads until the end, or send what the machine never reads."""
    if number % 2 == 0:
        await tunnel.send(b"get 0\n")
        await over.wait()
        await take(tunnel.read, 0)
        return
    await tunnel.send(b"wait\n")
    while True:
        await tunnel.send(bytes(FRAME))


def peak_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))) / 1024


@pytest.fixture
def machine(cloud: ControlPlane, sshd: Sshd) -> Iterator[tuple[Connection, socket.socket]]:
    """A machine that lets the relay reach sshd and our service."""
    listener = reserved_port()
    agent = Agent(cloud, "busy")
    try:
        agent.start_daemon()
        ports = f"{sshd.port},{listener.getsockname()[1]}"
        assert agent.run("config", "set", "incomingconnections.ports", ports).returncode == 0
        assert agent.connect().returncode == 0
        agent.wait_connected()
        yield Connection(agent, sshd), listener
    finally:
        agent.stop()
        listener.close()


async def play(machine: Connection, listener: socket.socket) -> float:
    """Open all sessions, then let all of them move at once; return the seconds of the moving."""
    cloud = machine.agent.cloud
    target = target_of(cloud, machine.host, listener.getsockname()[1])
    ready, over = asyncio.Event(), asyncio.Event()
    async with serving(listener):
        stuck = [await connect(cloud.port, target) for _ in range(STUCK)]
        sticking = [asyncio.ensure_future(stick(tunnel, number, over)) for number, tunnel in enumerate(stuck)]
        stuck_at = time.monotonic()
        real = [asyncio.ensure_future(move_by_ssh(machine, number, ready)) for number in range(REAL)]
        tunnels = [await connect(cloud.port, target) for _ in range(SESSIONS - STUCK - REAL)]
        await asyncio.sleep(2.0)
        began = time.monotonic()
        ready.set()
        await asyncio.gather(*real, *(move(tunnel, number) for number, tunnel in enumerate(tunnels)))
        took = time.monotonic() - began
        await asyncio.sleep(max(0.0, stuck_at + STUCK_SECONDS - time.monotonic()))
        assert [repr(task.exception()) for task in sticking if task.done()] == []
        over.set()
        await asyncio.gather(*sticking[::2])
        assert [repr(task.exception()) for task in sticking[1::2] if task.done()] == []
        for task, tunnel in zip(sticking, stuck, strict=True):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            tunnel.drop()
    return took


def test_two_hundred_sessions_move_64_mib_each_within_a_stated_memory(
    machine: tuple[Connection, socket.socket],
) -> None:
    connection, listener = machine
    assert connection.agent.daemon is not None
    pids = {
        "landbridge": connection.agent.cloud.child.process.pid,
        "himdsd": connection.agent.daemon.process.pid,
    }
    before = {name: peak_mib(pid) for name, pid in pids.items()}
    took = asyncio.run(play(connection, listener))
    after = {name: peak_mib(pid) for name, pid in pids.items()}
    moved = (SESSIONS - STUCK) * SIZE / 2**20
    print(f"\n{moved:.0f} MiB in {took:.0f} s; peak MiB before {before}, after {after}")
    assert after["landbridge"] <= LANDBRIDGE_MIB
    assert after["himdsd"] <= HIMDSD_MIB
