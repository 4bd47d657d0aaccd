from __future__ import annotations

import pytest

MACHINES = "Microsoft.HybridCompute/machines"


@pytest.fixture
async def five(arm):
    await arm.group("one")
    await arm.group("two", tags={"Env": "prod"})
    for number in range(3):
        await arm.machine(f"m{number}", "one", tags={"Env": "Prod", "n": str(number)})
    await arm.machine("M1", "two", tags={"env": "test"})
    await arm.machine("other", "two")
    return arm


async def names(arm, path):
    answer = await arm("GET", path)
    assert answer.status_code == 200, answer.text
    return [one["name"] for one in answer.json()["value"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["m0", "m1", "m2", "M1", "other"]),
        ("$filter=", ["m0", "m1", "m2", "M1", "other"]),
        ("$filter=name eq 'm1'", ["m1", "M1"]),
        ("$filter=resourceGroup eq 'TWO'", ["M1", "other"]),
        (f"$filter=resourceType eq '{MACHINES}' and resourceGroup eq 'one'", ["m0", "m1", "m2"]),
        ("$filter=resourceType eq 'Contoso.X/y'", []),
        (f"$filter=resourceType ne '{MACHINES}'", []),
        ("$filter=name ne 'm1'", ["m0", "m2", "other"]),
        ("$filter=tagName eq 'ENV'", ["m0", "m1", "m2", "M1"]),
        ("$filter=tagname eq 'env' and tagvalue eq 'Prod'", ["m0", "m1", "m2"]),
        ("$filter=tagname eq 'env' and tagvalue eq 'prod'", []),
        ("$filter=location eq 'Lo Cal'", ["m0", "m1", "m2", "M1", "other"]),
        ("$filter=substringof('the', name)", ["other"]),
        ("$filter=substringof('%25', name)", []),
    ],
)
async def test_the_list_of_resources_is_filtered(five, query, expected):
    assert await names(five, f"resources?{query}") == expected


async def test_a_group_lists_its_own_resources(five):
    assert await names(five, "resourcegroups/two/resources?$filter=name eq 'm1'") == ["M1"]


async def test_resources_are_listed_without_properties_and_with_what_is_expanded(five):
    answer = await five(
        "GET", "resources?$filter=name eq 'other'&$expand=createdTime,changedTime,provisioningState"
    )
    (one,) = answer.json()["value"]
    shown = ("id", "name", "type", "location", "tags", "identity")
    assert set(one) == {*shown, "createdTime", "changedTime", "provisioningState"}


@pytest.mark.parametrize(
    "filter_text",
    [
        "name",
        "name eq m1",
        "name eq 'm1' or name eq 'm2'",
        "colour eq 'x'",
        "tagvalue eq 'x'",
        "name eq 'a",
        "x" * 5000,
    ],
)
async def test_a_filter_that_cannot_be_read_is_400(five, filter_text):
    answer = await five("GET", f"resources?$filter={filter_text}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "InvalidFilterInQueryString")


@pytest.mark.parametrize("path", ["resources", f"providers/{MACHINES}"])
async def test_pages_follow_each_other_by_absolute_links_while_rows_come_and_go(five, cloud, path):
    first = (await five("GET", f"{path}?$top=2")).json()
    assert [one["name"] for one in first["value"]] == ["m0", "m1"]
    assert first["nextLink"].startswith(cloud.config.endpoints.resource_manager + "/subscriptions/")
    await five.machine("a0", "one")
    await five("DELETE", f"resourcegroups/one/providers/{MACHINES}/m1")
    second = (await five("GET", first["nextLink"], version="")).json()
    assert [one["name"] for one in second["value"]] == ["m2", "M1"]
    third = (await five("GET", second["nextLink"], version="")).json()
    assert [one["name"] for one in third["value"]] == ["other"]
    assert "nextLink" not in third


async def test_a_full_last_page_has_no_link(five):
    assert "nextLink" not in (await five("GET", "resources?$top=5")).json()


@pytest.mark.parametrize(
    "query", ["$top=0", "$top=-1", "$top=x", "$top=1.5", "$skiptoken=%F0%9F", "$skiptoken=!"]
)
async def test_a_page_that_cannot_be_is_400(five, query):
    answer = await five("GET", f"resources?{query}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "InvalidParameter")


async def test_groups_are_listed_and_filtered_by_tag(five):
    assert await names(five, "resourcegroups") == ["one", "two"]
    assert await names(five, "resourcegroups?$filter=tagname eq 'env' and tagvalue eq 'prod'") == ["two"]


async def test_an_empty_list_is_an_empty_list(arm):
    await arm.group()
    for path in ("resources", f"providers/{MACHINES}", f"resourcegroups/demo/providers/{MACHINES}"):
        assert (await arm("GET", path)).json() == {"value": []}


async def test_tags_are_replaced_by_a_patch_and_found_by_their_new_value(five):
    path = f"resourcegroups/one/providers/{MACHINES}/m0"
    assert (await five("PATCH", path, {"tags": {"new": "1"}})).json()["tags"] == {"new": "1"}
    assert await names(five, "resources?$filter=tagname eq 'new'") == ["m0"]
    assert await names(five, "resources?$filter=tagname eq 'n'") == ["m1", "m2"]


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({f"t{n}": "" for n in range(51)}, "TooManyTags"),
        ({"x" * 513: ""}, "InvalidTagName"),
        ({"": ""}, "InvalidTagName"),
        ({"a<b": ""}, "InvalidTagNameCharacters"),
        ({"a": "x" * 257}, "InvalidTagValueLength"),
        ({"a": "1", "A": "2"}, "InvalidRequestContent"),
    ],
)
async def test_tags_beyond_the_limits_are_400(arm, tags, expected):
    answer = await arm.group(tags=tags)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, expected)


async def test_resources_are_found_by_their_identity_and_nothing_by_a_plan(arm):
    await arm.group()
    made = {name: (await arm.machine(name)).json()["identity"]["principalId"] for name in ("a", "b")}

    async def found(text):
        answer = await arm("GET", f"resources?$filter={text}")
        assert answer.status_code == 200, answer.text
        return [one["name"] for one in answer.json()["value"]]

    assert await found(f"identity/principalId eq '{made['a'].upper()}'") == ["a"]
    assert await found(f"identity/principalId ne '{made['a']}'") == ["b"]
    assert await found("identity/principalId eq '00000000-0000-0000-0000-000000000000'") == []
    assert await found("plan/publisher eq 'x'") == []
    assert await found("plan/publisher ne 'x' and name eq 'b'") == ["b"]
    refused = await arm("GET", "resources?$filter=substringof('x', identity/principalId)")
    assert refused.json()["error"]["code"] == "InvalidFilterInQueryString"
