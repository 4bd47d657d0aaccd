"""Resource groups, and how they are deleted."""

from __future__ import annotations

from landbridge_server.store import machines, resources, role_assignments

MACHINE = "resourceGroups/demo/providers/Microsoft.HybridCompute/machines/web1"


def code(answer):
    return answer.json()["error"]["code"]


async def test_a_group_is_made_shown_changed_and_asked_for(arm, cloud):
    assert (await arm("HEAD", "resourcegroups/demo")).status_code == 404
    made = await arm("PUT", "resourcegroups/Demo", {"location": "LOCAL", "tags": {"a": "b"}})
    assert made.status_code == 201
    assert made.json()["id"] == f"{cloud.subscription}/resourceGroups/Demo"
    assert made.json()["type"] == "Microsoft.Resources/resourceGroups"
    assert made.json()["properties"] == {"provisioningState": "Succeeded"}
    assert (await arm("HEAD", "resourceGroups/demo")).status_code == 204
    shown = (await arm("GET", "resourcegroups/demo")).json()
    assert (await arm("PUT", "resourcegroups/Demo", shown)).json() == shown
    changed = await arm("PATCH", "resourcegroups/demo", {"tags": {"c": "d"}})
    assert (changed.status_code, changed.json()["tags"], changed.json()["name"]) == (200, {"c": "d"}, "Demo")


async def test_deleting_a_group_is_an_operation_that_takes_everything_along(arm, cloud):
    await arm.group()
    shown = (await arm.machine()).json()
    await arm.group("demo2")
    await arm.machine("web2", "demo2")
    friend = await arm.principal("friend", ("Reader", "resourceGroups/demo"))
    answer = await arm("DELETE", "resourcegroups/DEMO")
    assert (answer.status_code, answer.content, answer.headers["retry-after"]) == (202, b"", "1")
    location = answer.headers["location"]
    assert location.startswith(cloud.config.endpoints.resource_manager)
    waiting = await arm("GET", location, version="")
    assert (waiting.status_code, waiting.headers["location"]) == (202, location)
    assert (await arm("GET", "resourcegroups/demo")).json()["properties"] == {"provisioningState": "Deleting"}
    await cloud.plane.settle()
    for _ in range(2):
        assert (await arm("GET", location, version="")).status_code == 200
    status = (await arm("GET", location.replace("operationresults", "operationstatuses"), version="")).json()
    assert (status["status"], "endTime" in status) == ("Succeeded", True)
    assert code(await arm("GET", "resourcegroups/demo")) == "ResourceGroupNotFound"
    assert code(await arm("DELETE", "resourcegroups/demo")) == "ResourceGroupNotFound"
    assert (await arm("GET", MACHINE.replace("demo", "demo2").replace("web1", "web2"))).status_code == 200
    with cloud.plane.db.reading() as connection:
        assert resources.below(connection, shown["id"].lower().partition("/providers")[0]) == []
        assert machines.get(connection, shown["id"].lower()) is None
        assert role_assignments.held(connection, friend) == []


async def test_a_group_that_is_leaving_takes_no_changes_and_joins_a_second_deletion(arm):
    await arm.group()
    await arm.machine()
    first = await arm("DELETE", "resourcegroups/demo")
    second = await arm("DELETE", "resourcegroups/demo")
    assert first.headers["location"] == second.headers["location"]
    for answer in (await arm.group(), await arm.machine("web2"), await arm("PATCH", MACHINE, {"tags": {}})):
        assert (answer.status_code, code(answer)) == (409, "ResourceGroupBeingDeleted")
    patched = await arm("PATCH", "resourcegroups/demo", {"tags": {}})
    assert (patched.status_code, code(patched)) == (409, "ResourceGroupBeingDeleted")


async def test_a_tag_cannot_make_a_group_look_like_leaving(arm):
    await arm.group(tags={"provisioningState": "Deleting", "properties": '{"provisioningState":"Deleting"}'})
    assert (await arm.machine()).status_code == 200


async def test_who_deleted_a_group_may_ask_how_it_ended_though_the_role_went_with_it(arm, cloud):
    await arm.group()
    await arm.principal("owner", ("Owner", "resourceGroups/demo"))
    await arm.principal("other")
    location = (await arm("DELETE", "resourcegroups/demo", by="owner")).headers["location"]
    await cloud.plane.settle()
    assert (await arm("GET", location, by="owner", version="")).status_code == 200
    assert (await arm("GET", location, by="other", version="")).status_code == 403


async def test_no_template_can_be_made_of_a_group_and_the_refusal_says_so(arm):
    await arm.group()
    await arm.principal("reader", ("Reader", "resourceGroups/demo"))
    body = {"resources": ["*"]}
    answer = await arm("POST", "resourceGroups/demo/exportTemplate", body)
    assert (answer.status_code, code(answer)) == (404, "InvalidResourceType")
    assert "Templates and deployments are not offered" in answer.json()["error"]["message"]
    refused = await arm("POST", "resourceGroups/demo/exportTemplate", body, by="reader")
    assert code(refused) == "AuthorizationFailed"
