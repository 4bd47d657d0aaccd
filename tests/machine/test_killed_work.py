"""Whatever is killed at whatever moment, nothing runs twice and each operation ends once, honestly."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from landbridge_agent.work import tree

VERSION = "2024-07-10"
SETTLE = 120.0
ENDS = ("Succeeded", "Failed", "Canceled")


class Services:
    """``himdsd`` and ``extd`` of one agent, started again whenever they are killed."""

    def __init__(self, agent: Any, chance: random.Random) -> None:
        self.agent, self.chance = agent, chance
        self.running: dict[str, asyncio.subprocess.Process] = {}
        self.kills: Counter[str] = Counter()

    async def keep(self, module: str) -> None:
        while True:
            async with self.agent.service(module) as process:
                self.running[module] = process
                await process.wait()

    def kill(self) -> None:
        """Kill one at random: a daemon, the queue, a worker, or what a worker runs."""
        what = self.chance.choice(["daemon.main", "work.main", "worker", "script"])
        if what in ("worker", "script"):
            found = self._workers() if what == "worker" else self._scripts()
            if not found:
                return
            pid = self.chance.choice(found)
        else:
            pid = self.running[what].pid
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        self.kills[what] += 1

    def _workers(self) -> list[int]:
        found = []
        root = str(self.agent.paths.root).encode()
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                line = path.read_bytes()
            except OSError:
                continue
            if b"landbridge_agent.work.worker" in line and root in line:
                found.append(int(path.parent.name))
        return found

    def _scripts(self) -> list[int]:
        workers, found = set(self._workers()), []
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text("utf-8", "replace").rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) in workers:
                found.append(int(path.parent.name))
        return found


class Work:
    """What is asked of the machine, and what became of it."""

    def __init__(self, agent: Any, marks: Path) -> None:
        self.agent, self.cloud, self.marks = agent, agent.cloud, marks
        self.operations: dict[str, str] = {}

    def script(self, name: str) -> str:
        return f"echo {name} >> {self.marks}; echo begun; sleep 0.$((RANDOM % 6)); echo {name} done"

    async def ask(self, number: int) -> None:
        """Ask for a run or an installation; every seventh for the same name again."""
        name = f"w{number}"
        if number % 4 == 3:
            path = f"{self.agent.id}/extensions/custom"
            properties: dict[str, Any] = {
                "publisher": "Microsoft.Azure.Extensions",
                "type": "CustomScript",
                "typeHandlerVersion": "2.1",
                "settings": {"commandToExecute": self.script(name)},
            }
        else:
            path = f"{self.agent.id}/runCommands/run{number // 7 if number % 7 == 6 else number}"
            properties = {"source": {"script": self.script(name)}}
        body = {"location": "local", "properties": properties}
        answer = await self.cloud.arm("PUT", path, body, version=VERSION)
        assert answer.status_code in (200, 201, 202), answer.text
        self.operations[name] = answer.headers["azure-asyncoperation"]

    async def change_mind(self, number: int) -> None:
        """Cancel a run that was asked for lately, or delete it; it may have ended, or be a custom script."""
        path, name = f"{self.agent.id}/runCommands/run{number}", f"end of {number}"
        if number % 2:
            answer = await self.cloud.arm("POST", f"{path}/cancel", version=VERSION)
        else:
            answer = await self.cloud.arm("DELETE", path, version=VERSION)
        assert answer.status_code in (202, 204, 404, 409), answer.text
        if answer.status_code == 202:
            self.operations[name] = answer.headers["azure-asyncoperation"]

    async def results(self) -> dict[str, dict[str, Any]]:
        """Wait until every operation has ended; return how."""
        found: dict[str, dict[str, Any]] = {}
        async with asyncio.timeout(SETTLE):
            for name, url in self.operations.items():
                while True:
                    path = "/" + url.split("/", 3)[3].partition("?")[0]
                    answer = (await self.cloud.arm("GET", path, version=VERSION)).json()
                    if answer["status"] in ENDS:
                        found[name] = answer
                        break
                    await asyncio.sleep(0.1)
        return found


KILLS = [
    pytest.param(12, marks=pytest.mark.timeout(120)),
    pytest.param(100, marks=[pytest.mark.soak, pytest.mark.timeout(900)]),
]


@pytest.mark.parametrize("kills", KILLS)
async def test_each_operation_ends_once_and_nothing_runs_twice(cloud, agent, tmp_path, kills):
    chance = random.Random(kills)
    await cloud.arm("PUT", f"{cloud.subscription}/resourceGroups/machines", {"location": "local"})
    assert (await agent.connect()).code == 0
    services, work = Services(agent, chance), Work(agent, tmp_path / "marks")
    keeping = [asyncio.ensure_future(services.keep(one)) for one in ("daemon.main", "work.main")]
    number = 0
    try:
        await agent.until("Connected")
        while services.kills.total() < kills:
            await work.ask(number)
            number += 1
            await asyncio.sleep(chance.uniform(0.0, 0.9))
            if chance.random() < 0.2:
                await work.change_mind(number - chance.choice([1, 2]))
            services.kill()
        results = await work.results()
        # Whoever is still about to come back would run a second time now.
        await asyncio.sleep(2.0)
    finally:
        for task in keeping:
            task.cancel()
        await asyncio.gather(*keeping, return_exceptions=True)
    ran = Counter(work.marks.read_text().split())
    print(dict(services.kills), Counter(one["status"] for one in results.values()), ran.most_common(3))
    assert [name for name, times in ran.items() if times > 1] == []
    assert len(results) == len(work.operations) >= number
    for name, result in results.items():
        if result["status"] != "Succeeded":
            assert result["error"]["message"], (name, result)
    await seen_as_it_was(work, results, ran)
    assert not list((agent.paths.work / "work").iterdir())
    assert not await asyncio.to_thread(left, agent)


async def seen_as_it_was(work: Work, results: dict[str, dict[str, Any]], ran: Counter[str]) -> None:
    """What the resources say of the newest runs is what happened."""
    listed = (await work.cloud.arm("GET", f"{work.agent.id}/runCommands", version=VERSION)).json()["value"]
    for one in listed:
        view = one["properties"]["instanceView"]
        assert one["properties"]["provisioningState"] in ENDS, one
        assert view["executionState"] in ("Succeeded", "Failed", "Canceled"), one
        last = one["properties"]["source"]["script"].split()[1]
        if view["executionState"] == "Succeeded":
            assert ran[last] == 1 and view["output"].endswith(f"{last} done\n"), one
        else:
            # A worker may be killed when its script has just ended: then nobody knows how it ended.
            assert view["executionMessage"] and ran[last] <= 1, one


def left(agent: Any) -> list[str]:
    """Processes of any work that still live."""
    mark, found = f"{tree.WORK_ID}=".encode(), []
    root = f"LANDBRIDGE_AGENT_ROOT={agent.paths.root}".encode()
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            content = path.read_bytes()
        except OSError:
            continue
        if mark in content and root in content:
            found.append((path.parent / "cmdline").read_bytes().decode())
    return found
