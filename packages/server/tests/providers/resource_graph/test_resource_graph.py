"""Queries over everything that a caller may read."""

from __future__ import annotations

import itertools

import pytest

from landbridge_server.arm.registrations import create_subscription
from landbridge_server.providers.resource_graph import run

GRAPH = "/providers/Microsoft.ResourceGraph/resources"
TYPE = "microsoft.hybridcompute/machines"
OTHER = "11111111-2222-3333-4444-555555555555"


def code(answer):
    return answer.json()["error"]["code"]


@pytest.fixture
async def place(arm, cloud):
    """Two groups with machines, and a second subscription with one more."""
    await arm.group("Red", tags={"team": "a"})
    await arm.group("blue")
    for name, group, tags, city in (
        ("Web1", "Red", {"Env": "prod", "n": "1"}, "Bern"),
        ("web2", "Red", {"env": "dev"}, "Rome"),
        ("db_1", "blue", {"env": "prod"}, "Rome"),
        ("db%2", "blue", {}, None),
    ):
        properties = {"locationData": {"name": city, "city": city}} if city else {}
        made = await arm.machine(name.replace("%", "-"), group, tags=tags, properties=properties)
        assert made.status_code == 200
    with cloud.plane.db.writing() as connection:
        create_subscription(connection, OTHER, cloud.admin["tenantId"], "other", cloud.clock())
    await arm("PUT", f"/subscriptions/{OTHER}/resourceGroups/far", {"location": "local"})
    far = f"/subscriptions/{OTHER}/resourceGroups/far/providers/Microsoft.HybridCompute/machines/far1"
    await arm("PUT", far, {"location": "local", "properties": {}})
    return arm


async def ask(arm, query, *, options=None, by="", **more):
    body = {"query": query} | ({"options": options} if options else {}) | more
    answer = await arm("POST", GRAPH, body, version="2021-03-01", by=by)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def names(arm, query, **more):
    return [row["name"] for row in (await ask(arm, f"{query} | project name", **more))["data"]]


async def test_a_row_shows_a_resource_as_readers_see_it(place, cloud):
    found = await ask(place, "Resources | where name =~ 'WEB1'")
    assert {name: found[name] for name in ("totalRecords", "count", "resultTruncated", "facets")} == {
        "totalRecords": 1,
        "count": 1,
        "resultTruncated": "false",
        "facets": [],
    }
    (row,) = found["data"]
    shown = (await place("GET", f"resourceGroups/red/providers/{TYPE}/web1")).json()
    assert row["properties"] == shown["properties"]
    assert row["identity"] == shown["identity"]
    assert row["tags"] == {"Env": "prod", "n": "1"}
    assert (row["name"], row["type"], row["resourceGroup"]) == ("Web1", TYPE, "red")
    assert row["id"] == shown["id"]
    assert row["subscriptionId"] == cloud.admin["subscriptionId"]
    assert row["tenantId"] == cloud.admin["tenantId"]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("name == 'Web1'", ["Web1"]),
        ("name == 'web1'", []),
        ("name =~ 'WEB1'", ["Web1"]),
        ("name != 'Web1'", ["far1", "db_1", "db-2", "web2"]),
        ("name !~ 'web1'", ["far1", "db_1", "db-2", "web2"]),
        ("name contains 'EB'", ["Web1", "web2"]),
        ("name contains_cs 'We'", ["Web1"]),
        ("name !contains 'eb'", ["far1", "db_1", "db-2"]),
        ("name contains '_'", ["db_1"]),
        ("name startswith 'DB'", ["db_1", "db-2"]),
        ("name endswith '1' and name !startswith 'f'", ["Web1", "db_1"]),
        ("name has '2'", ["db-2"]),
        ("name in ('Web1', 'WEB2')", ["Web1"]),
        ("name in~ ('Web1', 'WEB2')", ["Web1", "web2"]),
        ("name !in~ ('Web1', 'WEB2')", ["far1", "db_1", "db-2"]),
        ("resourceGroup == 'red'", ["Web1", "web2"]),
        ("resourceGroup =~ 'RED' or name == 'db_1'", ["db_1", "Web1", "web2"]),
        (f"type == '{TYPE}' and location == 'local'", ["far1", "db_1", "db-2", "Web1", "web2"]),
        (f"subscriptionId == '{OTHER}'", ["far1"]),
        ("tags.env == 'prod'", ["db_1", "Web1"]),
        ("tags['ENV'] =~ 'PROD'", ["db_1", "Web1"]),
        ("tags.env != 'prod'", ["far1", "db-2", "web2"]),
        ("isempty(tags.env)", ["far1", "db-2"]),
        ("not(tags.env in ('prod', 'dev'))", ["far1", "db-2"]),
        ("isnotempty(tags.n)", ["Web1"]),
        ("properties.locationData.city == 'Rome'", ["db_1", "web2"]),
        ("properties.locationData.city > 'c'", ["db_1", "web2"]),
        ("isnull(properties.locationData)", ["far1", "db-2"]),
        ("properties.status == 'AwaitingConnection' and name == 'Web1'", ["Web1"]),
        ("tolower(name) == 'web1'", ["Web1"]),
        ("tostring(tags) contains 'dev'", ["web2"]),
        ("id endswith '/web2'", ["web2"]),
    ],
)
async def test_conditions(place, condition, expected):
    found = await names(place, f"resources | where {condition}")
    assert sorted(found) == sorted(expected)


TERMS = [
    "name == 'Web1'",
    "name != 'web1'",
    "name =~ 'WEB2'",
    "name contains 'b'",
    "resourceGroup !~ 'RED'",
    "tags.env == 'prod'",
    "tags.ENV !in ('dev')",
    "location startswith 'loc'",
    "name has 'db'",
    "isempty(tags.n)",
]


async def test_what_the_store_looks_after_is_what_would_be_found_without_it(place, monkeypatch):
    """Each pair of conditions, joined and negated: with and without the store's help."""
    queries = [
        f"resources | where {joined} | order by name asc"
        for first, second in itertools.combinations(TERMS, 2)
        for joined in (f"{first} and {second}", f"{first} or not({second})", f"not({first} or {second})")
    ]
    helped = [await names(place, query) for query in queries]
    monkeypatch.setattr(run, "narrowed", lambda conditions: (run.graph.Every(), False))
    assert [await names(place, query) for query in queries] == helped
    assert any(helped)


async def test_rows_are_ordered_limited_and_projected(place):
    everyone = await names(place, "resources | order by name asc")
    assert everyone == ["db-2", "db_1", "far1", "Web1", "web2"]
    assert await names(place, "resources | order by name") == everyone[::-1]
    assert await names(place, "resources | sort by resourceGroup asc, name desc") == [
        "db_1",
        "db-2",
        "far1",
        "web2",
        "Web1",
    ]
    by_tag = "resources | order by tostring(tags.env) desc, name asc"
    assert await names(place, by_tag) == ["db_1", "Web1", "web2", "db-2", "far1"]
    assert await names(place, "resources | order by name asc | limit 2") == everyone[:2]
    found = await ask(
        place,
        "resources | project n = name, city = tostring(properties.locationData.city), tags.env"
        " | where n =~ 'web2' | take 1",
    )
    assert found["data"] == [{"n": "web2", "city": "Rome", "tags_env": "dev"}]


async def test_rows_are_counted(place):
    by_group = "resources | summarize count() by resourceGroup"
    expected = [
        {"resourceGroup": "blue", "count_": 2},
        {"resourceGroup": "far", "count_": 1},
        {"resourceGroup": "red", "count_": 2},
    ]
    assert (await ask(place, by_group))["data"] == expected
    by_city = (
        "resources | summarize n = count() by city = tostring(properties.locationData.city) | order by n"
    )
    assert (await ask(place, by_city))["data"] == [
        {"city": "", "n": 2},
        {"city": "Rome", "n": 2},
        {"city": "Bern", "n": 1},
    ]
    assert (await ask(place, "resources | summarize count()"))["data"] == [{"count_": 5}]
    nothing = await ask(place, "resources | where tags.x == 'y' | summarize count()")
    assert (nothing["data"], nothing["totalRecords"]) == ([{"count_": 0}], 1)
    assert (await ask(place, f"{by_group} | where count_ > 1 | project resourceGroup | limit 1"))["data"] == [
        {"resourceGroup": "blue"}
    ]
    limited = (
        "resources | order by name asc | limit 3 | summarize count() by resourceGroup | order by count_ asc"
    )
    assert [row["count_"] for row in (await ask(place, limited))["data"]] == [1, 2]


@pytest.mark.parametrize(
    "query",
    [
        "resources",
        "resources | order by name asc",
        "resources | where tostring(tags) != 'x'",
        "resources | where tostring(tags) != 'x' | order by tolower(name) asc",
        "resources | summarize count() by name",
        "resourcecontainers",
        "resourcecontainers | order by name desc",
        "resources | limit 4",
        "resources | where tostring(tags) != 'x' | limit 4",
        "resources | limit 5 | where name != 'x'",
    ],
)
async def test_pages_make_up_the_whole(place, query):
    whole = (await ask(place, query))["data"]
    seen, options, total = [], {"$top": 2}, None
    while True:
        found = await ask(place, query, options=options)
        assert found["count"] == len(found["data"]) <= 2
        total = total or found["totalRecords"]
        assert found["totalRecords"] == total
        seen += found["data"]
        if "$skipToken" not in found:
            break
        options = {"$skipToken": found["$skipToken"]}
    assert seen == whole
    assert total == len(whole)
    skipped = await ask(place, query, options={"$skip": 1, "$top": 2})
    assert skipped["data"] == whole[1:3]


async def test_a_page_goes_on_after_its_last_row_whatever_came_before_it(place):
    query = "resources | where resourceGroup == 'red' | project name"
    first = await ask(place, query, options={"$top": 1})
    assert [row["name"] for row in first["data"]] == ["Web1"]
    await place.machine("a1", "red")
    second = await ask(place, query, options={"$skipToken": first["$skipToken"]})
    assert [row["name"] for row in second["data"]] == ["web2"]


async def test_a_table_has_columns_and_rows(place):
    found = await ask(
        place,
        "resources | project name, tags, up = isnotempty(name) | where name == 'web2'",
        options={"resultFormat": "table"},
    )
    assert found["data"] == {
        "columns": [
            {"name": "name", "type": "string"},
            {"name": "tags", "type": "object"},
            {"name": "up", "type": "boolean"},
        ],
        "rows": [["web2", {"env": "dev"}, True]],
    }
    counted = await ask(place, "resources | summarize count() by location", options={"resultFormat": "table"})
    assert counted["data"] == {
        "columns": [{"name": "location", "type": "string"}, {"name": "count_", "type": "integer"}],
        "rows": [["local", 5]],
    }


async def test_containers_are_subscriptions_and_groups(place, cloud):
    found = (await ask(place, "ResourceContainers | project name, type, tags"))["data"]
    groups = "microsoft.resources/subscriptions/resourcegroups"
    assert sorted((row["name"], row["type"]) for row in found) == [
        ("Landbridge", "microsoft.resources/subscriptions"),
        ("Red", groups),
        ("blue", groups),
        ("far", groups),
        ("other", "microsoft.resources/subscriptions"),
    ]
    tagged = await names(place, "resourcecontainers | where tags.team == 'a'")
    assert tagged == ["Red"]
    (own,) = (await ask(place, f"resourcecontainers | where id == '{cloud.subscription}'"))["data"]
    assert own["properties"] == {"state": "Enabled"}


async def test_only_what_the_caller_may_read_is_there(place, cloud):
    await place.principal("red", ("Reader", "resourceGroups/red"))
    await place.principal("one", ("Reader", f"resourceGroups/blue/providers/{TYPE}/db_1"))
    await place.principal("joiner", ("Azure Connected Machine Onboarding", "resourceGroups/red"))
    await place.principal("nobody")
    for who, machines, containers in (
        ("red", ["Web1", "web2"], ["Landbridge", "Red"]),
        ("one", ["db_1"], ["Landbridge"]),
        ("joiner", ["Web1", "web2"], ["Landbridge"]),
        ("nobody", [], []),
    ):
        assert sorted(await names(place, "resources", by=who)) == machines
        assert sorted(await names(place, "resourcecontainers", by=who)) == containers
        counted = await ask(place, "resources | summarize count()", by=who)
        assert counted["data"] == [{"count_": len(machines)}]
    mine, other = cloud.admin["subscriptionId"], OTHER
    assert await names(place, "resources", subscriptions=[other]) == ["far1"]
    assert len(await names(place, "resources", subscriptions=[mine.upper(), other])) == 5
    assert await names(place, "resources", subscriptions=[other], by="red") == []
    assert await names(place, "resources", subscriptions=[OTHER.replace("1", "9")]) == []


async def test_facets_say_that_they_are_not_supported(place):
    found = await ask(place, "resources", facets=[{"expression": "location"}])
    (facet,) = found["facets"]
    assert (facet["expression"], facet["resultType"]) == ("location", "FacetError")
    assert found["count"] == 5


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, "InvalidRequestContent"),
        ({"query": 1}, "InvalidRequestContent"),
        ({"query": "resources", "subscriptions": "x"}, "InvalidRequestContent"),
        ({"query": "resources", "subscriptions": ["x"]}, "InvalidSubscriptionId"),
        ({"query": "resources", "managementGroups": ["x"]}, "BadRequest"),
        ({"query": "resources", "options": []}, "InvalidRequestContent"),
        ({"query": "resources", "options": {"$top": 0}}, "InvalidParameter"),
        ({"query": "resources", "options": {"$top": 1001}}, "InvalidParameter"),
        ({"query": "resources", "options": {"$top": "5"}}, "InvalidParameter"),
        ({"query": "resources", "options": {"$skip": -1}}, "InvalidParameter"),
        ({"query": "resources", "options": {"$skipToken": "?"}}, "InvalidParameter"),
        ({"query": "resources", "options": {"$skipToken": 5}}, "InvalidParameter"),
        ({"query": "resources", "options": {"resultFormat": "csv"}}, "InvalidParameter"),
        ({"query": "resources", "facets": 5}, "InvalidRequestContent"),
    ],
)
async def test_bad_requests_are_refused(arm, body, expected):
    answer = await arm("POST", GRAPH, body, version="2021-03-01")
    assert (answer.status_code, code(answer)) == (400, expected)


async def test_a_token_belongs_to_its_query_and_its_caller(place):
    token = (await ask(place, "resources", options={"$top": 1}))["$skipToken"]
    await place.principal("reader", ("Reader", ""))
    body = {"query": "resources | where name != 'x'", "options": {"$skipToken": token}}
    assert code(await place("POST", GRAPH, body, version="2021-03-01")) == "InvalidParameter"
    body["query"] = "resources"
    assert (await place("POST", GRAPH, body, version="2021-03-01")).status_code == 200
    answer = await place("POST", GRAPH, body, version="2021-03-01", by="reader")
    assert code(answer) == "InvalidParameter"


async def test_an_invalid_query_is_refused_as_the_service_does_with_its_place(arm):
    answer = await arm("POST", GRAPH, {"query": "resources | wher x"}, version="2021-03-01")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "BadRequest")
    assert [one["code"] for one in error["details"]] == ["InvalidQuery", "ParserFailure"]
    assert (error["details"][1]["line"], error["details"][1]["characterPositionInLine"]) == (1, 12)
    assert error["details"][1]["token"] == "wher"


async def test_queries_that_take_too_long_or_keep_too_much_end(place, monkeypatch):
    monkeypatch.setattr(run, "SECONDS", -1.0)
    answer = await place(
        "POST", GRAPH, {"query": "resources | where tostring(tags) != 'x'"}, version="2021-03-01"
    )
    assert (answer.status_code, "took longer" in answer.json()["error"]["message"]) == (400, True)
    monkeypatch.setattr(run, "SECONDS", 20.0)
    monkeypatch.setattr(run, "MATCHES", 2)
    for query in ("resources | order by tolower(name)", "resources | summarize count() by tags.n, name"):
        answer = await place("POST", GRAPH, {"query": query}, version="2021-03-01")
        assert (answer.status_code, "more than 2 rows" in answer.json()["error"]["message"]) == (400, True)
