"""The true control plane in process, with true ``azcmagent`` and ``himdsd`` processes beside it."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from landbridge_agent.paths import Paths
from landbridge_server.config import Address
from landbridge_server.testing import ControlPlane

GROUP = "machines"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Ran(NamedTuple):
    """How a command line ended."""

    code: int
    out: str
    err: str


class Agent:
    """One machine's agent, in a folder of its own."""

    def __init__(self, root: Path, cloud: ControlPlane, name: str) -> None:
        self.paths = Paths(root, True)
        self.cloud = cloud
        self.name = name
        self.environment = {**os.environ, "LANDBRIDGE_AGENT_ROOT": str(root)}
        self.id = (
            f"{cloud.subscription}/resourceGroups/{GROUP}/providers/Microsoft.HybridCompute/machines/{name}"
        )

    async def start(self, *words: str) -> asyncio.subprocess.Process:
        """Start ``azcmagent``."""
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-m", "landbridge_agent.cli.main", *words,
            env=self.environment, stdout=pipe, stderr=pipe,
        )  # fmt: skip

    async def run(self, *words: str) -> Ran:
        process = await self.start(*words)
        out, err = await process.communicate()
        return Ran(process.returncode or 0, out.decode(), err.decode())

    def connecting(self, *credentials: str) -> list[str]:
        """The words of a connect; without credentials, those of the administrator."""
        admin = self.cloud.admin
        who = list(credentials) or ["-i", admin["clientId"], "-p", admin["clientSecret"]]
        return [
            "connect", "--cloud", self.cloud.config.endpoints.resource_manager, "--ca-file", admin["caFile"],
            "--tenant-id", admin["tenantId"], "-s", admin["subscriptionId"],
            "-g", GROUP, "-l", "local", "-n", self.name, *who,
        ]  # fmt: skip

    async def connect(self, *credentials: str) -> Ran:
        return await self.run(*self.connecting(*credentials))

    async def show(self) -> dict[str, Any]:
        shown: dict[str, Any] = json.loads((await self.run("show", "--json")).out)
        return shown

    async def resource(self) -> Any:
        """The machine as ARM shows it."""
        return await self.cloud.arm("GET", self.id, version="2024-07-10")

    @asynccontextmanager
    async def himdsd(self) -> AsyncIterator[asyncio.subprocess.Process]:
        async with self.service("daemon.main") as process:
            yield process

    @asynccontextmanager
    async def extd(self) -> AsyncIterator[asyncio.subprocess.Process]:
        async with self.service("work.main") as process:
            yield process

    @asynccontextmanager
    async def service(self, module: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """A service of the agent; it is killed at the end."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-m", f"landbridge_agent.{module}", "-v", env=self.environment
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
            process._transport.close()  # type: ignore[attr-defined]

    async def until(self, status: str, seconds: float = 20.0) -> None:
        """Wait until ARM shows the machine with this status."""
        async with asyncio.timeout(seconds):
            while (await self.resource()).json()["properties"]["status"] != status:
                await asyncio.sleep(0.1)

    def leftovers(self) -> list[str]:
        """Files that a connect makes."""
        paths = (self.paths.agent_config, self.paths.identity, self.paths.pending, self.paths.cloud_ca)
        return [path.name for path in paths if path.exists()]


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[ControlPlane]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {"clock": time.time, "listen": Address("127.0.0.1", port)}
    async with ControlPlane(tmp_path / "cloud", **settings) as plane, plane.serving():
        plane.clock.now = time.time()  # secrets that it makes begin now
        yield plane


@pytest.fixture
def agent(cloud: ControlPlane, tmp_path: Path) -> Agent:
    return Agent(tmp_path / "machine", cloud, "m1")


@pytest.fixture
def other_agent(cloud: ControlPlane, tmp_path: Path) -> Agent:
    return Agent(tmp_path / "other", cloud, "m1")


@pytest.fixture
def make_agent() -> type[Agent]:
    """For tests that make their own cloud: folder, cloud and name make an agent."""
    return Agent
