"""Runs that are cancelled: before their machine has begun, while they run, and when they have ended."""

from __future__ import annotations

import pytest

from working_machine import WorkingMachine

SCRIPT = {"location": "local", "properties": {"source": {"script": "sleep 600"}}}
OTHER = {"location": "local", "properties": {"source": {"script": "sleep 601"}}}


def code(answer):
    return answer.json()["error"]["code"]


@pytest.fixture
async def machine(cloud):
    made = WorkingMachine(cloud)
    await made.enrol()
    return made


@pytest.fixture
def command(machine):
    return f"{machine.id}/runCommands/hello"


async def status(arm, answer):
    return (await arm("GET", answer.headers["azure-asyncoperation"], version="")).json()


async def shown(arm, path):
    return (await arm("GET", path)).json()["properties"]


async def cancel(arm, command, **more):
    return await arm("POST", f"{command}/cancel", **more)


async def test_a_run_that_no_machine_has_begun_ends_at_once(arm, machine, command):
    accepted = await arm("PUT", command, SCRIPT)
    answer = await cancel(arm, command)
    assert (answer.status_code, (await status(arm, answer))["status"]) == (202, "Succeeded")
    ended = await status(arm, accepted)
    assert (ended["status"], ended["error"]["code"]) == ("Canceled", "OperationPreempted")
    assert (await arm("GET", accepted.headers["location"], version="")).status_code == 409
    properties = await shown(arm, command)
    assert properties["provisioningState"] == "Canceled"
    assert properties["instanceView"]["executionState"] == "Canceled"
    assert await machine.fetch() == []
    assert code(await cancel(arm, command)) == "OperationNotAllowed"


async def test_what_was_cancelled_before_it_began_is_deleted_without_the_machine_or_run_again(
    arm, machine, command
):
    await arm("PUT", command, SCRIPT)
    await cancel(arm, command)
    again = await arm("PUT", command, SCRIPT)
    assert again.json()["properties"]["provisioningState"] == "Creating"
    assert len(await machine.fetch()) == 1
    other = f"{machine.id}/runCommands/other"
    await arm("PUT", other, SCRIPT)
    await cancel(arm, other)
    await arm("DELETE", other)
    assert (await arm("GET", other)).status_code == 404


async def test_a_run_is_killed_by_its_machine(arm, machine, command):
    accepted = await arm("PUT", command, SCRIPT)
    (run,) = await machine.fetch()
    await machine.report(run, ended=False, executionState="Running")
    answer = await cancel(arm, command)
    assert (await status(arm, answer))["status"] == "InProgress"
    again = await cancel(arm, command)
    assert again.headers["location"] == answer.headers["location"]
    first, second = await machine.fetch()
    assert (first, second.kind, second.content) == (run, "cancel", {"run": run.id})
    await machine.report(run, executionState="Canceled", exitCode=-9)
    assert (await status(arm, answer))["status"] == "InProgress"
    assert (await machine.report(second)).status_code == 204
    assert (await status(arm, answer))["status"] == "Succeeded"
    assert (await status(arm, accepted))["status"] == "Succeeded"
    assert (await shown(arm, command))["instanceView"]["executionState"] == "Canceled"


async def test_a_run_that_ends_before_its_machine_has_heard_says_so(arm, machine, command):
    await arm("PUT", command, SCRIPT)
    (run,) = await machine.fetch()
    answer = await cancel(arm, command)
    await machine.report(run, executionState="Succeeded", exitCode=0)
    ended = await status(arm, answer)
    assert (ended["status"], ended["error"]["code"]) == ("Failed", "OperationNotAllowed")
    assert await machine.fetch() == []
    refused = await cancel(arm, command)
    assert (refused.status_code, code(refused)) == (409, "OperationNotAllowed")
    assert "has ended (Succeeded)" in refused.json()["error"]["message"]


async def test_a_changed_command_that_waits_is_taken_back_and_the_run_before_it_killed(arm, machine, command):
    await arm("PUT", command, SCRIPT)
    (run,) = await machine.fetch()
    waiting = await arm("PUT", command, OTHER)
    answer = await cancel(arm, command)
    assert (await status(arm, waiting))["status"] == "Canceled"
    first, second = await machine.fetch()
    assert (first.id, second.content) == (run.id, {"run": run.id})
    await machine.report(run, executionState="Canceled")
    await machine.report(second)
    assert (await status(arm, answer))["status"] == "Succeeded"
    properties = await shown(arm, command)
    assert properties["provisioningState"] == "Succeeded"
    assert properties["instanceView"]["executionState"] == "Canceled"


async def test_a_change_that_is_cancelled_before_it_began_still_needs_the_machine_to_be_deleted(
    arm, machine, command
):
    await arm("PUT", command, SCRIPT)
    (run,) = await machine.fetch()
    await machine.report(run, executionState="Succeeded")
    await arm("PUT", command, OTHER)
    await cancel(arm, command)
    assert (await shown(arm, command))["provisioningState"] == "Failed"
    answer = await arm("DELETE", command)
    assert (await status(arm, answer))["status"] == "InProgress"
    assert [one.kind for one in await machine.fetch()] == ["remove"]


async def test_a_script_in_the_background_can_be_cancelled_and_deleted_while_it_runs(arm, machine, command):
    body = {"location": "local", "properties": SCRIPT["properties"] | {"asyncExecution": True}}
    await arm("PUT", command, body)
    (run,) = await machine.fetch()
    await machine.report(run, ended=False, executionState="Running")
    answer = await cancel(arm, command)
    assert answer.status_code == 202
    removal = await arm("DELETE", command)
    assert code(await cancel(arm, command)) == "OperationNotAllowed"
    assert [one.kind for one in await machine.fetch()] == ["apply", "cancel", "remove"]
    last = (await machine.fetch())[-1]
    await machine.report(last)
    assert (await status(arm, removal))["status"] == "Succeeded"
    assert (await status(arm, answer))["status"] == "Failed"
    assert await machine.fetch() == []


async def test_ending_overtakes_however_much_waits(arm, machine, command, monkeypatch):
    monkeypatch.setattr("landbridge_server.arm.work.AT_ONCE", 3)
    await arm("PUT", command, SCRIPT)
    await machine.fetch()
    for number in range(5):
        await arm("PUT", f"{machine.id}/runCommands/more{number}", SCRIPT)
    await cancel(arm, command)
    items = await machine.fetch()
    assert [one.name for one in items] == ["hello", "more0", "more1", "hello"]
    assert items[-1].kind == "cancel"


async def test_what_finds_no_room_comes_as_soon_as_something_has_ended(arm, machine, monkeypatch):
    monkeypatch.setattr("landbridge_server.fleet.machine_work.ROOM", 1000)
    for number in range(3):
        body = {"location": "local", "properties": {"source": {"script": "x" * 700}}}
        await arm("PUT", f"{machine.id}/runCommands/big{number}", body)
    names = []
    while items := await machine.fetch():
        names.append(items[-1].name)
        for item in items:
            await machine.report(item, executionState="Succeeded")
    assert names == ["big0", "big1", "big2"]


async def test_who_only_reads_may_neither_read_the_output_nor_cancel(arm, machine, command):
    await arm.principal("reader", ("Reader", ""))
    await arm.principal("admin", ("Azure Connected Machine Resource Administrator", ""))
    await arm("PUT", command, SCRIPT)
    for action in ("readOutput", "cancel"):
        refused = await arm("POST", f"{command}/{action}", by="reader")
        assert (refused.status_code, code(refused)) == (403, "AuthorizationFailed")
        allowed = await arm("POST", f"{command}/{action}", by="admin")
        assert allowed.status_code in (200, 202)


async def test_a_command_that_is_not_there_cannot_be_cancelled(arm, machine, command):
    for action in ("readOutput", "cancel"):
        assert (await arm("POST", f"{command}/{action}")).status_code == 404
