"""``docs/how-to/run-command.md`` does what it shows, with the real ``az`` and a machine that runs it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from landbridge_server.testing import ControlPlane
from landbridge_wire.work_api import APPLY, WorkItem
from page_blocks import read
from real_az import Az
from running import CLONE, short_folder
from working_machine import WorkingMachine

pytestmark = [pytest.mark.az, pytest.mark.slow]

PAGE = CLONE / "docs/how-to/run-command.md"
SLEEP = {"source": {"script": "echo begun; sleep 600"}, "asyncExecution": True}


class Runner:
    """Carries out the run commands of a machine: a small agent."""

    def __init__(self, machine: WorkingMachine) -> None:
        self.machine = machine
        self.running: dict[str, tuple[WorkItem, subprocess.Popen[bytes], Path]] = {}

    async def run(self, folder: Path) -> None:
        """Ask for work again and again, and do it, until cancelled."""
        try:
            while True:
                for item in await self.machine.fetch():
                    await self.begin(item, folder)
                await self.look()
                await asyncio.sleep(0.1)
        finally:
            for _, child, _ in self.running.values():
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()

    async def begin(self, item: WorkItem, folder: Path) -> None:
        if item.kind != APPLY:
            for run, child, _ in self.running.values():
                if run.name == item.name:
                    os.killpg(child.pid, signal.SIGKILL)
            await self.look()
            await self.machine.report(item)
        elif item.id not in self.running:
            named = {one["name"]: one["value"] for one in item.properties.get("parameters", [])}
            printed = folder / item.id
            with printed.open("wb") as stdout:
                child = subprocess.Popen(
                    ["/bin/bash", "-c", item.properties["source"]["script"]],
                    env=os.environ | named,
                    stdout=stdout,
                    start_new_session=True,
                )
            self.running[item.id] = item, child, printed
            await self.machine.report(item, ended=False, executionState="Running")

    async def look(self) -> None:
        for item, child, printed in list(self.running.values()):
            ended = child.poll()
            text = await asyncio.to_thread(printed.read_bytes)
            await self.machine.output(item, text)
            if ended is not None:
                state = "Canceled" if ended < 0 else "Failed" if ended else "Succeeded"
                tail = text[-4096:].decode(errors="replace")
                await self.machine.report(item, executionState=state, exitCode=ended, output=tail)
                del self.running[item.id]


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[ControlPlane]:
    async with ControlPlane(tmp_path / "cloud", clock=time.time) as plane, plane.serving():
        plane.clock.now = time.time()
        yield plane


@pytest.fixture
async def machine(cloud: ControlPlane, tmp_path: Path) -> AsyncIterator[WorkingMachine]:
    made = WorkingMachine(cloud)
    await made.enrol()
    agent = asyncio.ensure_future(Runner(made).run(tmp_path))
    yield made
    agent.cancel()
    await asyncio.gather(agent, return_exceptions=True)


@pytest.fixture(params=["2.91"])
def az(request: pytest.FixtureRequest, cloud: ControlPlane) -> Any:
    folder = short_folder()
    yield Az(str(request.param), folder, cloud.config.data / "ca" / "root.pem")
    shutil.rmtree(folder)


async def sign_in(az: Az, cloud: ControlPlane) -> None:
    admin, url = cloud.admin, cloud.config.endpoints.resource_manager
    login = ("login", "--service-principal", "--tenant", admin["tenantId"])
    for words in (
        ("config", "set", "core.instance_discovery=false", "core.login_experience_v2=off"),
        ("cloud", "register", "-n", "Mine", "--endpoint-resource-manager", url),
        ("cloud", "set", "-n", "Mine"),
        (*login, "-u", admin["clientId"], "-p", admin["clientSecret"]),
    ):
        await asyncio.to_thread(az, *words)


async def paste(az: Az, machine: WorkingMachine, script: str) -> Any:
    """Run a block of the page as a reader does; return the JSON that it printed."""
    environment = az.environment | {
        "MACHINE": machine.id,
        "PATH": f"{az.program.parent}:{az.environment['PATH']}",
    }
    done = await asyncio.to_thread(
        subprocess.run,
        ["bash", "-euc", script],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr[-3000:]}"
    return json.loads(done.stdout) if done.stdout.strip() else None


async def until_running(cloud: ControlPlane, path: str) -> None:
    async with asyncio.timeout(20):
        state = ""
        while state != "Running":
            await asyncio.sleep(0.1)
            shown = (await cloud.arm("GET", path, version="2024-07-10")).json()
            state = shown["properties"]["instanceView"]["executionState"]


async def test_what_the_page_shows_works(az: Az, cloud: ControlPlane, machine: WorkingMachine) -> None:
    blocks, _ = read(PAGE.read_text(), az.version)
    create, show, output, cancel, delete = (block.text for block in blocks)
    await sign_in(az, cloud)
    made = await paste(az, machine, create)
    assert made["properties"]["provisioningState"] == "Succeeded"
    view = await paste(az, machine, show)
    assert (view["executionState"], view["exitCode"]) == ("Succeeded", 0)
    assert view["output"].endswith("you\n")
    page = await paste(az, machine, output)
    assert (page["content"], page["complete"]) == (view["output"], True)
    path = f"{machine.id}/runCommands/hello"
    body = {"location": "local", "properties": SLEEP}
    (await cloud.arm("PUT", path, body, version="2024-07-10")).raise_for_status()
    await until_running(cloud, path)
    live = await paste(az, machine, output)
    assert (live["content"], live["complete"]) == ("begun\n", False)
    await paste(az, machine, cancel)
    async with asyncio.timeout(10):
        while (await paste(az, machine, show))["executionState"] != "Canceled":
            pass
    await paste(az, machine, delete)
    assert (await cloud.arm("GET", path, version="2024-07-10")).status_code == 404
