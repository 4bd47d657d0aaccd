"""What is wanted of a machine's settings and what it reports, told as requests and answers."""

from __future__ import annotations

import uuid

import pytest

from landbridge_server.providers.guest_configuration import reports
from landbridge_server.store import protected
from landbridge_wire.errors import ArmError

MACHINE = "resourceGroups/demo/providers/Microsoft.HybridCompute/machines/web1"
TYPE = "providers/Microsoft.GuestConfiguration/guestConfigurationAssignments"
ASSIGNMENT = f"{MACHINE}/{TYPE}/WindowsTimeZone"
PASSWORD = "the-protected-value"
CONTENT_HASH = "2B0438533F938624A8EEAF66546BE17800AB8B01CC3D7E61BB3FB0826FFBA1BD"
BODY = {
    "location": "local",
    "name": "WindowsTimeZone",
    "properties": {
        "context": "Azure policy",
        "guestConfiguration": {
            "kind": "DSC",
            "name": "WindowsTimeZone",
            "version": "1.*",
            "contentUri": "https://store.example/WindowsTimeZone.zip",
            "contentHash": CONTENT_HASH,
            "assignmentType": "ApplyAndAutoCorrect",
            "configurationParameter": [
                {"name": "[WindowsTimeZone]WindowsTimeZone1;TimeZone", "value": "(UTC-10:00) Hawaii"}
            ],
            "configurationProtectedParameter": [{"name": "[User]a;Password", "value": PASSWORD}],
        },
    },
}
REPORT = {
    "complianceStatus": "NonCompliant",
    "configurationVersion": "1.1.0.0",
    "startTime": "2027-01-15T08:00:00Z",
    "endTime": "2027-01-15T08:00:06Z",
    "details": {
        "complianceStatus": "NonCompliant",
        "startTime": "2027-01-15T08:00:00Z",
        "endTime": "2027-01-15T08:00:06Z",
        "jobId": "2ecfc027-3dfa-4146-9d33-dee3cb5c7c94",
        "operationType": "Consistency",
        "resources": [
            {
                "complianceStatus": "NonCompliant",
                "reasons": [{"phrase": "Another zone.", "code": "WindowsTimeZone:Unexpected"}],
                "properties": {"ResourceId": "[WindowsTimeZone]WindowsTimeZone1"},
            }
        ],
    },
}


def code(answer):
    return answer.json()["error"]["code"]


def add(cloud, report=REPORT, name="WindowsTimeZone", report_id="", machine=MACHINE):
    report_id = report_id or str(uuid.uuid4())
    with cloud.plane.db.writing() as connection:
        key = f"{cloud.subscription}/{machine}".lower()
        reports.add(connection, key, name, report_id, report, cloud.clock())
    return report_id


@pytest.fixture
async def machine(arm):
    await arm.group()
    return (await arm.machine()).json()


async def test_an_assignment_is_created_then_replaced_and_waits_for_its_first_report(arm, machine):
    made = await arm("PUT", ASSIGNMENT, BODY)
    assert made.status_code == 201
    assert (await arm("PUT", ASSIGNMENT, BODY)).status_code == 200
    shown = made.json()
    assert (shown["name"], shown["location"]) == ("WindowsTimeZone", "local")
    assert shown["type"] == "Microsoft.GuestConfiguration/guestConfigurationAssignments"
    assert shown["properties"]["complianceStatus"] == "Pending"
    assert shown["properties"]["provisioningState"] == "Succeeded"
    assert shown["properties"]["targetResourceId"] == machine["id"]
    assert "latestReportId" not in shown["properties"]
    assert (await arm("GET", ASSIGNMENT)).json() == shown


async def test_the_hashes_are_those_that_the_real_service_was_recorded_with(arm, machine):
    properties = (await arm("PUT", ASSIGNMENT, BODY)).json()["properties"]
    assert properties["assignmentHash"] == (
        f"{CONTENT_HASH}.0D1E74D986A5332148F5D44AB3B1B6A7B274933BDAFD9FC3C05F5CCD9E9530C6"
    )
    assert properties["parameterHash"] == (
        "W1dpbmRvd3NUaW1lWm9uZV1XaW5kb3dzVGltZVpvbmUxO1RpbWVab25lPShVVEMtMTA6MDApIEhhd2FpaQ=="
    )


async def test_every_writable_value_comes_back_and_protected_ones_do_not(arm, cloud, machine):
    shown = (await arm("PUT", ASSIGNMENT, BODY)).json()
    wanted = dict(BODY["properties"]["guestConfiguration"])
    secret = wanted.pop("configurationProtectedParameter")
    assert shown["properties"]["guestConfiguration"] == wanted | {"configurationProtectedParameter": []}
    assert shown["properties"]["context"] == "Azure policy"
    for path in (ASSIGNMENT, f"{MACHINE}/{TYPE}", TYPE, f"resourceGroups/demo/{TYPE}"):
        text = (await arm("GET", path)).text
        assert PASSWORD not in text
        assert "WindowsTimeZone" in text
    key = f"{cloud.subscription}/{ASSIGNMENT}".lower()
    kind = cloud.plane.resources.registry.find("Microsoft.GuestConfiguration/guestConfigurationAssignments")
    with cloud.plane.db.reading() as connection:
        assert PASSWORD not in protected.get(connection, key)
        assert kind.secrets_of(connection, key) == secret


async def test_a_report_decides_what_the_assignment_shows(arm, cloud, machine):
    await arm("PUT", ASSIGNMENT, BODY)
    report_id = add(cloud)
    shown = (await arm("GET", ASSIGNMENT)).json()["properties"]
    path = f"{cloud.subscription}/{ASSIGNMENT}/reports/{report_id}"
    assert (shown["complianceStatus"], shown["latestReportId"]) == ("NonCompliant", path)
    assert shown["lastComplianceStatusChecked"] == REPORT["endTime"]
    assert shown["latestAssignmentReport"]["reportId"] == report_id
    report = (await arm("GET", f"{ASSIGNMENT}/reports/{report_id}")).json()
    assert (report["id"], report["name"]) == (path, report_id)
    assert report["properties"] == {
        **{name: value for name, value in REPORT.items() if name != "configurationVersion"},
        "reportId": report_id,
        "assignment": {
            "name": "WindowsTimeZone",
            "configuration": {"name": "WindowsTimeZone", "version": "1.1.0.0"},
        },
        "vm": {"id": machine["id"], "uuid": machine["properties"]["vmId"]},
    }
    assert (await arm("GET", f"{ASSIGNMENT}/reports")).json() == {"value": [report]}


async def test_a_changed_configuration_is_pending_again_and_the_same_one_is_not(arm, cloud, machine):
    await arm("PUT", ASSIGNMENT, BODY)
    add(cloud)
    assert (await arm("PUT", ASSIGNMENT, BODY)).json()["properties"]["complianceStatus"] == "NonCompliant"
    change = {"properties": {"guestConfiguration": {"version": "2.0"}}}
    changed = (await arm("PATCH", ASSIGNMENT, change)).json()["properties"]
    assert changed["complianceStatus"] == "Pending"
    assert changed["guestConfiguration"]["contentHash"] == CONTENT_HASH
    assert len((await arm("GET", f"{ASSIGNMENT}/reports")).json()["value"]) == 1


async def test_other_protected_parameters_are_pending_again(arm, cloud, machine):
    await arm("PUT", ASSIGNMENT, BODY)
    add(cloud)
    one = [{"name": "[User]a;Password", "value": "another"}]
    change = {"properties": {"guestConfiguration": {"configurationProtectedParameter": one}}}
    answer = await arm("PATCH", ASSIGNMENT, change)
    assert answer.json()["properties"]["complianceStatus"] == "Pending"


async def test_a_patch_of_something_else_keeps_protected_parameters(arm, cloud, machine):
    await arm("PUT", ASSIGNMENT, BODY)
    add(cloud)
    answer = await arm("PATCH", ASSIGNMENT, {"properties": {"context": "another"}})
    assert answer.json()["properties"]["complianceStatus"] == "NonCompliant"
    assert answer.json()["properties"]["context"] == "another"
    kind = cloud.plane.resources.registry.find("Microsoft.GuestConfiguration/guestConfigurationAssignments")
    with cloud.plane.db.reading() as connection:
        kept = kind.secrets_of(connection, f"{cloud.subscription}/{ASSIGNMENT}".lower())
    assert kept[0]["value"] == PASSWORD


async def test_the_same_report_twice_is_one(arm, cloud, machine):
    await arm("PUT", ASSIGNMENT, BODY)
    report_id = add(cloud)
    add(cloud, REPORT | {"complianceStatus": "Compliant"}, report_id=report_id)
    (report,) = (await arm("GET", f"{ASSIGNMENT}/reports")).json()["value"]
    assert report["properties"]["complianceStatus"] == "NonCompliant"


async def test_only_the_newest_reports_are_kept(arm, cloud, machine):
    await arm("PUT", ASSIGNMENT, BODY)
    oldest = add(cloud)
    for _ in range(reports.KEPT):
        cloud.clock.advance(1)
        newest = add(cloud)
    listed = (await arm("GET", f"{ASSIGNMENT}/reports")).json()["value"]
    names = {one["name"] for one in listed}
    assert (len(listed), oldest in names, newest in names) == (reports.KEPT, False, True)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        REPORT | {"complianceStatus": "Perfect"},
        REPORT | {"endTime": "yesterday"},
        REPORT | {"details": []},
    ],
)
async def test_a_report_of_the_wrong_shape_is_refused(arm, cloud, machine, wrong):
    await arm("PUT", ASSIGNMENT, BODY)
    with pytest.raises(ArmError):
        add(cloud, wrong)
    assert (await arm("GET", f"{ASSIGNMENT}/reports")).json() == {"value": []}


async def test_a_report_about_no_assignment_of_the_machine_is_refused(arm, cloud, machine):
    await arm.machine("web2")
    await arm("PUT", ASSIGNMENT, BODY)
    with pytest.raises(ArmError) as refused:
        add(cloud, machine=MACHINE.replace("web1", "web2"))
    assert refused.value.code == "ResourceNotFound"


async def test_reports_are_read_only(arm, machine):
    await arm("PUT", ASSIGNMENT, BODY)
    report = f"{ASSIGNMENT}/reports/{uuid.uuid4()}"
    for method in ("PUT", "PATCH", "DELETE"):
        assert code(await arm(method, report, {})) == "MethodNotAllowed"
    assert code(await arm("GET", report)) == "ResourceNotFound"


async def test_assignments_are_listed_for_the_machine_the_group_and_the_subscription(arm, machine):
    await arm.group("other")
    await arm.machine("web2", "other")
    elsewhere = MACHINE.replace("demo", "other").replace("web1", "web2")
    await arm("PUT", ASSIGNMENT, BODY)
    await arm("PUT", f"{elsewhere}/{TYPE}/Second", BODY)

    async def names(path):
        return [one["name"] for one in (await arm("GET", path)).json()["value"]]

    assert await names(f"{MACHINE}/{TYPE}") == ["WindowsTimeZone"]
    assert await names(f"resourceGroups/demo/{TYPE}") == ["WindowsTimeZone"]
    assert await names(f"resourceGroups/other/{TYPE}") == ["Second"]
    assert sorted(await names(TYPE)) == ["Second", "WindowsTimeZone"]
    await arm.principal("limited", ("Reader", "resourceGroups/other"))
    listed = (await arm("GET", TYPE, by="limited")).json()["value"]
    assert [one["name"] for one in listed] == ["Second"]
    pages = (await arm("GET", f"{TYPE}?$top=1")).json()
    assert len(pages["value"]) == 1
    assert pages["nextLink"].startswith("https://")


async def test_deleting_forgets_reports_and_protected_parameters(arm, cloud, machine):
    await arm("PUT", ASSIGNMENT, BODY)
    report_id = add(cloud)
    assert (await arm("DELETE", ASSIGNMENT)).status_code == 200
    assert (await arm("DELETE", ASSIGNMENT)).status_code == 204
    assert (await arm("GET", ASSIGNMENT)).status_code == 404
    assert (await arm("GET", f"{ASSIGNMENT}/reports/{report_id}")).status_code == 404
    with cloud.plane.db.reading() as connection:
        assert protected.get(connection, f"{cloud.subscription}/{ASSIGNMENT}".lower()) == ""


async def test_preconditions_hold_for_assignments(arm, machine):
    made = await arm("PUT", ASSIGNMENT, BODY, headers={"if-none-match": "*"})
    assert made.status_code == 201
    again = await arm("PUT", ASSIGNMENT, BODY, headers={"if-none-match": "*"})
    assert (again.status_code, code(again)) == (412, "PreconditionFailed")
    assert (await arm("DELETE", ASSIGNMENT, headers={"if-match": '"other"'})).status_code == 412
    assert (await arm("DELETE", ASSIGNMENT, headers={"if-match": made.headers["etag"]})).status_code == 200


@pytest.mark.parametrize(
    "parent",
    [
        "Microsoft.Compute/virtualMachines/vm1",
        "Microsoft.Compute/virtualMachineScaleSets/set1",
        "Microsoft.ConnectedVMwarevSphere/virtualmachines/vm1",
        "Microsoft.HybridCompute/machines/absent",
    ],
)
async def test_on_what_is_not_there_every_verb_is_refused(arm, machine, parent):
    path = f"resourceGroups/demo/providers/{parent}/{TYPE}"
    for method, tail in (("PUT", "/one"), ("GET", "/one"), ("GET", ""), ("GET", "/one/reports")):
        answer = await arm(method, f"{path}{tail}", BODY if method == "PUT" else None)
        assert (answer.status_code, code(answer)) == (404, "ParentResourceNotFound")


@pytest.mark.parametrize("scope", ["resourceGroups/demo/", ""])
async def test_a_group_or_a_subscription_has_no_assignments_of_its_own(arm, machine, scope):
    assert code(await arm("PUT", f"{scope}{TYPE}/one", BODY)) == "BadRequest"


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"name": ""},
        {"name": "a", "assignmentType": "Destroy"},
        {"name": "a", "kind": "Chef"},
        {"name": "a", "configurationParameter": {"name": "a"}},
        {"name": "a", "configurationParameter": [{"name": "a", "value": 1}]},
        {"name": "a", "configurationProtectedParameter": "secret"},
        {"name": "a", "version": 1},
    ],
)
async def test_a_wrong_assignment_is_refused(arm, machine, wrong):
    answer = await arm("PUT", ASSIGNMENT, {"properties": {"guestConfiguration": wrong}})
    assert (answer.status_code, code(answer)) == (400, "InvalidRequestContent")
    assert (await arm("GET", ASSIGNMENT)).status_code == 404
