"""The life of a connected machine's resource, told as requests and answers."""

from __future__ import annotations

import json

import pytest

from landbridge_server.fleet import facts as stored_facts
from landbridge_server.store import machines, principals, resources, role_assignments
from landbridge_server.testing import ControlPlane

MACHINE = "resourceGroups/demo/providers/Microsoft.HybridCompute/machines/web1"
ENDPOINT = f"{MACHINE}/providers/Microsoft.HybridConnectivity/endpoints/default"
VM_ID = "b7a098cc-b0b8-46e8-a205-62f301a62a8f"
BODY = {
    "location": "local",
    "tags": {"site": "lab"},
    "identity": {"type": "SystemAssigned"},
    "properties": {
        "vmId": VM_ID,
        "clientPublicKey": "MFkw",
        "osType": "linux",
        "locationData": {"name": "Redmond"},
    },
}


def code(answer):
    return answer.json()["error"]["code"]


@pytest.fixture
async def machine(arm):
    await arm.group()
    answer = await arm("PUT", MACHINE, BODY)
    assert answer.status_code == 200, answer.text
    return answer.json()


def key_of(body):
    return body["id"].lower()


async def test_a_machine_is_created_with_an_identity_of_its_own(machine, cloud):
    assert machine["identity"]["type"] == "SystemAssigned"
    assert machine["identity"]["tenantId"] == cloud.admin["tenantId"]
    assert machine["properties"]["status"] == "AwaitingConnection"
    assert machine["properties"]["provisioningState"] == "Succeeded"
    with cloud.plane.db.reading() as connection:
        principal = principals.get(connection, machine["identity"]["principalId"])
        row = machines.get(connection, key_of(machine))
    assert principal.kind == "ManagedIdentity"
    assert (principal.resource_key, row.vm_id) == (key_of(machine), VM_ID)


async def test_writable_values_come_back_and_read_only_ones_are_ignored(arm):
    await arm.group()
    written = {
        "osProfile": {
            "linuxConfiguration": {"patchSettings": {"patchMode": "Manual"}},
            "computerName": "liar",
        },
        "agentUpgrade": {"enableAutomaticUpgrade": True, "lastAttemptStatus": "Success"},
        "cloudMetadata": {"provider": "AWS"},
        "status": "Connected",
        "provisioningState": "Failed",
        "madeUp": 1,
    }
    body = {
        "location": "local",
        "properties": written,
        "systemData": {"createdBy": "me"},
        "id": "/x",
        "name": "y",
    }
    shown = (await arm("PUT", MACHINE, body)).json()
    assert shown["name"] == "web1"
    assert shown["systemData"]["createdBy"] != "me"
    properties = shown["properties"]
    assert properties["osProfile"] == {"linuxConfiguration": {"patchSettings": {"patchMode": "Manual"}}}
    assert properties["agentUpgrade"] == {"enableAutomaticUpgrade": True}
    assert properties["cloudMetadata"] == {"provider": "AWS"}
    assert (properties["status"], properties["provisioningState"]) == ("AwaitingConnection", "Succeeded")
    assert "madeUp" not in properties


async def test_what_was_read_can_be_written_back(arm, machine):
    again = await arm("PUT", MACHINE, machine)
    assert (again.status_code, again.json()) == (200, machine)


async def test_put_replaces_but_keeps_what_belongs_to_the_machine(arm, machine):
    shown = (await arm("PUT", MACHINE, {"location": "local", "properties": {}})).json()
    assert shown["tags"] == {}
    assert "locationData" not in shown["properties"]
    assert shown["properties"]["vmId"] == VM_ID
    assert shown["properties"]["clientPublicKey"] == "MFkw"
    assert shown["identity"] == machine["identity"]


async def test_patch_merges_properties_and_replaces_tags(arm, machine):
    shown = (
        await arm(
            "PATCH",
            MACHINE,
            {"tags": {"a": "b"}, "properties": {"locationData": {"name": "Lab", "city": "X"}}},
        )
    ).json()
    assert shown["tags"] == {"a": "b"}
    assert shown["properties"]["locationData"] == {"name": "Lab", "city": "X"}
    shown = (await arm("PATCH", MACHINE, {"properties": {"locationData": None}})).json()
    assert shown["tags"] == {"a": "b"}
    assert "locationData" not in shown["properties"]
    assert shown["properties"]["osType"] == "linux"


async def test_patching_what_is_not_there_is_404(arm):
    await arm.group()
    answer = await arm("PATCH", MACHINE, {"tags": {}})
    assert (answer.status_code, code(answer)) == (404, "ResourceNotFound")


async def test_the_key_is_fixed_once_the_machine_has_enrolled(arm, machine, cloud):
    other = {"location": "local", "properties": {"clientPublicKey": "OTHER"}}
    assert (await arm("PUT", MACHINE, other)).status_code == 200
    with cloud.plane.db.writing() as connection:
        machines.set_enrolled(connection, key_of(machine), cloud.clock())
    for method in ("PUT", "PATCH"):
        answer = await arm(method, MACHINE, BODY)
        assert (answer.status_code, code(answer)) == (409, "PropertyChangeNotAllowed")
    assert (await arm("GET", MACHINE)).json()["properties"]["clientPublicKey"] == "OTHER"


async def test_the_vm_id_is_fixed_from_the_start(arm, machine):
    changed = BODY | {"properties": {"vmId": VM_ID.replace("b7", "b8")}}
    assert code(await arm("PUT", MACHINE, changed)) == "PropertyChangeNotAllowed"


async def test_the_location_is_fixed_from_the_start(tmp_path, speaking_to):
    async with ControlPlane(tmp_path, locations=("local", "north")) as cloud:
        arm = speaking_to(cloud)
        await arm.group()
        await arm.machine()
        refused = await arm.machine(location="NORTH")
        assert (refused.status_code, code(refused)) == (409, "InvalidResourceLocation")
        refused = await arm.group(location="north")
        assert (refused.status_code, code(refused)) == (409, "InvalidResourceGroupLocation")


@pytest.mark.parametrize(
    "properties",
    [
        {"vmId": "x"},
        {"locationData": {}},
        {"locationData": {"name": 1}},
        {"osType": []},
        {"identityKeyStore": "x"},
    ],
)
async def test_wrong_properties_are_400(arm, properties):
    await arm.group()
    answer = await arm.machine(properties=properties)
    assert (answer.status_code, code(answer)) == (400, "InvalidRequestContent")


async def test_another_kind_of_identity_is_400(arm):
    await arm.group()
    answer = await arm.machine(identity={"type": "UserAssigned"})
    assert (answer.status_code, code(answer)) == (400, "InvalidRequestContent")


async def test_what_the_agent_reports_is_shown_and_cannot_replace_what_was_decided(arm, machine, cloud):
    facts = {
        "osName": "linux",
        "osProfile": {"computerName": "web1", "linuxConfiguration": "lie"},
        "agentVersion": "1.61.03319.859",
        "vmId": "stolen",
        "status": "Connected",
        "clientPublicKey": "stolen",
    }
    with cloud.plane.db.writing() as connection:
        stored_facts.keep(connection, key_of(machine), json.dumps(facts), "digest")
    for answer in (await arm("GET", MACHINE), await arm("GET", "providers/Microsoft.HybridCompute/machines")):
        body = answer.json()
        properties = (body["value"][0] if "value" in body else body)["properties"]
        assert (properties["osName"], properties["agentVersion"]) == ("linux", "1.61.03319.859")
        assert properties["osProfile"] == {"computerName": "web1"}
        assert (properties["vmId"], properties["clientPublicKey"]) == (VM_ID, "MFkw")
        assert properties["status"] == "AwaitingConnection"


async def shown_twice(arm):
    """Return the properties of the machine as GET and as the list show them, which must be one."""
    alone = (await arm("GET", MACHINE)).json()
    listed = (await arm("GET", "providers/Microsoft.HybridCompute/machines")).json()["value"]
    assert listed == [alone]
    return alone["properties"]


async def test_what_the_agent_reports_stays_shown_after_the_next_write(arm, machine, cloud):
    with cloud.plane.db.writing() as connection:
        stored_facts.keep(connection, key_of(machine), '{"osName":"linux"}', "digest")
    location = {"locationData": {"name": "Bremen"}}
    changed = (await arm("PATCH", MACHINE, {"properties": location})).json()["properties"]
    assert (changed["osName"], changed["locationData"]["name"]) == ("linux", "Bremen")
    assert await shown_twice(arm) == changed


async def test_a_shown_form_that_is_missing_or_too_old_is_made_anew(arm, machine, cloud):
    key = key_of(machine)
    with cloud.plane.db.writing() as connection:
        stored_facts.keep(connection, key, '{"osName":"linux"}', "digest")
        stored = resources.get(connection, key)
        document = stored.document.replace('"MFkw"', '"MFkx"')
        resources.put(connection, stored._replace(document=document, etag='"new"'), {}, is_new=False)
    assert (await shown_twice(arm))["clientPublicKey"] == "MFkx"
    with cloud.plane.db.writing() as connection:  # as rows are that an older version wrote
        stored = resources.get(connection, key)
        resources.put(connection, stored._replace(shown=None, shown_etag=None), {}, is_new=False)
    properties = await shown_twice(arm)
    assert (properties["clientPublicKey"], properties["osName"]) == ("MFkx", "linux")


async def test_the_status_is_that_of_the_moment(arm, machine, cloud):
    cloud.plane.presence.heartbeat(key_of(machine), "1.0", cloud.clock())
    shown = (await arm("GET", MACHINE)).json()["properties"]
    assert (shown["status"], shown["lastStatusChange"][:4]) == ("Connected", "2027")
    cloud.clock.advance(3600)
    token = await cloud.token()
    arm.tokens[""] = token
    assert (await arm("GET", MACHINE)).json()["properties"]["status"] == "Disconnected"


async def test_deleting_takes_everything_of_the_machine_along(arm, machine, cloud):
    principal_id = machine["identity"]["principalId"]
    with cloud.plane.db.writing() as connection:
        cloud.plane.assign_role(connection, principal_id, "ServicePrincipal", "Reader", "/")
    await arm.principal("friend", ("Reader", MACHINE))
    assert (await arm("DELETE", MACHINE)).status_code == 200
    assert (await arm("DELETE", MACHINE)).status_code == 204
    assert code(await arm("GET", MACHINE)) == "ResourceNotFound"
    assert code(await arm("GET", ENDPOINT)) == "ParentResourceNotFound"
    with cloud.plane.db.reading() as connection:
        assert principals.get(connection, principal_id) is None
        assert machines.get(connection, key_of(machine)) is None
        assert role_assignments.held(connection, principal_id) == []
    assert (await arm("GET", "/subscriptions", by="friend")).json() == {"value": []}


async def test_newer_versions_delete_with_an_operation_that_has_ended(arm, machine):
    answer = await arm("DELETE", MACHINE, version="2026-07-15")
    assert (answer.status_code, answer.content) == (202, b"")
    assert code(await arm("GET", MACHINE)) == "ResourceNotFound"
    status = await arm("GET", answer.headers["azure-asyncoperation"])
    assert (status.status_code, status.json()["status"]) == (200, "Succeeded")
    assert (await arm("GET", answer.headers["location"])).status_code == 200
    assert (await arm("DELETE", MACHINE, version="2026-07-15")).status_code == 204


async def test_a_machine_that_was_deleted_can_be_made_again_with_a_new_identity(arm, machine):
    await arm("DELETE", MACHINE)
    again = (await arm("PUT", MACHINE, BODY)).json()
    assert again["identity"]["principalId"] != machine["identity"]["principalId"]


async def test_a_creation_that_fails_leaves_nothing_behind(arm, cloud):
    await arm.group()
    assert (await arm.machine(properties={"vmId": "x"})).status_code == 400
    with cloud.plane.db.reading() as connection:
        assert principals.of_kind(connection, principals.MANAGED_IDENTITY) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"osProfile": {"linuxConfiguration": {"patchSettings": {"patchMode": "Sometimes"}}}},
        {"osProfile": {"windowsConfiguration": {"patchSettings": {"enableHotpatching": "yes"}}}},
        {"osProfile": []},
        {"serviceStatuses": {"extensionService": {"status": 1}}},
        {"serviceStatuses": "running"},
        {"agentUpgrade": {"enableAutomaticUpgrade": "yes"}},
        {"identityKeyStore": "Pocket"},
        {"locationData": {"name": "a" * 257}},
        {"privateLinkScopeResourceId": {}},
    ],
)
async def test_a_property_of_the_wrong_kind_is_400_and_changes_nothing(arm, machine, wrong):
    for method in ("PUT", "PATCH"):
        answer = await arm(method, MACHINE, {"location": "local", "properties": wrong})
        assert (answer.status_code, code(answer)) == (400, "InvalidRequestContent")
    assert (await arm("GET", MACHINE)).json() == machine


async def test_a_license_profile_cannot_be_claimed(arm, machine):
    body = {"properties": {"licenseProfile": {"licenseStatus": "Licensed"}}}
    answer = await arm("PATCH", MACHINE, body)
    assert (answer.status_code, "licenseProfile" in answer.json()["properties"]) == (200, False)
