"""``landbridge run``, a process of its own, against machines with true ``himdsd`` and ``extd``."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(sys.executable).with_name("landbridge")


@pytest.fixture
async def fleet(cloud: Any, make_agent: Any, tmp_path: Path) -> Any:
    """Two connected machines with the tag ``role=web``."""
    await cloud.arm("PUT", f"{cloud.subscription}/resourceGroups/machines", {"location": "local"})
    async with AsyncExitStack() as stack:
        for name in ("m1", "m2"):
            agent = make_agent(tmp_path / name, cloud, name)
            assert (await agent.connect()).code == 0
            await stack.enter_async_context(agent.himdsd())
            await stack.enter_async_context(agent.extd())
            await agent.until("Connected")
            body = {"tags": {"role": "web"}}
            answer = await cloud.arm("PATCH", agent.id, body, version="2024-07-10")
            assert answer.status_code == 200, answer.text
        yield cloud


async def begun(cloud: Any, *arguments: str, home: Path) -> asyncio.subprocess.Process:
    argv = [str(PROGRAM), "run", "--data", str(cloud.config.data), *arguments]
    pipe, environment = asyncio.subprocess.PIPE, os.environ | {"HOME": str(home)}
    return await asyncio.create_subprocess_exec(*argv, stdout=pipe, stderr=pipe, env=environment)


async def test_two_machines_run_it_and_print_a_megabyte(fleet, tmp_path):
    words = ("sh", "-c", 'yes 0123456789abcde | head -c 1048576; echo; echo "it\'s $WHO"')
    options = ("--tag", "role=web", "--canary", "1", "--param", "WHO=me", "-o", "json")
    child = await begun(fleet, *options, "--", *words, home=tmp_path)
    out, error = await asyncio.wait_for(child.communicate(), 60)
    assert child.returncode == 0, error.decode()
    found = {one["machine"]: one for one in json.loads(out)}
    assert {name: (one["state"], one["exitCode"], one["lastLine"]) for name, one in found.items()} == {
        "m1": ("Succeeded", 0, "it's me"),
        "m2": ("Succeeded", 0, "it's me"),
    }
    assert "2 machines, 1 of them first" in error.decode()


async def test_an_interruption_kills_what_runs_on_the_machines(fleet, tmp_path):
    mark = tmp_path / "begun"
    words = ("sh", "-c", f"echo >> {mark}; sleep 600; echo >> {mark}")
    child = await begun(fleet, "--tag", "role=web", "-o", "json", "--", *words, home=tmp_path)
    async with asyncio.timeout(30):
        while not mark.exists() or len(mark.read_text()) < 2:
            await asyncio.sleep(0.05)
    child.send_signal(signal.SIGINT)
    out, error = await asyncio.wait_for(child.communicate(), 60)
    assert child.returncode == 130, error.decode()
    assert [one["state"] for one in json.loads(out)] == ["Canceled", "Canceled"]
    assert len(mark.read_text()) == 2
