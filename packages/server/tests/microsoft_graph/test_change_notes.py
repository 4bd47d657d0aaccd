"""Writes to the directory, as the tenant's activity log shows them."""

from __future__ import annotations

import json

import pytest

GROUP = {"mailEnabled": False, "securityEnabled": True}
LOG = "/providers/Microsoft.Insights/eventtypes/management/values"


@pytest.fixture
async def log(cloud):
    """The directory's events, the oldest first: operation, object, status, caller."""

    async def read():
        await cloud.plane.settle()
        answer = await cloud.arm("GET", LOG, version="2015-04-01")
        return [one for one in answer.json()["value"][::-1] if one["category"]["value"] == "Directory"]

    return read


async def test_each_write_is_an_event_that_names_its_object(graph, cloud, log):
    made = await graph.ok("POST", "/groups", {"displayName": "G", "mailNickname": "g", **GROUP})
    person = graph.user("anna")
    path = f"/groups/{made['id']}"
    reference = {"@odata.id": f"{graph.base}/directoryObjects/{person}"}
    await graph.ok("POST", f"{path}/members/$ref", reference)
    await graph.ok("PATCH", path, {"description": "d"})
    await graph.ok("GET", path)
    await graph.ok("DELETE", f"{path}/members/{person}/$ref")
    await graph.ok("DELETE", path)
    events = await log()
    assert [one["operationName"]["value"] for one in events] == [
        "Microsoft.Graph/groups/write",
        "Microsoft.Graph/groups/members/write",
        "Microsoft.Graph/groups/write",
        "Microsoft.Graph/groups/members/delete",
        "Microsoft.Graph/groups/delete",
    ]
    assert {one["resourceId"] for one in events} == {f"/providers/Microsoft.Graph/groups/{made['id']}"}
    assert {one["caller"] for one in events} == {cloud.admin["clientId"]}
    assert {one["status"]["value"] for one in events} == {"Succeeded"}


async def test_a_new_password_is_an_event_without_the_password(graph, log):
    app = await graph.ok("POST", "/applications", {"displayName": "deploy"})
    added = await graph.ok("POST", f"/applications/{app['id']}/addPassword", {})
    *_, event = await log()
    assert event["operationName"]["value"] == "Microsoft.Graph/applications/addPassword/action"
    assert added["secretText"] not in json.dumps(event)


async def test_what_was_refused_is_an_event_and_equal_refusals_are_one(graph, log):
    graph.user("mallory")
    victim = graph.user("anna")
    for _ in range(3):
        assert (await graph.refused("DELETE", f"/users/{victim}", by="mallory"))[0] == 403
    (event,) = await log()
    assert (event["status"]["value"], event["subStatus"]["value"]) == ("Failed", "Forbidden")
    assert json.loads(event["properties"]["statusMessage"])["error"]["code"] == "Authorization_RequestDenied"


async def test_reading_and_nonsense_are_no_events(graph, log):
    await graph.ok("GET", "/users")
    await graph.refused("POST", "/nonsense", {})
    await graph.refused("DELETE", "/users")
    assert await log() == []
