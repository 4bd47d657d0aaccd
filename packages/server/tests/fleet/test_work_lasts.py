"""What machines have to do and what they have printed, through moves, removals, restarts and backups."""

from __future__ import annotations

import time

import pytest

from landbridge_server.arm.sealing import Sealer
from landbridge_server.backup.making import make
from landbridge_server.backup.restoring import restore
from landbridge_server.store import machine_news, outputs, protected
from landbridge_server.testing import ControlPlane
from working_machine import WorkingMachine

ASYNC = {"source": {"script": "sleep 600"}, "asyncExecution": True}
SCRIPT = {"location": "local", "properties": ASYNC}


@pytest.fixture
async def machine(cloud):
    made = WorkingMachine(cloud)
    await made.enrol()
    return made


@pytest.fixture
def command(machine):
    return f"{machine.id}/runCommands/hello"


async def begun(arm, machine, command):
    """Have a script run in the background that has printed something."""
    await arm("PUT", command, SCRIPT)
    (item,) = await machine.fetch()
    await machine.report(item, ended=False, executionState="Running")
    await machine.output(item, b"one ")
    return item


async def read(arm, command):
    return (await arm("POST", f"{command}/readOutput", {})).json()


async def test_a_run_goes_on_while_its_machine_moves_to_another_group(arm, cloud, machine, command):
    item = await begun(arm, machine, command)
    await arm.group("other")
    target = f"{cloud.subscription}/resourceGroups/other"
    body = {"resources": [machine.id], "targetResourceGroup": target}
    moved = await arm("POST", f"{machine.group_id}/moveResources", body, version="2022-09-01")
    assert moved.status_code == 202
    new = command.replace("/resourceGroups/demo/", "/resourceGroups/other/")
    await machine.renew_token()
    (again,) = await machine.fetch()
    assert (again.id, again.target) == (item.id, new)
    assert (await machine.output(item, b"two", offset=4)).json() == {"offset": 7}
    await machine.report(item, executionState="Succeeded")
    page = await read(arm, new)
    assert (page["content"], page["complete"]) == ("one two", True)


async def test_what_is_new_for_a_machine_is_still_new_when_it_has_moved(arm, cloud, machine):
    path = f"{machine.id}/providers/Microsoft.GuestConfiguration/guestConfigurationAssignments/Motd"
    body = {"properties": {"guestConfiguration": {"name": "Motd"}}}
    await arm("PUT", path, body, version="2024-04-05")
    await cloud.plane.machine_news()
    await arm.group("other")
    target = f"{cloud.subscription}/resourceGroups/other"
    moving = {"resources": [machine.id], "targetResourceGroup": target}
    await arm("POST", f"{machine.group_id}/moveResources", moving, version="2022-09-01")
    await machine.renew_token()
    assert (await machine.beat()).workWanted is True
    (found,) = (await machine.assignments()).assignments
    assert found.id == path.replace("/resourceGroups/demo/", "/resourceGroups/other/")
    assert (await machine.beat()).workWanted is False


async def test_nothing_is_left_when_the_group_goes(arm, cloud, machine, command):
    await begun(arm, machine, command)
    waiting = await arm("PUT", f"{machine.id}/runCommands/more", SCRIPT)
    assert (await arm("DELETE", machine.group_id, version="2022-09-01")).status_code == 202
    await cloud.plane.settle()
    assert (await arm("GET", machine.id)).status_code == 404
    with cloud.plane.db.reading() as connection:
        assert outputs.stream(connection, command.lower(), "stdout") is None
        assert outputs.read(connection, command.lower(), "stdout", 0, 10) == b""
        assert machine_news.kinds(connection, machine.id.lower()) == set()
    given_up = await arm("GET", waiting.headers["azure-asyncoperation"], version="")
    assert given_up.json()["status"] == "Failed"


async def test_a_background_run_that_has_succeeded_stays_so_when_its_machine_is_removed(
    arm, machine, command
):
    accepted = await arm("PUT", command, SCRIPT)
    (item,) = await machine.fetch()
    await machine.report(item, ended=False, executionState="Running")
    assert (await arm("DELETE", machine.id)).status_code == 200
    status = await arm("GET", accepted.headers["azure-asyncoperation"], version="")
    assert status.json()["status"] == "Succeeded"


async def test_a_machine_that_is_gone_gets_no_work(arm, machine, command):
    await begun(arm, machine, command)
    await arm("DELETE", machine.id)
    answer = await machine.call("POST", "/agent/v1/work", json={})
    assert answer.status_code == 401


async def test_the_next_start_goes_on_with_what_waits(tmp_path, speaking_to, store_url):
    async with ControlPlane(tmp_path / "one", store=store_url) as cloud:
        machine = WorkingMachine(cloud)
        await machine.enrol()
        command = f"{machine.id}/runCommands/hello"
        item = await begun(speaking_to(cloud), machine, command)
        await speaking_to(cloud)("PUT", f"{machine.id}/runCommands/more", SCRIPT)
    async with ControlPlane(tmp_path / "one", store=store_url) as cloud:
        machine.cloud = cloud
        await cloud.plane.machine_news()
        assert (await machine.beat()).workWanted is True
        assert [one.name for one in await machine.fetch()] == ["hello", "more"]
        assert (await machine.output(item, b"two", offset=4)).json() == {"offset": 7}
        assert (await read(speaking_to(cloud), command))["content"] == "one two"


async def test_a_restored_cloud_has_the_work_and_the_output(
    arm, cloud, machine, command, tmp_path, speaking_to
):
    item = await begun(arm, machine, command)
    await machine.output(item, bytes(range(256)), stream="stderr")
    target, data = tmp_path / "one.backup", tmp_path / "restored"
    make(cloud.config.data, cloud.config.database_url, target, None, time.time, _quiet)
    restore(target, data, "", None, time.time, _quiet)
    async with ControlPlane(data) as again:
        machine.cloud = again
        assert [one.id for one in await machine.fetch()] == [item.id]
        assert (await read(speaking_to(again), command))["content"] == "one "
        with again.plane.db.reading() as connection:
            assert outputs.read(connection, command.lower(), "stderr", 0, 999) == bytes(range(256))


async def test_reading_what_grows_again_and_again_is_one_note_with_a_number(arm, cloud, machine, command):
    await begun(arm, machine, command)
    for _ in range(30):
        await read(arm, command)
    await arm("POST", f"{command}/cancel")
    cloud.clock.advance(120)
    await cloud.plane.settle()
    since = "$filter=eventTimestamp ge '2027-01-15T00:00:00Z'"
    path = f"providers/microsoft.insights/eventtypes/management/values?{since}"
    events = (await arm("GET", path, version="2015-04-01")).json()["value"]
    kind = "Microsoft.HybridCompute/machines/runCommands"
    reads = [one for one in events if one["operationName"]["value"] == f"{kind}/readOutput/action"]
    assert [one["properties"].get("count") for one in reads] in (["29", None], [None, "29"])
    assert sum(one["operationName"]["value"] == f"{kind}/cancel/action" for one in events) == 1


async def test_secrets_that_nobody_can_open_end_the_work_that_needs_them(arm, cloud, machine, command):
    secret = {"protectedParameters": [{"name": "A", "value": "b"}]}
    accepted = await arm("PUT", command, {"location": "local", "properties": ASYNC | secret})
    other = await arm("PUT", f"{machine.id}/runCommands/other", SCRIPT)
    with cloud.plane.db.writing() as connection:
        protected.put(connection, command.lower(), Sealer(bytes(32)).seal({"runAsPassword": "x"}))
    assert [one.name for one in await machine.fetch()] == ["other"]
    ended = (await arm("GET", accepted.headers["azure-asyncoperation"], version="")).json()
    assert (ended["status"], ended["error"]["code"]) == ("Failed", "Conflict")
    assert "Write the resource again" in ended["error"]["message"]
    status = await arm("GET", other.headers["azure-asyncoperation"], version="")
    assert status.json()["status"] == "InProgress"
    part = await arm("PATCH", command, {"properties": {"timeoutInSeconds": 5}})
    assert (part.status_code, part.json()["error"]["code"]) == (409, "Conflict")
    assert (await arm("PUT", command, {"location": "local", "properties": ASYNC | secret})).status_code == 200
    assert [one.name for one in await machine.fetch()] == ["other", "hello"]


def _quiet(what, done, total):
    """A progress that nobody hears."""
