"""Lists, queries, pages and batches show what the caller may read, and nothing of anything else.

Two groups hold the same things; everything of one bears the word "hidden" in its name. Who is Reader
of the other never gets to see that word.
"""

from __future__ import annotations

import base64
import json

import pytest

from landbridge_server.arm.resource_type import Kind, ResourceType, ServedType

COMPUTE = "providers/Microsoft.HybridCompute/machines"
ENDPOINTS = "providers/Microsoft.HybridConnectivity/endpoints"
ASSIGNMENTS = "providers/Microsoft.GuestConfiguration/guestConfigurationAssignments"
BODIES = {
    "Microsoft.HybridCompute/machines/extensions": {
        "publisher": "P",
        "type": "T",
        "typeHandlerVersion": "1.0",
    },
    "Microsoft.HybridCompute/machines/runCommands": {"source": {"script": "true"}},
    "Microsoft.GuestConfiguration/guestConfigurationAssignments": {
        "guestConfiguration": {"name": "{name}", "assignmentType": "Audit"}
    },
    "Microsoft.HybridConnectivity/endpoints": {"type": "default"},
    "Microsoft.HybridConnectivity/endpoints/serviceConfigurations": {"serviceName": "SSH", "port": 22},
}


def own_name(kind, name):
    """Some types allow one name only."""
    return {
        "Microsoft.HybridConnectivity/endpoints": "default",
        "Microsoft.HybridConnectivity/endpoints/serviceConfigurations": "SSH",
    }.get(kind.full_type, name)


def collection(kind, group, name):
    """Return the path of the collection of a type in a group; nothing for what lies elsewhere."""
    machine = f"resourceGroups/{group}/{COMPUTE}/{name}"
    known = {
        "Microsoft.Resources/resourceGroups": "resourcegroups",
        "Microsoft.HybridCompute/machines": f"resourceGroups/{group}/{COMPUTE}",
        "Microsoft.HybridCompute/machines/extensions": f"{machine}/extensions",
        "Microsoft.HybridCompute/machines/runCommands": f"{machine}/runCommands",
        "Microsoft.HybridCompute/machines/networkProfile": f"{machine}/networkProfile",
        "Microsoft.HybridConnectivity/endpoints": f"{machine}/{ENDPOINTS}",
        "Microsoft.HybridConnectivity/endpoints/serviceConfigurations": (
            f"{machine}/{ENDPOINTS}/default/serviceConfigurations"
        ),
        "Microsoft.GuestConfiguration/guestConfigurationAssignments": f"{machine}/{ASSIGNMENTS}",
        "Microsoft.GuestConfiguration/guestConfigurationAssignments/reports": (
            f"{machine}/{ASSIGNMENTS}/{name}/reports"
        ),
    }
    if kind.full_type in known:
        return known[kind.full_type]
    return f"resourceGroups/{group}/providers/{kind.full_type}"


class Place:
    """Two groups, and who may read one of them."""

    def __init__(self, cloud):
        self.cloud = cloud
        self.registry = cloud.plane.plane.resources.registry

    async def fill(self, group, name):
        cloud = self.cloud
        await cloud.arm("PUT", f"resourceGroups/{group}", {"location": "local", "tags": {name: name}})
        await cloud.arm("PUT", f"resourceGroups/{group}/{COMPUTE}/{name}", {"location": "local"})
        for kind in self.registry.types():
            if kind.full_type not in BODIES:
                continue
            properties = json.loads(json.dumps(BODIES[kind.full_type]).replace("{name}", name))
            path = f"{collection(kind, group, name)}/{own_name(kind, name)}"
            made = await cloud.arm("PUT", path, {"location": "local", "properties": properties})
            assert made.status_code in (200, 201, 202), (path, made.text)
        lock = f"resourceGroups/{group}/providers/Microsoft.Authorization/locks/{name}"
        body = {"properties": {"level": "CanNotDelete", "notes": name}}
        assert (await cloud.arm("PUT", lock, body, version="2020-05-01")).status_code in (200, 201)

    async def get(self, path, token=""):
        return await self.cloud.arm("GET", path, token=token or self.token)


@pytest.fixture
async def place(cloud):
    made = Place(cloud)
    await cloud.arm("POST", "providers/Microsoft.HybridConnectivity/register")
    await cloud.arm("POST", "providers/Microsoft.GuestConfiguration/register")
    await made.fill("hidden", "hidden1")
    await made.fill("shown", "shown1")
    _, made.token = await cloud.principal("reader", "Reader", "resourceGroups/shown")
    _, made.nobody = await cloud.principal("nobody")
    return made


async def test_the_list_of_each_type_in_a_hidden_group_is_refused(place):
    walked = 0
    for kind in place.registry.types():
        if not isinstance(kind, (ResourceType, ServedType)) or kind.full_type.endswith("/resourceGroups"):
            continue
        if "GET" not in kind.verbs:
            continue
        for token in (place.token, place.nobody):
            answer = await place.get(collection(kind, "hidden", "hidden1"), token)
            assert answer.status_code in (403, 404), (kind.full_type, answer.text)
            # That it is absent is said of types that have no such list, whoever asks.
            if answer.status_code == 404:
                asked_by_owner = await place.cloud.arm("GET", collection(kind, "hidden", "hidden1"))
                assert asked_by_owner.status_code == 404, kind.full_type
        walked += 1
    assert walked >= 12


async def test_the_list_of_each_type_in_ones_own_group_shows_it(place):
    shown = 0
    for kind in place.registry.types():
        if not isinstance(kind, ResourceType) or kind.kind is Kind.GROUP:
            continue
        answer = await place.get(collection(kind, "shown", "shown1"))
        assert answer.status_code == 200, (kind.full_type, answer.text)
        assert "hidden" not in answer.text
        shown += len(answer.json()["value"])
    assert shown >= 6


async def test_lists_of_the_whole_subscription_hold_what_may_be_read(place):
    walked = 0
    for path in (
        "resources",
        "resourcegroups",
        COMPUTE,
        "tagNames",
        "/subscriptions",
        "/providers/Microsoft.Authorization/roleAssignments",
        "resources?$expand=createdTime,changedTime,provisioningState",
        "resources?$filter=resourceType eq 'Microsoft.HybridCompute/machines'",
        "resources?$filter=tagName eq 'hidden1'",
        "resources?$filter=name eq 'hidden1'",
        "resourcegroups?$filter=tagName eq 'hidden1'",
        "resources?$top=1",
        *(
            f"providers/{kind.full_type}"
            for kind in place.registry.types()
            if isinstance(kind, (ResourceType, ServedType)) and "GET" in kind.verbs
        ),
    ):
        answer = await place.get(path)
        assert answer.status_code in (200, 400, 403, 404), (path, answer.text)
        if answer.status_code == 200:
            assert "hidden" not in answer.text, path
            assert "hidden1" not in json.dumps(answer.json().get("value", []))
            walked += 1
        owned = await place.cloud.arm("GET", path)
        assert owned.status_code == 200 or answer.status_code != 200, path
    assert walked >= 6


async def test_who_may_read_nothing_gets_empty_lists_or_a_refusal(place):
    for path in ("resources", "resourcegroups", COMPUTE, "providers", "tagNames"):
        answer = await place.get(path, place.nobody)
        assert answer.status_code == 403, path
    assert (await place.get("/subscriptions", place.nobody)).json() == {"value": []}


async def test_pages_are_decided_anew_and_a_token_of_somebody_else_opens_nothing(place):
    owners = (await place.cloud.arm("GET", "resources?$top=1")).json()
    assert "hidden" in json.dumps(owners)
    found, link = [], owners["nextLink"]
    while link:
        answer = await place.cloud.http.get(link, headers={"authorization": f"Bearer {place.token}"})
        assert answer.status_code == 200
        assert "hidden" not in json.dumps(answer.json()["value"])
        found += answer.json()["value"]
        link = answer.json().get("nextLink", "")
    assert {one["name"] for one in found} <= {"shown1"}
    hidden_key = f"{place.cloud.subscription}/resourcegroups/hidden".lower()
    token = base64.urlsafe_b64encode(hidden_key.encode()).decode().rstrip("=")
    for path in ("resources", COMPUTE, "resourcegroups"):
        answer = await place.get(f"{path}?$skiptoken={token}")
        assert "hidden" not in json.dumps(answer.json().get("value", []))


async def test_resource_graph_answers_with_what_may_be_read(place):
    for query in (
        "resources",
        "resources | where name contains 'hidden'",
        "resources | summarize count() by name",
        "resourcecontainers",
        "resources | project name, tags, properties",
    ):
        body = {"query": query, "subscriptions": [place.cloud.admin["subscriptionId"]]}
        path = "/providers/Microsoft.ResourceGraph/resources"
        answer = await place.cloud.arm("POST", path, body, place.token, version="2021-03-01")
        assert answer.status_code in (200, 400), answer.text
        assert "hidden" not in json.dumps(answer.json().get("data", [])), query
    owners = await place.cloud.arm("POST", path, {"query": "resources | project name"}, version="2021-03-01")
    assert "hidden1" in owners.text


async def test_a_batch_is_decided_request_by_request(place):
    hidden = f"{place.cloud.subscription}/resourceGroups/hidden?api-version=2022-09-01"
    shown = f"{place.cloud.subscription}/resourceGroups/shown?api-version=2022-09-01"
    body = {"requests": [{"httpMethod": "GET", "relativeUrl": url} for url in (hidden, shown)]}
    answer = await place.cloud.arm("POST", "/batch", body, place.token, version="2020-06-01")
    assert [one["httpStatusCode"] for one in answer.json()["responses"]] == [403, 200]


async def test_the_activity_log_tells_nothing_of_what_is_hidden(place):
    events = "providers/Microsoft.Insights/eventtypes/management/values"
    await place.cloud.plane.plane.settle()
    since = "eventTimestamp ge '2000-01-01T00:00:00Z'"

    async def ask(where: str, token: str):
        path = f"{events}?$filter={since}{where}"
        return await place.cloud.arm("GET", path, token=token, version="2015-04-01")

    for where in ("", " and resourceGroupName eq 'hidden'"):
        assert (await ask(where, place.token)).status_code == 403
        assert "hidden" in (await ask(where, "")).text  # there is something to tell
    shown = await ask(" and resourceGroupName eq 'shown'", place.token)
    assert shown.status_code == 200
    assert shown.json()["value"]
    assert "hidden" not in shown.text


@pytest.mark.parametrize("name", ["hidden1", "absent"])
async def test_what_is_hidden_and_what_is_absent_are_refused_alike(place, name):
    answers = set()
    for path in (f"resourceGroups/hidden/{COMPUTE}/{name}", f"resourceGroups/absent/{COMPUTE}/{name}"):
        answer = await place.get(path, place.nobody)
        answers.add((answer.status_code, answer.json()["error"]["code"]))
    assert answers == {(403, "AuthorizationFailed")}
