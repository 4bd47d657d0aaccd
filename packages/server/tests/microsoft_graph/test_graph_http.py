"""What clients see around the objects: addresses, audiences, pages, selections and refusals."""

from __future__ import annotations

import asyncio

import pytest

from landbridge_server.testing import ControlPlane


async def test_refusals_have_the_form_of_graph(graph):
    nobody = "00000000-0000-0000-0000-000000000000"
    answer = await graph("GET", f"/users/{nobody}", headers={"client-request-id": "mine"})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (404, "Request_ResourceNotFound")
    assert error["innerError"]["client-request-id"] == "mine"
    assert error["innerError"]["request-id"] == answer.headers["x-ms-request-id"]
    assert answer.headers["content-type"].startswith("application/json;odata.metadata=minimal")
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "", 400, "BadRequest"),
        ("GET", "/planets", 400, "BadRequest"),
        ("GET", "/users(1)", 400, "BadRequest"),
        ("GET", "/users/x/planets", 400, "BadRequest"),
        ("GET", "/groups/not-an-id", 400, "Request_BadRequest"),
        ("GET", "/servicePrincipals(name='x')", 400, "Request_BadRequest"),
        ("GET", "/applications/$count/x", 400, "BadRequest"),
        ("POST", "/applications/x/getMemberGroups", 400, "BadRequest"),
        ("GET", "/oauth2PermissionGrants", 400, "BadRequest"),
        ("PATCH", "/users", 405, "MethodNotAllowed"),
        ("GET", "/directoryObjects/getByIds", 405, "MethodNotAllowed"),
        ("GET", "/users?$filter=mail eq 'x'", 400, "Request_UnsupportedQuery"),
        ("GET", "/users?$filter=nonsense", 400, "BadRequest"),
        ("GET", "/users?$expand=manager", 400, "Request_UnsupportedQuery"),
        ("GET", "/users?$search=x", 400, "Request_UnsupportedQuery"),
        ("GET", "/users?$orderby=mail", 400, "Request_UnsupportedQuery"),
        ("GET", "/users?$top=0", 400, "Request_BadRequest"),
        ("GET", "/users?$top=1000", 400, "Request_BadRequest"),
        ("GET", "/users?$skiptoken=x", 400, "Request_BadRequest"),
        ("GET", "/users?$skiptoken=WyJhIl0", 400, "Request_BadRequest"),
        ("GET", "/users?$select=shoeSize", 400, "Request_BadRequest"),
    ],
)
async def test_what_is_not_offered_is_refused_in_words(shared, method, path, status, code):
    answer = await shared.refused(method, path, {} if method == "PATCH" else None)
    assert answer[:2] == (status, code)
    assert answer[2]


@pytest.fixture(scope="module")
def shared_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("shared") / "cloud"


@pytest.fixture
async def shared(shared_folder, speaking_graph):
    """One cloud for many refusals: nothing in it changes."""
    async with ControlPlane(shared_folder) as plane:
        yield speaking_graph(plane)


async def test_a_body_that_is_no_json_object_is_refused(graph):
    for content in (b"{", b"[]", b'"x"', b"[" * 5000, b'{"a":"\\u0000"}'):
        answer = await graph("POST", "/groups", content=content, headers={"content-type": "application/json"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "Request_BadRequest")
    answer = await graph("POST", "/groups", content=b" " * 300_000)
    assert answer.status_code == 413


async def test_writes_that_wait_together_are_each_answered(graph, cloud):
    """They run in one transaction, by one of their tasks: each keeps its own decision."""
    app, _ = await graph.app()
    graph.user("nobody")
    path = f"/applications/{app['id']}/addPassword"
    answers = await asyncio.gather(
        *(graph("POST", path, {}, by=who) for who in ("", "nobody", "", "", "nobody", ""))
    )
    assert [answer.status_code for answer in answers] == [200, 403, 200, 200, 403, 200]


async def test_lists_come_in_pages_by_name(graph, cloud):
    for number in range(7):
        graph.user(f"u{number}")
    seen, link = [], "/users?$top=3&$select=displayName&$filter=startswith(displayName,'u')&$count=true"
    pages = 0
    while link:
        page = await graph.ok("GET", link)
        assert page["@odata.count"] == 7
        seen += [one["displayName"] for one in page["value"]]
        link, pages = page.get("@odata.nextLink"), pages + 1
    assert (seen, pages) == ([f"U{number}" for number in range(7)], 3)
    answer = await graph("GET", "/users/$count?$filter=startswith(displayName,'u')")
    assert (answer.text, answer.headers["content-type"]) == ("7", "text/plain; charset=utf-8")


async def test_service_principals_of_both_kinds_come_in_one_order(graph, arm):
    await arm.group()
    for name in ("b-machine", "d-machine"):
        await arm.machine(name)
    for name in ("a-app", "c-app", "e-app"):
        graph.program(name)
    seen, link = [], "/servicePrincipals?$top=2"
    while link:
        page = await graph.ok("GET", link)
        seen += [one["displayName"] for one in page["value"]]
        link = page.get("@odata.nextLink")
    assert seen == ["a-app", "admin", "b-machine", "c-app", "d-machine", "e-app"]


async def test_members_come_in_pages(graph):
    group = await graph.group()
    people = [graph.user(f"u{number}") for number in range(5)]
    for one in people:
        await graph.ok("POST", f"/groups/{group['id']}/members/$ref", graph.reference(one))
    seen, link = [], f"/groups/{group['id']}/members?$top=2&$select=id"
    while link:
        page = await graph.ok("GET", link)
        seen += [one["id"] for one in page["value"]]
        link = page.get("@odata.nextLink")
    assert seen == sorted(people)


async def test_objects_are_found_by_their_ids_whatever_they_are(graph):
    anna = graph.user("anna")
    app, sp = await graph.app()
    group = await graph.group()
    ids = [anna, app["id"], sp["id"], group["id"], "00000000-0000-0000-0000-000000000000"]
    found = await graph.ok("POST", "/directoryObjects/getByIds", {"ids": ids})
    assert [one["@odata.type"].rpartition(".")[2] for one in found["value"]] == [
        "user",
        "application",
        "servicePrincipal",
        "group",
    ]
    types = ["user", "group", "servicePrincipal", "directoryObjectPartnerReference"]
    found = await graph.ok("POST", "/directoryObjects/getByIds", {"ids": ids, "types": types})
    assert {one["id"] for one in found["value"]} == {anna, sp["id"], group["id"]}
    for object_id in ids[:4]:
        assert (await graph.ok("GET", f"/directoryObjects/{object_id}"))["id"] == object_id
    for body in ({}, {"ids": "x"}, {"ids": ["x"]}, {"ids": [anna], "types": [1]}, {"ids": [anna] * 1001}):
        assert (await graph.refused("POST", "/directoryObjects/getByIds", body))[0] == 400


async def test_the_tenant_is_an_organization_with_a_domain(graph, domain):
    (found,) = (await graph.ok("GET", "/organization"))["value"]
    assert found["id"] == graph.tenant
    assert found["verifiedDomains"][0]["name"] == domain
    assert (await graph.ok("GET", f"/domains/{domain}"))["isDefault"] is True
    assert (await graph.refused("GET", "/domains/other.example"))[0] == 404


async def test_at_one_origin_the_resource_managers_audience_opens_the_directory(graph, cloud):
    token = await cloud.token()
    answer = await graph("GET", "/users", headers={"authorization": f"Bearer {token}"})
    assert answer.status_code == 200


async def test_at_a_name_of_its_own_only_its_own_audience_opens_it(tmp_path, speaking_graph):
    async with ControlPlane(tmp_path / "named", domain="cloud.example") as cloud:
        graph = speaking_graph(cloud)
        assert graph.base == "https://graph.cloud.example:9443/v1.0"
        assert len((await graph.ok("GET", "/users"))["value"]) == 1
        token = await cloud.token()
        answer = await graph("GET", "/users", headers={"authorization": f"Bearer {token}"})
        assert answer.status_code == 401


async def test_another_version_is_refused(graph):
    address = graph.base.replace("v1.0", "beta")
    assert (await graph.refused("GET", f"{address}/users"))[:2] == (400, "BadRequest")
