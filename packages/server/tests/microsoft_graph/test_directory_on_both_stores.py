"""One story through all kinds of objects, on each kind of store."""

from __future__ import annotations

import pytest

import postgresql_server


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request):
    """A store of each kind."""
    if request.param == "sqlite":
        yield ""
        return
    server = request.getfixturevalue("postgresql")
    with server.database(postgresql_server.TEMPLATE) as url:
        yield url


async def test_a_program_gets_a_role_through_a_group_in_a_group_and_loses_all_at_once(graph, cloud):
    uri = "api://deploy"
    app, sp = await graph.app("Ärger", identifierUris=[uri])
    inner, outer = await graph.group("inner"), await graph.group("outer")
    for group, member in ((inner, sp["id"]), (outer, inner["id"]), (inner, outer["id"])):
        await graph.ok("POST", f"/groups/{group['id']}/members/$ref", graph.reference(member))
    graph.give(outer["id"], "Reader", cloud.subscription, "Group")
    made = await graph.ok("POST", f"/applications/{app['id']}/addPassword")
    token = await cloud.token(app["appId"], made["secretText"])
    assert (await cloud.arm("GET", cloud.subscription, token=token)).status_code == 200

    for asked in (
        f"/servicePrincipals?$filter=servicePrincipalNames/any(c:c eq '{uri}')",
        "/servicePrincipals?$filter=startswith(displayName,'ä') and not (displayName eq 'x')",
        f"/servicePrincipals?$filter=appId eq '{app['appId']}' or appId eq 'x'",
    ):
        assert [one["id"] for one in (await graph.ok("GET", asked))["value"]] == [sp["id"]], asked
    around = await graph.ok("GET", f"/servicePrincipals/{sp['id']}/transitiveMemberOf?$top=1")
    rest = await graph.ok("GET", around["@odata.nextLink"])
    assert {one["id"] for one in around["value"] + rest["value"]} == {inner["id"], outer["id"]}

    await graph.ok("DELETE", f"/groups/{outer['id']}/members/{inner['id']}/$ref")
    assert (await cloud.arm("GET", cloud.subscription, token=token)).status_code == 403
    await graph.ok("DELETE", f"/applications/{app['id']}")
    assert (await cloud.arm("GET", cloud.subscription, token=token)).status_code == 401
    members = (await graph.ok("GET", f"/groups/{inner['id']}/members"))["value"]
    assert [one["id"] for one in members] == [outer["id"]]


async def test_a_list_is_the_same_in_pages_of_any_size(graph):
    for number in range(9):
        graph.program(f"p{number % 3}")
    whole = [one["id"] for one in (await graph.ok("GET", "/servicePrincipals"))["value"]]
    for size in (1, 4, 10):
        seen, link = [], f"/servicePrincipals?$top={size}&$select=id"
        while link:
            page = await graph.ok("GET", link)
            seen += [one["id"] for one in page["value"]]
            link = page.get("@odata.nextLink")
        assert seen == whole
