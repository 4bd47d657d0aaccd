"""What a machine has to do fits into one answer, which agents read up to a bound."""

from __future__ import annotations

import pytest

from landbridge_server.providers.hybrid_compute.run_commands import LONGEST_SCRIPT
from landbridge_wire.work_api import REMOVE
from working_machine import WorkingMachine

MOST = 4 * 1024 * 1024
"""The largest answer that agents read, in bytes."""


@pytest.fixture
async def machine(cloud):
    made = WorkingMachine(cloud)
    await made.enrol()
    return made


def long(**more):
    return {"location": "local", "properties": {"source": {"script": "x" * LONGEST_SCRIPT}, **more}}


def many(count):
    return [{"name": f"P{number}", "value": "v" * 60_000} for number in range(count)]


async def test_removals_of_many_long_scripts_reach_the_machine(arm, machine):
    """They would never: what was given once is given until its end is reported."""
    for number in range(20):
        assert (await arm("PUT", f"{machine.id}/runCommands/r{number}", long())).status_code == 201
    for _ in range(5):
        for item in await machine.fetch():
            await machine.report(item, executionState="Succeeded")
    for number in range(20):
        assert (await arm("DELETE", f"{machine.id}/runCommands/r{number}")).status_code == 202
    items = await machine.fetch()
    assert [item.kind for item in items] == [REMOVE] * 20
    assert sum(len(str(item.to_json())) for item in items) < MOST // 4


async def test_a_resource_that_no_machine_could_fetch_is_refused_and_changes_nothing(arm, machine):
    path = f"{machine.id}/runCommands/big"
    refused = await arm("PUT", path, long(protectedParameters=many(30)))
    assert refused.status_code == 413 and "machine" in refused.json()["error"]["message"]
    assert (await arm("GET", path)).status_code == 404
    assert (await arm("PUT", path, long(parameters=many(10)))).status_code == 201
    more = await arm("PATCH", path, {"properties": {"protectedParameters": many(15)}})
    assert more.status_code == 413
    (item,) = await machine.fetch()
    assert len(item.properties["parameters"]) == 10 and not item.protected


async def test_more_assignments_than_a_machine_could_fetch_are_refused_and_change_nothing(arm, machine):
    """It could fetch none of them any more."""

    async def assign(number, count):
        name = f"A{number}"
        path = f"{machine.id}/providers/Microsoft.GuestConfiguration/guestConfigurationAssignments/{name}"
        secrets = {"configurationProtectedParameter": many(count), "configurationParameter": many(count)}
        wanted = {"properties": {"guestConfiguration": {"name": name, "version": "1.0.0", **secrets}}}
        return await arm("PUT", path, wanted, version="2024-04-05")

    assert [(await assign(number, 8)).status_code for number in range(3)] == [201] * 3
    refused = await assign(3, 8)
    assert refused.status_code == 413 and "assignments" in refused.json()["error"]["message"]
    assert (await assign(3, 1)).status_code == 201
    assert (await assign(0, 30)).status_code == 413
    assert (await assign(0, 7)).status_code == 200
    found = await machine.assignments()
    assert [len(one.protected) for one in found.assignments] == [7, 8, 8, 1]
    assert len(str(found.to_json())) < MOST
