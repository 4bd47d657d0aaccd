from __future__ import annotations

from landbridge_server.identity.directory_roles import (
    DIRECTORY_READERS,
    GLOBAL_ADMINISTRATOR,
    GROUPS_ADMINISTRATOR,
)

DEFINITIONS = "/roleManagement/directory/roleDefinitions"
ASSIGNMENTS = "/roleManagement/directory/roleAssignments"
GROUP = {"displayName": "g", "mailNickname": "g", "mailEnabled": False, "securityEnabled": True}


def assignment(principal_id, role=GROUPS_ADMINISTRATOR):
    return {"principalId": principal_id, "roleDefinitionId": role.guid, "directoryScopeId": "/"}


async def test_a_role_is_given_counts_at_once_and_is_taken_away(graph):
    anna = graph.user("anna")
    assert (await graph.refused("POST", "/groups", GROUP, by="anna"))[0] == 403
    made = await graph.ok("POST", ASSIGNMENTS, assignment(anna), status=201)
    await graph.ok("POST", "/groups", GROUP, by="anna")
    listed = await graph.ok("GET", f"{ASSIGNMENTS}?$filter=principalId eq '{anna}'", by="anna")
    assert [one["id"] for one in listed["value"]] == [made["id"]]
    assert (await graph.ok("GET", f"{ASSIGNMENTS}/{made['id']}"))["principalId"] == anna
    assert (await graph.refused("POST", ASSIGNMENTS, assignment(anna)))[:2] == (400, "Request_BadRequest")
    await graph.ok("DELETE", f"{ASSIGNMENTS}/{made['id']}")
    assert (await graph.refused("POST", "/groups", GROUP, by="anna"))[0] == 403
    assert (await graph.refused("DELETE", f"{ASSIGNMENTS}/{made['id']}"))[0] == 404


async def test_only_global_administrators_give_roles_themselves_included(graph):
    for who, role in (("people", "User Administrator"), ("programs", "Application Administrator")):
        object_id = graph.user(who, role)
        wanted = assignment(object_id, GLOBAL_ADMINISTRATOR)
        assert (await graph.refused("POST", ASSIGNMENTS, wanted, by=who))[0] == 403
    (king, *_) = (await graph.ok("GET", ASSIGNMENTS))["value"]
    assert (await graph.refused("DELETE", f"{ASSIGNMENTS}/{king['id']}", by="people"))[0] == 403


async def test_the_last_global_administrator_stays(graph):
    kings = (
        await graph.ok("GET", f"{ASSIGNMENTS}?$filter=roleDefinitionId eq '{GLOBAL_ADMINISTRATOR.guid}'")
    )["value"]
    me = (await graph.ok("GET", "/servicePrincipals?$filter=displayName eq 'admin'"))["value"][0]["id"]
    (other,) = [one for one in kings if one["principalId"] != me]
    (own,) = [one for one in kings if one["principalId"] == me]
    await graph.ok("DELETE", f"{ASSIGNMENTS}/{other['id']}")
    status, _, message = await graph.refused("DELETE", f"{ASSIGNMENTS}/{own['id']}")
    assert (status, message.partition(":")[0]) == (400, "The last Global Administrator stays")
    anna = graph.user("anna")
    await graph.ok("POST", ASSIGNMENTS, assignment(anna, GLOBAL_ADMINISTRATOR))
    await graph.ok("DELETE", f"{ASSIGNMENTS}/{own['id']}")
    assert (await graph.refused("GET", "/users"))[0] == 403


async def test_definitions_are_listed_and_shown(graph):
    graph.user("anna")
    listed = (await graph.ok("GET", DEFINITIONS, by="anna"))["value"]
    assert {"Global Administrator", "Directory Readers"} <= {one["displayName"] for one in listed}
    found = await graph.ok("GET", f"{DEFINITIONS}?$filter=displayName eq 'directory readers'&$select=id")
    assert found["value"] == [{"id": DIRECTORY_READERS.guid}]
    assert (await graph.ok("GET", f"{DEFINITIONS}/{DIRECTORY_READERS.guid}"))["isBuiltIn"] is True


async def test_what_cannot_be_given_is_refused(graph):
    anna = graph.user("anna")
    group = await graph.group()
    for change, status in (
        ({"principalId": group["id"]}, 400),
        ({"principalId": "00000000-0000-0000-0000-000000000000"}, 404),
        ({"roleDefinitionId": "Global Administrator"}, 404),
        ({"directoryScopeId": "/administrativeUnits/x"}, 400),
        ({"directoryScopeId": None}, 400),
        ({"condition": "x"}, 400),
    ):
        assert (await graph.refused("POST", ASSIGNMENTS, assignment(anna) | change))[0] == status, change
    for path in (
        f"{ASSIGNMENTS}?$filter=directoryScopeId eq '/'",
        f"{DEFINITIONS}/x/y",
        "/roleManagement/x/y",
    ):
        assert (await graph.refused("GET", path))[0] == 400, path
    graph.program("robot")
    assert (await graph.refused("GET", ASSIGNMENTS, by="robot"))[0] == 403
