"""Output may hold anything, and ending a run is a change: who may do which."""

from __future__ import annotations

import pytest

from working_machine import WorkingMachine

SCRIPT = {"location": "local", "properties": {"source": {"script": "echo hello"}}}
ADMINISTRATOR = "Azure Connected Machine Resource Administrator"
MAY = {
    "Owner": True,
    "Contributor": True,
    ADMINISTRATOR: True,
    "Reader": False,
    "Azure Connected Machine Onboarding": False,
    "Virtual Machine Administrator Login": False,
    "Virtual Machine User Login": False,
}


async def test_only_who_may_run_something_may_read_its_output_and_cancel_it(arm, cloud):
    machine = WorkingMachine(cloud)
    await machine.enrol()
    other = WorkingMachine(cloud, "web2")
    await other.enrol()
    for one in (machine, other):
        assert (await arm("PUT", f"{one.id}/runCommands/hello", SCRIPT)).status_code == 201
    await machine.fetch()
    for role, may in MAY.items():
        await arm.principal(role, (role, machine.id))
        command = f"{machine.id}/runCommands/hello"
        for action, good in (("readOutput", 200), ("cancel", 202)):
            answer = await arm("POST", f"{command}/{action}", by=role)
            assert answer.status_code == (good if may else 403), (role, action, answer.text)
            elsewhere = await arm("POST", f"{other.id}/runCommands/hello/{action}", by=role)
            assert elsewhere.status_code == 403, (role, action)


@pytest.mark.parametrize("action", ["readOutput", "cancel"])
async def test_a_machine_has_no_right_over_run_commands_not_even_its_own(arm, cloud, action):
    machine = WorkingMachine(cloud)
    await machine.enrol()
    await arm("PUT", f"{machine.id}/runCommands/hello", SCRIPT)
    path = f"{machine.id}/runCommands/hello/{action}?api-version=2024-07-10"
    headers = {"authorization": f"Bearer {machine._token}"}
    answer = await cloud.client.post(path, headers=headers)
    assert answer.status_code in (401, 403)


async def test_a_machine_reports_and_prints_for_no_other(arm, cloud):
    machine, other = WorkingMachine(cloud), WorkingMachine(cloud, "web2")
    for one in (machine, other):
        await one.enrol()
    await arm("PUT", f"{machine.id}/runCommands/hello", SCRIPT)
    (item,) = await machine.fetch()
    assert await other.fetch() == []
    assert (await other.report(item, executionState="Succeeded")).status_code == 404
    assert (await other.output(item, b"forged")).status_code == 404
    seen = (await arm("GET", f"{machine.id}/runCommands/hello")).json()["properties"]
    assert seen["instanceView"] == {"executionState": "Pending"}
