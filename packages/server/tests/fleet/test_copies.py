"""Two computers, or two processes, that come with one machine's state."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from landbridge_server.fleet.copies import SHOWN_SECONDS, Copies
from landbridge_server.store import machines
from landbridge_wire.agent_api import SessionRequest
from landbridge_wire.errors import ArmError

VERSION = "2024-07-10"
PATH = "arc/machine"


@pytest.fixture
async def key(cloud):
    group = cloud.subscription + "/resourcegroups/servers"
    await cloud.arm("PUT", group, {"location": "local"})
    machine = f"{group}/providers/Microsoft.HybridCompute/machines/web1"
    properties = {"vmId": str(uuid.uuid4())}
    body = {"location": "local", "identity": {"type": "SystemAssigned"}, "properties": properties}
    assert (await cloud.arm("PUT", machine, body, version=VERSION)).status_code == 200
    return machine.lower()


@pytest.fixture
def alive():
    return {"answers": True, "asked": 0}


@pytest.fixture
def copies(cloud, alive):
    async def answers(path: str, seconds: float) -> bool:
        assert path == PATH and seconds > 0
        alive["asked"] += 1
        return alive["answers"]

    return Copies(cloud.plane.db, answers, cloud.clock)


def by(fingerprint: str, instance: str) -> SessionRequest:
    return SessionRequest("1.61.0.1", fingerprint, instance)


async def test_the_first_computer_stays_and_another_one_is_a_copy(copies, key):
    await copies.check(key, PATH, by("first", "a"))
    await copies.check(key, PATH, by("first", "a"))
    with pytest.raises(ArmError) as refused:
        await copies.check(key, PATH, by("second", "b"))
    assert refused.value.code == "MachineCloned"
    assert "--force-local-only" in refused.value.message
    await copies.check(key, PATH, by("first", "a"))


async def test_another_process_is_a_copy_while_the_first_answers(copies, key, alive):
    await copies.check(key, PATH, by("first", "a"))
    with pytest.raises(ArmError):
        await copies.check(key, PATH, by("first", "b"))
    alive["answers"] = False
    await copies.check(key, PATH, by("first", "b"))
    alive["answers"] = True
    with pytest.raises(ArmError):
        await copies.check(key, PATH, by("first", "a"))


async def test_nobody_is_asked_while_one_process_comes_again_and_again(copies, key, alive):
    for _ in range(3):
        await copies.check(key, PATH, by("first", "a"))
    assert alive["asked"] == 0


async def test_agents_that_say_nothing_of_themselves_go_on(copies, key):
    await copies.check(key, PATH, by("", ""))
    await copies.check(key, PATH, by("", ""))


async def test_a_machine_is_shown_as_cloned_until_its_copy_is_silent(cloud, key):
    copies = cloud.plane.copies
    with cloud.plane.db.writing() as connection:
        machines.set_fingerprint(connection, key, "first")
    with pytest.raises(ArmError):
        await copies.check(key, PATH, by("second", "b"))
    shown = (await cloud.arm("GET", key, version=VERSION)).json()["properties"]
    assert shown["statusReason"] == "Cloned"
    cloud.clock.advance(SHOWN_SECONDS + 1)
    assert "statusReason" not in (await cloud.arm("GET", key, version=VERSION)).json()["properties"]


async def test_many_processes_at_once_have_the_established_one_asked_once(cloud, key):
    asked, gate = [], asyncio.Event()

    async def answers(path: str, seconds: float) -> bool:
        asked.append(path)
        await gate.wait()
        return True

    copies = Copies(cloud.plane.db, answers, cloud.clock)
    await copies.check(key, PATH, by("first", "a"))
    others = [asyncio.ensure_future(copies.check(key, PATH, by("first", f"b{n}"))) for n in range(50)]
    await asyncio.sleep(0)
    gate.set()
    found = await asyncio.gather(*others, return_exceptions=True)
    assert {one.code for one in found} == {"MachineCloned"}
    assert asked == [PATH]
    with pytest.raises(ArmError):
        await copies.check(key, PATH, by("first", "c"))
    assert asked == [PATH, PATH]
