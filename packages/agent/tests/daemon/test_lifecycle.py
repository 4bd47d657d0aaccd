"""What befalls a machine over months: its certificate ends, it is moved, it is copied."""

from __future__ import annotations

import asyncio
import json
import shutil

import pytest

from landbridge_agent.daemon.control_plane import CLONED
from landbridge_agent.facts import fingerprint
from landbridge_agent.machine import Machine
from landbridge_agent.paths import Paths
from landbridge_wire import agent_api

MOVED = (
    "/subscriptions/22222222-2222-4222-8222-222222222222/resourceGroups/elsewhere"
    "/providers/Microsoft.HybridCompute/machines/renamed"
)
REFUSED = {"error": {"code": CLONED, "message": "Another agent is connected. Give this copy a name."}}


async def until(condition, seconds: float = 15.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.05)


@pytest.fixture
def show(azcmagent):
    def shown() -> dict:
        return json.loads(azcmagent.run("show", "--json").out)

    return shown


async def test_a_certificate_that_has_ended_brings_its_machine_back_by_itself(cloud, azcmagent, himdsd):
    cloud.certificate_days, cloud.certificate_age = -1.0, 100.0
    async with cloud.serving():
        assert (await azcmagent.connect()).code == 0
        cloud.certificate_days, cloud.certificate_age = 90.0, 0.01
        async with himdsd():
            await until(lambda: cloud.said("POST", agent_api.REJOINS))
            await until(lambda: b"BEGIN" in (Machine(azcmagent.paths).identity() or b""))
            await until(lambda: len(cloud.channels) == 1)
    assert "authorization" not in cloud.said("POST", agent_api.REJOINS)[0].headers


async def test_a_certificate_from_the_future_is_renewed_at_once(cloud, azcmagent, himdsd):
    async with cloud.serving():
        cloud.certificate_age = -30.0
        await azcmagent.connect()
        before = Machine(azcmagent.paths).identity()
        cloud.certificate_age = 0.01
        async with himdsd():
            await until(lambda: Machine(azcmagent.paths).identity() != before)
            await until(lambda: len(cloud.channels) == 1)
    assert len(cloud.said("POST", agent_api.CERTIFICATES)) == 1


async def test_a_machine_that_was_moved_takes_its_new_id_over(cloud, azcmagent, himdsd, show, monkeypatch):
    async with cloud.serving():
        await azcmagent.connect()
        session = cloud.session
        monkeypatch.setattr(
            cloud, "session", lambda: agent_api.Session(**{**session().to_json(), "resourceId": MOVED})
        )
        async with himdsd():
            await until(lambda: show()["resourceId"] == MOVED)
            shown = show()
    assert (shown["resourceName"], shown["resourceGroup"]) == ("renamed", "elsewhere")


async def test_a_copy_says_so_and_gets_no_tokens(cloud, azcmagent, himdsd, show):
    async with cloud.serving():
        await azcmagent.connect()
        cloud.answers[("POST", agent_api.SESSION)] = (409, REFUSED)
        async with himdsd():
            await until(lambda: show()["agentErrorCode"] == "AZCM0027")
            shown = show()
    assert shown["status"] == "Disconnected"
    assert "Give this copy a name" in shown["agentErrorDetails"]
    assert cloud.channels == []


async def test_a_session_tells_the_computer_and_the_process(cloud, azcmagent, himdsd):
    async with cloud.serving():
        await azcmagent.connect()
        for started in (1, 2):
            async with himdsd():
                await until(lambda n=started: len(cloud.said("POST", agent_api.SESSION)) >= n)
    first, second = (asked.json() for asked in cloud.said("POST", agent_api.SESSION)[:2])
    assert first["fingerprint"] == second["fingerprint"] == fingerprint.read(azcmagent.paths)
    assert first["instance"] != second["instance"]


def test_the_fingerprint_is_that_of_the_machine_id_and_not_the_id_itself(tmp_path):
    root = Paths(tmp_path, True)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    found = fingerprint.read(root)
    (tmp_path / "etc/machine-id").write_text("fedcba9876543210fedcba9876543210\n")
    assert len(found) == 64 and "0123456789abcdef" not in found
    assert fingerprint.read(root) != found
    shutil.rmtree(tmp_path / "etc")
    assert fingerprint.read(root) == fingerprint.read(Paths(root.root.__class__("/"), False))
