"""A daemon's metadata and token service, and a client that asks it over loopback as programs do."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from landbridge_agent.daemon.identity_service import IdentityService
from landbridge_agent.daemon.log import Log
from landbridge_agent.local_socket import STATUS, NotAnswering, ask
from landbridge_agent.machine import Machine

SETTLE = 20.0
QUERY = "api-version=2020-06-01&resource=https://management.example/"
TOKEN = "/metadata/identity/oauth2/token"
METADATA = {"Metadata": "true"}


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: Any


class Local:
    """Speaks to one service."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def raw(self, data: bytes, host: str = "127.0.0.1") -> bytes:
        """Send bytes and return all that comes back."""
        reader, writer = await asyncio.open_connection(host, self.port)
        try:
            writer.write(data)
            return await asyncio.wait_for(reader.read(), SETTLE)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def get(self, path: str, headers: dict[str, str] | None = None, method: str = "GET") -> Answer:
        lines = {"Host": f"localhost:{self.port}", **(METADATA if headers is None else headers)}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value is not None)
        data = await self.raw(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode())
        top, _, body = data.decode().partition("\r\n\r\n")
        status, *rest = top.split("\r\n")
        pairs = dict(line.split(": ", 1) for line in rest)
        with contextlib.suppress(ValueError):
            return Answer(int(status.split(" ")[1]), pairs, json.loads(body))
        return Answer(int(status.split(" ")[1]), pairs, body)

    async def key(self, query: str = QUERY) -> tuple[Path, str]:
        """Get a challenge; return its file and what is in it."""
        answer = await self.get(f"{TOKEN}?{query}")
        assert answer.status == 401, answer
        path = Path(answer.headers["Www-Authenticate"].removeprefix("Basic realm="))
        return path, path.read_text()

    async def token(self, query: str = QUERY, **more: str) -> Answer:
        """Go the whole way."""
        _, key = await self.key(query)
        return await self.get(f"{TOKEN}?{query}", {**METADATA, "Authorization": f"Basic {key}", **more})


def status(paths):
    try:
        return ask(paths.socket, STATUS)
    except NotAnswering:
        return {}


async def until(condition, seconds=SETTLE):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def himdsd(paths):
    """A daemon, and a client of its service."""
    environment = {**os.environ, "LANDBRIDGE_AGENT_ROOT": str(paths.root)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-m", "landbridge_agent.daemon.main", "-v", env=environment
    )
    try:
        async with asyncio.timeout(SETTLE):
            while not (url := (await asyncio.to_thread(status, paths)).get("identityEndpoint")):
                await asyncio.sleep(0.05)
        yield Local(int(url.rpartition(":")[2]))
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        process._transport.close()


@contextlib.asynccontextmanager
async def in_process(paths):
    """The service in this process, of a machine that is not connected; and a client of it."""
    machine = Machine(paths)
    machine.prepare()
    log = Log(paths.daemon_log, io.StringIO(), time.time)
    service = IdentityService(machine, log, time.time, lambda: {"status": "Disconnected"})
    running = asyncio.ensure_future(service.run())
    try:
        await until(lambda: service.endpoint()["identityEndpoint"])
        yield Local(int(str(service.endpoint()["identityEndpoint"]).rpartition(":")[2]))
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def connected_machine(cloud, azcmagent):
    """A connected machine whose channel is open."""
    async with cloud.serving():
        ran = await azcmagent.connect()
        assert ran.code == 0, ran.err
        async with himdsd(azcmagent.paths) as local:
            await until(lambda: cloud.channels)
            yield local


@pytest.fixture
def served():
    """``async with served(paths) as local``: a daemon, and a client of its service."""
    return himdsd


@pytest.fixture
def serving():
    """``async with serving(paths) as local``: the service in this process, before any connect."""
    return in_process


@pytest.fixture
def connected(cloud, azcmagent):
    """``async with connected() as local``: the daemon of a connected machine whose channel is open."""
    return lambda: connected_machine(cloud, azcmagent)
