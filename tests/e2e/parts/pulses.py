"""Sessions that stay open and say something again and again, raw ones and OpenSSH's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from relay_client import Ended, Tunnel
from running import ENVIRONMENT, Connection

PULSE_SECONDS = 0.4


@dataclass
class Pulse:
    """What became of a session so far."""

    rounds: int = 0
    longest: float = 0.0
    broken: str = ""


class RealTunnel(Tunnel):
    """A session of OpenSSH: ``cat`` on the machine."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def send(self, data: bytes, opcode: int = 0) -> None:
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

    async def close(self) -> None:
        self.drop()
        await self._process.wait()


async def ssh(machine: Connection, *words: str) -> asyncio.subprocess.Process:
    """Start ``ssh`` with pipes."""
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        *machine.ssh_command, machine.host, *words,
        env=ENVIRONMENT, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip


async def real_tunnel(machine: Connection) -> RealTunnel:
    """Log in, and return once the machine answers."""
    tunnel = RealTunnel(await ssh(machine, "cat"))
    await tunnel.send(b"in\n")
    assert await tunnel.exactly(3) == b"in\n"
    return tunnel


async def _beat(pulse: Pulse, tunnel: Tunnel) -> None:
    try:
        while True:
            said = f"{id(pulse)} {pulse.rounds}\n".encode()
            began = time.monotonic()
            await tunnel.send(said)
            assert await tunnel.exactly(len(said)) == said
            pulse.longest = max(pulse.longest, time.monotonic() - began)
            pulse.rounds += 1
            await asyncio.sleep(PULSE_SECONDS)
    except (Ended, OSError) as error:
        pulse.broken = f"{error}" or type(error).__name__
    finally:
        tunnel.drop()


@asynccontextmanager
async def pulsing() -> AsyncIterator[Callable[[Tunnel], Pulse]]:
    """Yield what keeps a session busy until the block ends; every byte is compared."""
    tasks: list[asyncio.Task[None]] = []
    tunnels: list[Tunnel] = []

    def hold(tunnel: Tunnel) -> Pulse:
        pulse = Pulse()
        tunnels.append(tunnel)
        tasks.append(asyncio.ensure_future(_beat(pulse, tunnel)))
        return pulse

    try:
        yield hold
    finally:
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        for tunnel in tunnels:
            await tunnel.close()
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
