"""Tags at a scope, and the tag names of a subscription."""

from __future__ import annotations

import pytest

TAGS = "providers/Microsoft.Resources/tags/default"
GROUP = "resourceGroups/demo"
MACHINE = f"{GROUP}/providers/Microsoft.HybridCompute/machines/web1"
ENDPOINT = f"{MACHINE}/providers/Microsoft.HybridConnectivity/endpoints/default"


def code(answer):
    return answer.json()["error"]["code"] if answer.status_code >= 400 else answer.status_code


def body(tags, operation=""):
    return {"properties": {"tags": tags}} | ({"operation": operation} if operation else {})


@pytest.fixture
async def place(arm):
    await arm.group()
    await arm.machine()
    return arm


@pytest.mark.parametrize("scope", ["", GROUP, MACHINE])
async def test_tags_are_put_merged_replaced_deleted_and_seen_in_the_resource(place, cloud, scope):
    path = f"{scope}/{TAGS}".lstrip("/")
    put = await place("PUT", path, body({"Env": "dev", "team": "a"}))
    assert put.status_code == 200
    assert put.json() == {
        "id": f"{cloud.subscription}/{path}",
        "name": "default",
        "type": "Microsoft.Resources/tags",
        "properties": {"tags": {"Env": "dev", "team": "a"}},
    }
    assert (await place("GET", path)).json() == put.json()
    assert (await place("GET", path.removesuffix("/default"))).json() == {"value": [put.json()]}
    assert (await place("GET", scope)).json()["tags"] == {"Env": "dev", "team": "a"}

    async def patched(operation, tags):
        answer = await place("PATCH", path, body(tags, operation))
        assert answer.status_code == 200, answer.text
        found = answer.json()["properties"]["tags"]
        assert (await place("GET", scope)).json().get("tags", {}) == found
        return found

    assert await patched("Merge", {"ENV": "prod", "cost": "1"}) == {"team": "a", "ENV": "prod", "cost": "1"}
    assert await patched("Delete", {"Cost": "2"}) == {"team": "a", "ENV": "prod", "cost": "1"}
    assert await patched("Delete", {"Cost": "1", "TEAM": ""}) == {"ENV": "prod"}
    assert await patched("replace", {"x": "y"}) == {"x": "y"}
    deleted = await place("DELETE", path)
    assert (deleted.status_code, deleted.content) == (200, b"")
    assert (await place("GET", scope)).json().get("tags", {}) == {}


async def test_a_change_of_tags_changes_etag_and_author_and_can_be_found_by_filter(place):
    before = await place("GET", MACHINE)
    await place("PUT", f"{MACHINE}/{TAGS}", body({"a": "b"}))
    after = await place("GET", MACHINE)
    assert before.headers["etag"] != after.headers["etag"]
    assert before.json()["properties"] == after.json()["properties"]
    found = (await place("GET", "resources?$filter=tagName eq 'A' and tagValue eq 'b'")).json()["value"]
    assert [one["name"] for one in found] == ["web1"]
    await place("PUT", f"{MACHINE}/{TAGS}", body({"a": "b"}))
    assert (await place("GET", MACHINE)).headers["etag"] == after.headers["etag"]


async def test_bad_tags_are_refused_and_change_nothing(place):
    path = f"{MACHINE}/{TAGS}"
    await place("PUT", path, body({f"t{number}": "" for number in range(50)}))
    assert code(await place("PATCH", path, body({"more": ""}, "Merge"))) == "TooManyTags"
    assert code(await place("PATCH", path, body({"a": "b"}, "Add"))) == "InvalidRequestContent"
    assert code(await place("PATCH", path, body({"a": "b"}) | {"operation": 1})) == "InvalidRequestContent"
    assert code(await place("PUT", path, {})) == "InvalidRequestContent"
    assert code(await place("PUT", path, body({"a": 1}))) == "InvalidRequestContent"
    assert code(await place("PUT", path, body({"a<": ""}))) == "InvalidTagNameCharacters"
    assert code(await place("PUT", path, body({"a" * 513: ""}))) == "InvalidTagName"
    assert code(await place("PUT", path, body({"a": "b" * 257}))) == "InvalidTagValueLength"
    assert code(await place("PUT", f"{MACHINE}/{TAGS}x", body({}))) == "NotFound"
    assert code(await place("PUT", f"{MACHINE}x/{TAGS}", body({}))) == "ResourceNotFound"
    assert code(await place("GET", f"resourceGroups/none/{TAGS}")) == "ResourceGroupNotFound"
    assert code(await place("PUT", f"{ENDPOINT}/{TAGS}", body({}))) == "BadRequest"
    assert code(await place("GET", f"/{TAGS}")) == "BadRequest"
    assert len((await place("GET", path)).json()["properties"]["tags"]) == 50


async def test_tags_respect_locks_and_groups_that_are_leaving(place):
    lock = "providers/Microsoft.Authorization/locks/keep"
    await place("PUT", f"{GROUP}/{lock}", {"properties": {"level": "CanNotDelete"}})
    assert code(await place("PUT", f"{MACHINE}/{TAGS}", body({"a": "b"}))) == 200
    assert code(await place("DELETE", f"{MACHINE}/{TAGS}")) == "ScopeLocked"
    await place("PUT", f"{GROUP}/{lock}", {"properties": {"level": "ReadOnly"}})
    assert code(await place("PATCH", f"{MACHINE}/{TAGS}", body({"c": "d"}, "Merge"))) == "ScopeLocked"
    await place("DELETE", f"{GROUP}/{lock}")
    await place("DELETE", GROUP)
    assert code(await place("PUT", f"{MACHINE}/{TAGS}", body({"c": "d"}))) == "ResourceGroupBeingDeleted"
    assert code(await place("PUT", f"{GROUP}/{TAGS}", body({"c": "d"}))) == "ResourceGroupBeingDeleted"


async def test_tags_need_their_own_right(place):
    await place.principal("reader", ("Reader", GROUP))
    assert code(await place("GET", f"{MACHINE}/{TAGS}", by="reader")) == 200
    assert code(await place("PUT", f"{MACHINE}/{TAGS}", body({}), by="reader")) == "AuthorizationFailed"
    assert code(await place("GET", TAGS, by="reader")) == "AuthorizationFailed"


async def test_tag_names_are_predefined_counted_and_forgotten(place, cloud):
    assert (await place("GET", "tagNames")).json() == {"value": []}
    name = {
        "id": f"{cloud.subscription}/tagNames/Env",
        "tagName": "Env",
        "count": {"type": "Total", "value": 0},
        "values": [],
    }
    for status in (201, 200):
        made = await place("PUT", "tagNames/Env")
        assert (made.status_code, made.json()) == (status, name)
    value = {
        "id": f"{cloud.subscription}/tagNames/Env/tagValues/dev",
        "tagValue": "dev",
        "count": {"type": "Total", "value": 0},
    }
    for status in (201, 200):
        made = await place("PUT", "tagNames/Env/tagValues/dev")
        assert (made.status_code, made.json()["tagValue"]) == (status, "dev")
    await place("PUT", f"{MACHINE}/{TAGS}", body({"env": "dev", "Other": "x"}))
    await place("PUT", f"{GROUP}/{TAGS}", body({"ENV": "prod"}))
    other, env = sorted(
        (await place("GET", "tagNames")).json()["value"], key=lambda one: one["tagName"] == "Env"
    )
    assert (other["tagName"], other["count"]["value"]) == ("Other", 1)
    assert (env["tagName"], env["count"]["value"]) == ("Env", 2)
    dev = value | {"count": {"type": "Total", "value": 1}}
    assert [one for one in env["values"] if one["tagValue"] == "dev"] == [dev]
    assert code(await place("DELETE", "tagNames/env/tagValues/dev")) == "Conflict"
    assert code(await place("DELETE", "tagNames/env")) == "Conflict"
    await place("DELETE", f"{MACHINE}/{TAGS}")
    await place("DELETE", f"{GROUP}/{TAGS}")
    assert code(await place("DELETE", "tagNames/env")) == "Conflict"
    assert [code(await place("DELETE", "tagNames/env/tagValues/dev")) for _ in "ab"] == [200, 204]
    assert [code(await place("DELETE", "tagNames/env")) for _ in "ab"] == [200, 204]
    assert (await place("GET", "tagNames")).json() == {"value": []}


async def test_bad_tag_names_are_refused(place):
    assert code(await place("PUT", "tagNames/none/tagValues/x")) == "NotFound"
    assert code(await place("PUT", "tagNames/a%26b")) == "InvalidTagNameCharacters"
    assert code(await place("PUT", f"tagNames/{'a' * 513}")) == "InvalidTagName"
    await place("PUT", "tagNames/a")
    assert code(await place("PUT", f"tagNames/a/tagValues/{'b' * 257}")) == "InvalidTagValueLength"
    await place.principal("reader", ("Reader", ""))
    assert code(await place("GET", "tagNames", by="reader")) == 200
    assert code(await place("PUT", "tagNames/b", by="reader")) == "AuthorizationFailed"
    assert code(await place("DELETE", "tagNames/a", by="reader")) == "AuthorizationFailed"
