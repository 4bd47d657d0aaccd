from __future__ import annotations

from landbridge_server.microsoft_graph.shapes import security_identifier

NEW = {"displayName": "Crew", "mailNickname": "crew", "mailEnabled": False, "securityEnabled": True}


async def test_a_group_lives(graph):
    made = await graph.ok("POST", "/groups", NEW | {"description": "who rows"}, status=201)
    assert (made["description"], made["groupTypes"], made["securityEnabled"]) == ("who rows", [], True)
    await graph.ok("PATCH", f"/groups/{made['id']}", {"displayName": "Rowers", "description": None})
    shown = await graph.ok("GET", f"/groups/{made['id']}")
    assert (shown["displayName"], shown["description"], shown["mailNickname"]) == ("Rowers", None, "crew")
    asked = "/groups?$filter=displayName eq 'rowers' and mailNickname eq 'CREW'"
    assert [one["id"] for one in (await graph.ok("GET", asked))["value"]] == [made["id"]]
    await graph.ok("DELETE", f"/groups/{made['id']}")
    assert (await graph.refused("GET", f"/groups/{made['id']}"))[:2] == (404, "Request_ResourceNotFound")


async def test_members_are_users_service_principals_and_groups(graph):
    crew, fleet = await graph.group("crew"), await graph.group("fleet")
    anna, robot = graph.user("anna"), graph.program("robot")
    for group, member in ((crew, anna), (crew, robot), (fleet, crew["id"])):
        await graph.ok("POST", f"/groups/{group['id']}/members/$ref", graph.reference(member))
    members = (await graph.ok("GET", f"/groups/{crew['id']}/members"))["value"]
    assert {one["id"]: one["@odata.type"] for one in members} == {
        anna: "#microsoft.graph.user",
        robot: "#microsoft.graph.servicePrincipal",
    }
    inside = (await graph.ok("GET", f"/groups/{fleet['id']}/transitiveMembers"))["value"]
    assert {one["id"] for one in inside} == {anna, robot, crew["id"]}
    people = (await graph.ok("GET", f"/groups/{crew['id']}/members/microsoft.graph.user"))["value"]
    assert [one["id"] for one in people] == [anna]
    around = (await graph.ok("GET", f"/users/{anna}/transitiveMemberOf"))["value"]
    assert {one["displayName"] for one in around} == {"crew", "fleet"}
    asked = {"groupIds": [fleet["id"], "00000000-0000-0000-0000-000000000000"]}
    for path in (f"/users/{anna}", f"/directoryObjects/{anna}"):
        found = await graph.ok("POST", f"{path}/checkMemberGroups", asked)
        assert found["value"] == [fleet["id"]]
    await graph.ok("DELETE", f"/groups/{crew['id']}/members/{anna}/$ref")
    assert (await graph.ok("POST", f"/users/{anna}/checkMemberGroups", asked))["value"] == []


async def test_groups_in_a_circle_are_harmless(graph):
    one, two = await graph.group("one"), await graph.group("two")
    await graph.ok("POST", f"/groups/{one['id']}/members/$ref", graph.reference(two["id"]))
    await graph.ok("POST", f"/groups/{two['id']}/members/$ref", graph.reference(one["id"]))
    found = await graph.ok("POST", f"/groups/{one['id']}/getMemberGroups", {"securityEnabledOnly": True})
    assert set(found["value"]) == {one["id"], two["id"]}


async def test_owners_and_members_can_be_given_with_a_new_group(graph):
    anna, olaf = graph.user("anna"), graph.user("olaf", "Groups Administrator")
    body = NEW | {
        "owners@odata.bind": [f"{graph.base}/users/{anna}"],
        "members@odata.bind": [f"{graph.base}/directoryObjects('{anna}')"],
    }
    made = await graph.ok("POST", "/groups", body, by="olaf")
    owners = (await graph.ok("GET", f"/groups/{made['id']}/owners"))["value"]
    assert {one["id"] for one in owners} == {anna, olaf}
    assert [one["id"] for one in (await graph.ok("GET", f"/groups/{made['id']}/members"))["value"]] == [anna]
    owned = (await graph.ok("GET", "/me/ownedObjects", by="anna"))["value"]
    assert [(one["id"], one["@odata.type"]) for one in owned] == [(made["id"], "#microsoft.graph.group")]


async def test_what_is_wrong_with_a_group_is_said(graph):
    for change, said in [
        ({"mailEnabled": True}, "Only security groups are supported"),
        ({"securityEnabled": False}, "Only security groups are supported"),
        ({"groupTypes": ["Unified"]}, "Only security groups are supported"),
        ({"isAssignableToRole": True}, "cannot be given to groups"),
        ({"mailNickname": "two words"}, "Invalid value specified for property 'mailNickname'"),
        ({"mailNickname": None}, "A value is required for property 'mailNickname'"),
        ({"displayName": "x" * 300}, "1 to 256"),
        ({"members@odata.bind": ["nobody"]}, "Invalid object reference"),
        ({"members@odata.bind": "x"}, "A list of addresses"),
        ({"sponsors@odata.bind": []}, "cannot be given here"),
        ({"rank": 1}, "Invalid property 'rank'"),
    ]:
        status, code, message = await graph.refused("POST", "/groups", NEW | change)
        assert (status, code) == (400, "Request_BadRequest"), change
        assert said in message
    assert (await graph.ok("GET", "/groups"))["value"] == []


async def test_references_that_cannot_be_are_refused(graph):
    group = await graph.group()
    app, _ = await graph.app()
    anna = graph.user("anna")
    members = f"/groups/{group['id']}/members"
    await graph.ok("POST", f"{members}/$ref", graph.reference(anna))
    nobody = "00000000-0000-0000-0000-000000000000"
    assert (await graph.refused("POST", f"{members}/$ref", graph.reference(anna)))[2] == (
        "One or more added object references already exist for the following modified properties: 'members'."
    )
    assert (await graph.refused("POST", f"{members}/$ref", graph.reference(app["id"])))[0] == 400
    assert (await graph.refused("POST", f"{members}/$ref", graph.reference(nobody)))[0] == 404
    assert (await graph.refused("POST", f"{members}/$ref", {}))[0] == 400
    assert (await graph.refused("DELETE", f"{members}/{nobody}/$ref"))[0] == 404
    assert (await graph.refused("DELETE", f"{members}/nobody/$ref"))[0] == 400
    assert (await graph.refused("POST", f"/groups/{nobody}/members/$ref", graph.reference(anna)))[0] == 404
    assert (await graph.refused("POST", f"/groups/{group['id']}/memberOf/$ref", graph.reference(anna)))[
        0
    ] == 400
    assert (await graph.refused("POST", f"/groups/{group['id']}/owners/$ref", graph.reference(group["id"])))[
        0
    ] == 404


def test_a_security_identifier_is_the_object_id_in_four_numbers():
    # Microsoft's own example of the conversion (documentation of Entra's device management).
    assert security_identifier("73d664e4-0886-4a73-b745-c694da45ddb4") == (
        "S-1-12-1-1943430372-1249052806-2496021943-3034400218"
    )
