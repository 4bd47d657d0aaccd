"""Newer writes, removals, and what becomes of work whose machine goes: the states stay true."""

from __future__ import annotations

from landbridge_server.store import protected
from landbridge_server.store import work as stored_work
from landbridge_server.testing import ControlPlane
from landbridge_wire.errors import ArmError

MACHINE = "resourceGroups/demo/providers/Microsoft.HybridCompute/machines/web1"
EXTENSION = f"{MACHINE}/extensions/script"
BODY = {
    "location": "local",
    "properties": {
        "publisher": "Microsoft.Azure.Extensions",
        "type": "CustomScript",
        "settings": {"commandToExecute": "id"},
        "protectedSettings": {"storageAccountKey": "hunter2"},
    },
}


async def status_of(arm, answer):
    return (await arm("GET", answer.headers["azure-asyncoperation"], version="")).json()


async def test_a_newer_write_takes_the_place_of_one_that_nobody_fetched(arm, agent):
    first = await arm("PUT", EXTENSION, BODY)
    changed = BODY | {"properties": BODY["properties"] | {"forceUpdateTag": "2"}}
    second = await arm("PUT", EXTENSION, changed)
    status = await status_of(arm, first)
    assert (status["status"], status["error"]["code"]) == ("Failed", "OperationPreempted")
    assert (await status_of(arm, second))["status"] == "InProgress"
    assert len(agent.fetch()) == 1


async def test_a_newer_write_comes_after_one_that_the_machine_has_begun(arm, agent):
    first = await arm("PUT", EXTENSION, BODY)
    agent.fetch()
    changed = BODY | {"properties": BODY["properties"] | {"forceUpdateTag": "2"}}
    second = await arm("PUT", EXTENSION, changed)
    older, newer = agent.fetch()
    agent.report(older)
    assert (await status_of(arm, first))["status"] == "Succeeded"
    assert (await arm("GET", EXTENSION)).json()["properties"]["provisioningState"] == "Updating"
    agent.report(newer)
    assert (await status_of(arm, second))["status"] == "Succeeded"
    assert (await arm("GET", EXTENSION)).json()["properties"]["provisioningState"] == "Succeeded"


async def test_a_removal_waits_for_the_machine(arm, agent):
    await arm("PUT", EXTENSION, BODY)
    agent.report(agent.fetch()[0])
    answer = await arm("DELETE", EXTENSION)
    assert (answer.status_code, answer.content) == (202, b"")
    assert (await arm("GET", EXTENSION)).json()["properties"]["provisioningState"] == "Deleting"
    again = await arm("DELETE", EXTENSION)
    assert again.headers["location"] == answer.headers["location"]
    agent.report(agent.fetch()[0])
    assert (await status_of(arm, answer))["status"] == "Succeeded"
    assert (await arm("GET", answer.headers["location"], version="")).status_code == 200
    assert (await arm("GET", EXTENSION)).status_code == 404
    assert (await arm("DELETE", EXTENSION)).status_code == 204


async def test_a_removal_that_fails_leaves_the_extension_there(arm, agent):
    await arm("PUT", EXTENSION, BODY)
    agent.report(agent.fetch()[0])
    answer = await arm("DELETE", EXTENSION)
    agent.report(agent.fetch()[0], error=ArmError("OperationNotAllowed", "uninstall: exit 1"))
    assert (await status_of(arm, answer))["error"]["message"] == "uninstall: exit 1"
    assert (await arm("GET", EXTENSION)).json()["properties"]["provisioningState"] == "Failed"


async def test_a_write_after_an_unfetched_removal_takes_it_back(arm, agent):
    await arm("PUT", EXTENSION, BODY)
    agent.report(agent.fetch()[0])
    gone = await arm("DELETE", EXTENSION)
    changed = BODY | {"properties": BODY["properties"] | {"forceUpdateTag": "2"}}
    assert (await arm("PUT", EXTENSION, changed)).status_code == 202
    assert (await status_of(arm, gone))["error"]["code"] == "OperationPreempted"
    agent.report(agent.fetch()[0])
    assert (await arm("GET", EXTENSION)).json()["properties"]["provisioningState"] == "Succeeded"


async def test_a_write_after_a_removal_has_begun_makes_it_anew(arm, agent):
    await arm("PUT", EXTENSION, BODY)
    agent.report(agent.fetch()[0])
    await arm("DELETE", EXTENSION)
    (removal,) = agent.fetch()
    changed = BODY | {"properties": BODY["properties"] | {"forceUpdateTag": "2"}}
    await arm("PUT", EXTENSION, changed)
    agent.report(removal)
    assert (await arm("GET", EXTENSION)).json()["properties"]["provisioningState"] == "Creating"
    agent.report(agent.fetch()[0])
    assert (await arm("GET", EXTENSION)).json()["properties"]["provisioningState"] == "Succeeded"


async def test_what_no_machine_ever_had_goes_at_once(arm, cloud):
    await arm.group()
    await arm.machine()
    creation = await arm("PUT", EXTENSION, BODY)
    answer = await arm("DELETE", EXTENSION)
    assert answer.status_code == 202
    assert (await status_of(arm, answer))["status"] == "Succeeded"
    assert (await status_of(arm, creation))["error"]["code"] == "OperationPreempted"
    assert (await arm("GET", EXTENSION)).status_code == 404
    key = f"{cloud.subscription}/{EXTENSION}".lower()
    with cloud.plane.db.reading() as connection:
        assert protected.get(connection, key) == ""
        assert stored_work.of_target(connection, key) == []


async def test_when_the_machine_goes_nothing_waits_any_longer(arm, cloud, agent):
    await arm("PUT", EXTENSION, BODY)
    agent.report(agent.fetch()[0])
    removal = await arm("DELETE", EXTENSION)
    creation = await arm("PUT", f"{MACHINE}/extensions/other", BODY)
    agent.fetch()
    assert (await arm("DELETE", MACHINE)).status_code == 200
    assert (await status_of(arm, removal))["status"] == "Succeeded"
    status = await status_of(arm, creation)
    assert (status["status"], status["error"]["code"]) == ("Failed", "OperationPreempted")
    assert "deleted" in status["error"]["message"]
    with cloud.plane.db.reading() as connection:
        assert stored_work.of_machine(connection, agent.key) == []
        assert protected.get(connection, f"{agent.key}/extensions/other") == ""


async def test_when_the_group_goes_nothing_waits_any_longer(arm, cloud, agent):
    accepted = await arm("PUT", EXTENSION, BODY)
    await arm("DELETE", "resourcegroups/demo")
    await cloud.plane.settle()
    assert (await status_of(arm, accepted))["status"] == "Failed"
    with cloud.plane.db.reading() as connection:
        assert stored_work.of_machine(connection, agent.key) == []


async def test_what_waits_still_waits_after_a_restart(tmp_path, speaking_to, agent_side):
    async with ControlPlane(tmp_path / "cloud") as first:
        arm = speaking_to(first)
        await arm.group()
        await arm.machine()
        agent_side(first).enrol()
        accepted = await arm("PUT", EXTENSION, BODY)
    async with ControlPlane(tmp_path / "cloud") as second:
        arm = speaking_to(second)
        assert (await status_of(arm, accepted))["status"] == "InProgress"
        agent = agent_side(second)
        agent.report(agent.fetch()[0])
        assert (await status_of(arm, accepted))["status"] == "Succeeded"
