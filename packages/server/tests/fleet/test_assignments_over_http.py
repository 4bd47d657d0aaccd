"""A machine reads what it is to be configured as, and reports what it has found."""

from __future__ import annotations

import uuid

import pytest

from landbridge_server.arm.sealing import Sealer
from landbridge_server.store import protected
from landbridge_wire import work_api
from working_machine import WorkingMachine

VERSION = "2024-04-05"
TYPE = "providers/Microsoft.GuestConfiguration/guestConfigurationAssignments"
SECRET = {"name": "[File]a;Contents", "value": "protected-value"}


@pytest.fixture
async def machine(cloud):
    made = WorkingMachine(cloud)
    await made.enrol()
    return made


def wanted(**more):
    return {"properties": {"guestConfiguration": {"name": "Motd", "version": "1.0.0"} | more}}


async def report(machine, body, name="Motd", report_id=""):
    path = work_api.ASSIGNMENT_REPORT.format(name=name, id=report_id or uuid.uuid4())
    return await machine.call("PUT", path, json=body)


async def test_a_machine_reads_its_assignments_with_what_only_it_may_read(arm, cloud, machine):
    await arm("PATCH", machine.id, {"tags": {"CustomGuestConfigurationSetPolicy": "disable"}})
    body = wanted(configurationProtectedParameter=[SECRET], assignmentType="Audit")
    path = f"{machine.id}/{TYPE}/Motd"
    assert (await arm("PUT", path, body, version=VERSION)).status_code == 201
    found = await machine.assignments()
    assert found.tags == {"CustomGuestConfigurationSetPolicy": "disable"}
    (one,) = found.assignments
    assert (one.id, one.name, one.protected) == (path, "Motd", (SECRET,))
    expected = {"name": "Motd", "version": "1.0.0", "assignmentType": "Audit"}
    assert one.guestConfiguration == expected
    answer = await machine.call("GET", work_api.ASSIGNMENTS)
    assert answer.headers["cache-control"] == "no-store"


async def test_the_tag_changes_with_anything_of_the_assignment(arm, machine):
    tags = set()
    for more in (
        {},
        {"version": "1.0.1"},
        {"configurationProtectedParameter": [SECRET]},
        {"configurationProtectedParameter": [SECRET | {"value": "other"}]},
    ):
        await arm("PUT", f"{machine.id}/{TYPE}/Motd", wanted(**more), version=VERSION)
        (one,) = (await machine.assignments()).assignments
        (again,) = (await machine.assignments()).assignments
        assert one == again
        tags.add(one.tag)
    assert len(tags) == 4


async def test_a_report_shows_on_the_assignment_and_twice_is_once(arm, machine):
    path = f"{machine.id}/{TYPE}/Motd"
    await arm("PUT", path, wanted(), version=VERSION)
    report_id = str(uuid.uuid4())
    body = {"complianceStatus": "NonCompliant", "startTime": "2027-01-15T08:00:00Z"}
    for _ in range(2):
        assert (await report(machine, body, "MOTD", report_id)).status_code == 204
    shown = (await arm("GET", path, version=VERSION)).json()["properties"]
    assert (shown["complianceStatus"], shown["latestAssignmentReport"]["reportId"]) == (
        "NonCompliant",
        report_id,
    )
    listed = (await arm("GET", f"{path}/reports", version=VERSION)).json()["value"]
    assert [one["name"] for one in listed] == [report_id]
    (one,) = (await machine.assignments()).assignments
    assert one.guestConfiguration == {"name": "Motd", "version": "1.0.0"}


@pytest.mark.parametrize(
    "body",
    [{}, [], 5, {"complianceStatus": "Fine"}, {"complianceStatus": "Compliant", "details": []}],
)
async def test_a_report_of_the_wrong_shape_is_refused(arm, machine, body):
    path = f"{machine.id}/{TYPE}/Motd"
    await arm("PUT", path, wanted(), version=VERSION)
    assert (await report(machine, body)).status_code == 400
    assert (await report(machine, {"complianceStatus": "Compliant"}, report_id="x")).status_code == 400
    assert (await arm("GET", f"{path}/reports", version=VERSION)).json()["value"] == []


async def test_a_report_about_what_is_not_assigned_to_the_machine_is_refused(arm, cloud, machine):
    other = WorkingMachine(cloud, "web2")
    await other.enrol()
    await arm("PUT", f"{other.id}/{TYPE}/Motd", wanted(), version=VERSION)
    assert (await machine.assignments()).assignments == ()
    assert (await report(machine, {"complianceStatus": "Compliant"})).status_code == 404


async def test_an_assignment_whose_secrets_nobody_can_open_comes_without_them(arm, cloud, machine):
    path = f"{machine.id}/{TYPE}/Motd"
    await arm("PUT", path, wanted(configurationProtectedParameter=[SECRET]), version=VERSION)
    with cloud.plane.db.writing() as connection:
        protected.put(connection, path.lower(), Sealer(bytes(32)).seal([SECRET]))
    (one,) = (await machine.assignments()).assignments
    assert one.protected == ()
    body = wanted(configurationProtectedParameter=[SECRET])
    assert (await arm("PUT", path, body, version=VERSION)).status_code == 200
    (one,) = (await machine.assignments()).assignments
    assert one.protected == (SECRET,)
