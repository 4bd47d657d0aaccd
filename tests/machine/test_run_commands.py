"""Run commands on a machine with true ``himdsd`` and ``extd`` beside it, through ARM."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from landbridge_agent.work import tree

VERSION = "2024-07-10"
SETTLE = 30.0


class Runs:
    """The run commands of one machine."""

    def __init__(self, agent: Any) -> None:
        self.agent, self.cloud = agent, agent.cloud

    def path(self, name: str) -> str:
        return f"{self.agent.id}/runCommands/{name}"

    async def put(self, name: str, script: str, **properties: Any) -> Any:
        body = {"location": "local", "properties": {"source": {"script": script}, **properties}}
        answer = await self.cloud.arm("PUT", self.path(name), body, version=VERSION)
        assert answer.status_code in (200, 201), answer.text
        return answer

    async def get(self, name: str) -> dict[str, Any]:
        answer = await self.cloud.arm("GET", self.path(name), version=VERSION)
        assert answer.status_code == 200, answer.text
        properties: dict[str, Any] = answer.json()["properties"]
        return properties

    async def until(self, name: str, *states: str, seconds: float = SETTLE) -> dict[str, Any]:
        """Wait until a run is in one of these states; return its view."""
        async with asyncio.timeout(seconds):
            while True:
                view: dict[str, Any] = (await self.get(name)).get("instanceView", {})
                if view.get("executionState") in states:
                    return view
                await asyncio.sleep(0.05)

    async def ended(self, name: str) -> dict[str, Any]:
        """Wait until the machine has reported an end; return the properties."""
        await self.until(name, "Succeeded", "Failed", "TimedOut", "Canceled")
        async with asyncio.timeout(SETTLE):
            while (found := await self.get(name))["provisioningState"] not in ("Succeeded", "Failed"):
                await asyncio.sleep(0.05)
        return found

    async def output(self, name: str, stream: str = "output") -> bytes:
        """Read all that a run has printed."""
        found = b""
        while True:
            body = {"stream": stream, "offset": len(found)}
            answer = await self.cloud.arm("POST", self.path(name) + "/readOutput", body, version=VERSION)
            assert answer.status_code == 200, answer.text
            page = answer.json()
            found += page["content"].encode()
            if page["complete"]:
                return found
            await asyncio.sleep(0.02)


@pytest.fixture
async def runs(cloud: Any, agent: Any) -> AsyncIterator[Runs]:
    await cloud.arm("PUT", f"{cloud.subscription}/resourceGroups/machines", {"location": "local"})
    assert (await agent.connect()).code == 0
    async with agent.himdsd(), agent.extd():
        await agent.until("Connected")
        yield Runs(agent)


async def test_a_script_runs_and_what_it_printed_and_how_it_ended_is_seen(runs):
    parameters = [{"name": "WHO", "value": "world"}, {"name": "", "value": "first"}]
    await runs.put("hello", 'echo "hello $WHO $1"; echo oops >&2; exit 3', parameters=parameters)
    found = await runs.ended("hello")
    view = found["instanceView"]
    assert found["provisioningState"] == "Succeeded"
    assert (view["executionState"], view["exitCode"]) == ("Failed", 3)
    assert (view["output"], view["error"]) == ("hello world first\n", "oops\n")


async def test_a_megabyte_arrives_whole_and_is_seen_while_it_is_printed(runs):
    script = "echo begun; sleep 2; yes 0123456789abcde | head -c 1048576; echo; echo done"
    await runs.put("much", script)
    body = {"stream": "output"}
    async with asyncio.timeout(SETTLE):
        while True:
            page = (
                await runs.cloud.arm("POST", runs.path("much") + "/readOutput", body, version=VERSION)
            ).json()
            if page["content"]:
                break
            await asyncio.sleep(0.05)
    assert page["content"] == "begun\n" and not page["complete"]
    found = await runs.ended("much")
    expected = b"begun\n" + b"0123456789abcde\n" * 65536 + b"\ndone\n"
    assert await runs.output("much") == expected
    assert found["instanceView"]["output"] == expected[-4096:].decode()


async def test_a_cancelled_one_is_dead_within_two_seconds_with_all_that_it_started(runs):
    script = "trap '' TERM; setsid bash -c 'sleep 1234 & sleep 1234' & echo here; sleep 1234"
    await runs.put("long", script)
    async with asyncio.timeout(SETTLE):
        while not await running():
            await asyncio.sleep(0.05)
    await runs.until("long", "Running")
    began = time.monotonic()
    answer = await runs.cloud.arm("POST", runs.path("long") + "/cancel", version=VERSION)
    assert answer.status_code == 202, answer.text
    while await running():
        assert time.monotonic() - began < 10
        await asyncio.sleep(0.02)
    took = time.monotonic() - began
    view = (await runs.ended("long"))["instanceView"]
    assert view["executionState"] == "Canceled" and view["output"] == "here\n"
    assert took < 2.0


async def running() -> set[int]:
    """The processes of the test's long script."""
    return await asyncio.to_thread(_running)


def _running() -> set[int]:
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes() == b"sleep\0001234\0":
                found.add(int(path.parent.name))
        except OSError:
            continue
    return {pid for pid in found if tree.start_time(pid)}


async def test_deleting_a_run_command_ends_its_run(runs):
    await runs.put("gone", "sleep 1234")
    async with asyncio.timeout(SETTLE):
        while not await running():
            await asyncio.sleep(0.05)
    answer = await runs.cloud.arm("DELETE", runs.path("gone"), version=VERSION)
    assert answer.status_code == 202
    async with asyncio.timeout(SETTLE):
        while (await runs.cloud.arm("GET", runs.path("gone"), version=VERSION)).status_code != 404:
            await asyncio.sleep(0.05)
    assert not await running()
    assert not (runs.agent.paths.run_commands / "download/gone").exists()


async def test_one_that_takes_too_long_has_timed_out(runs):
    await runs.put("slow", "echo begun; sleep 1234", timeoutInSeconds=1)
    view = (await runs.ended("slow"))["instanceView"]
    assert view["executionState"] == "TimedOut" and "longer than 1 second" in view["executionMessage"]
    assert view["output"] == "begun\n" and not await running()


async def test_an_asynchronous_one_has_succeeded_when_it_has_started_and_is_told_about_to_its_end(runs):
    await runs.put("later", "sleep 3; echo over", asyncExecution=True)
    async with asyncio.timeout(SETTLE):
        while (await runs.get("later"))["provisioningState"] != "Succeeded":
            await asyncio.sleep(0.05)
    assert (await runs.get("later"))["instanceView"]["executionState"] == "Running"
    view = await runs.until("later", "Succeeded")
    assert view["output"] == "over\n"


async def test_a_newer_run_of_the_same_name_ends_the_older(runs):
    await runs.put("twice", "sleep 1234")
    async with asyncio.timeout(SETTLE):
        while not await running():
            await asyncio.sleep(0.05)
    await runs.put("twice", "echo newer")
    view = await runs.until("twice", "Succeeded")
    assert view["output"] == "newer\n" and not await running()


async def test_what_the_machine_forbids_is_refused_with_its_rule(runs):
    blocked = "Microsoft.CPlat.Core/RunCommandHandlerLinux"
    assert (await runs.agent.run("config", "set", "extensions.blocklist", blocked)).code == 0
    await runs.put("denied", "echo no")
    found = await runs.ended("denied")
    assert found["provisioningState"] == "Failed"
    assert "extensions.blocklist" in found["instanceView"]["executionMessage"]
    assert found["instanceView"].get("output", "") == ""


async def test_a_disconnect_ends_what_runs_and_forgets_it(runs):
    await runs.put("left", "sleep 1234")
    async with asyncio.timeout(SETTLE):
        while not await running():
            await asyncio.sleep(0.05)
    assert (await runs.agent.run("disconnect", "--force-local-only")).code == 0
    async with asyncio.timeout(SETTLE):
        while await running() or list((runs.agent.paths.work / "work").iterdir()):
            await asyncio.sleep(0.05)
    assert not list(runs.agent.paths.run_commands.glob("download/*"))
