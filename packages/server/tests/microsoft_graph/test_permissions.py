"""Who may do what: the roles of the directory, ownership, and who is stronger than whom."""

from __future__ import annotations

import pytest

from landbridge_server.arm import custom_roles, roles
from landbridge_server.arm.grants import grant
from landbridge_server.identity import bootstrap, directory, directory_roles
from landbridge_server.identity import guests as guests_of_tenants
from landbridge_server.store import guests, principals, role_definitions
from landbridge_server.store.role_definitions import Definition

DENIED = (403, "Authorization_RequestDenied")
GROUP = {"displayName": "g", "mailNickname": "g", "mailEnabled": False, "securityEnabled": True}


async def new_user(graph, domain, name="new"):
    return {
        "accountEnabled": True,
        "displayName": name,
        "mailNickname": name,
        "userPrincipalName": f"{name}@{domain}",
        "passwordProfile": {"password": "Correct-Horse-1"},
    }


async def test_who_may_create_what(graph, domain, cloud):
    """The table of ``permissions.py``; an Owner of everything at the resource manager may nothing."""
    graph.user("owner", arm=[("Owner", "/")])
    graph.user("nobody")
    graph.user("reader", "Directory Readers")
    graph.user("people", "User Administrator")
    graph.user("crews", "Groups Administrator")
    graph.user("programs", "Application Administrator")
    graph.user("king", "Global Administrator")
    may = {
        "/users": {"people", "king"},
        "/groups": {"people", "crews", "king"},
        "/applications": {"programs", "king"},
    }
    bodies = {
        "/users": await new_user(graph, domain),
        "/groups": GROUP,
        "/applications": {"displayName": "app"},
    }
    for path, allowed in may.items():
        for who in ("owner", "nobody", "reader", "people", "crews", "programs", "king"):
            body = bodies[path]
            if path == "/users":
                body = await new_user(graph, domain, f"by-{who}")
            answer = await graph("POST", path, body, by=who)
            assert answer.status_code == (201 if who in allowed else 403), (path, who)


async def test_users_read_the_directory_and_programs_only_themselves(graph):
    anna, robot = graph.user("anna"), graph.program("robot")
    other = graph.program("other")
    group = await graph.group()
    await graph.ok("POST", f"/groups/{group['id']}/members/$ref", graph.reference(robot))
    lists = ("/users", "/groups", "/applications", "/servicePrincipals", "/organization", "/domains")
    for path in (*lists, f"/users/{anna}", f"/directoryObjects/{other}"):
        await graph.ok("GET", path, by="anna")
        assert (await graph.refused("GET", path, by="robot"))[:2] == DENIED, path
    own = await graph.ok("GET", f"/servicePrincipals/{robot}", by="robot")
    await graph.ok("GET", f"/directoryObjects/{robot}", by="robot")
    await graph.ok("GET", f"/applications(appId='{own['appId']}')", by="robot")
    groups = await graph.ok("GET", f"/servicePrincipals/{robot}/memberOf", by="robot")
    assert [one["id"] for one in groups["value"]] == [group["id"]]
    nobody = "00000000-0000-0000-0000-000000000000"
    for path in (f"/servicePrincipals/{other}", f"/servicePrincipals/{nobody}", f"/groups/{group['id']}"):
        assert (await graph.refused("GET", path, by="robot"))[:2] == DENIED, path
    body = {"ids": [anna], "types": ["user"]}
    assert (await graph.refused("POST", "/directoryObjects/getByIds", body, by="robot"))[:2] == DENIED


async def test_directory_readers_lets_a_program_read_and_change_nothing(graph, domain):
    graph.program("robot", "Directory Readers")
    assert (await graph.ok("GET", "/users", by="robot"))["value"]
    assert (await graph.refused("POST", "/groups", GROUP, by="robot"))[:2] == DENIED
    assert (await graph.refused("POST", "/users", await new_user(graph, domain), by="robot"))[:2] == DENIED


async def test_an_owner_changes_what_it_owns_and_nothing_else(graph):
    anna, olaf = graph.user("anna"), graph.user("olaf")
    app, sp = await graph.app()
    other, _ = await graph.app("other")
    group = await graph.group()
    for path in (f"/applications/{app['id']}", f"/groups/{group['id']}", f"/servicePrincipals/{sp['id']}"):
        await graph.ok("POST", f"{path}/owners/$ref", graph.reference(anna))
    await graph.ok("PATCH", f"/applications/{app['id']}", {"notes": "mine"}, by="anna")
    await graph.ok("POST", f"/applications/{app['id']}/addPassword", by="anna")
    await graph.ok("POST", f"/servicePrincipals/{sp['id']}/addPassword", by="anna")
    await graph.ok("POST", f"/groups/{group['id']}/members/$ref", graph.reference(anna), by="anna")
    await graph.ok("POST", f"/groups/{group['id']}/owners/$ref", graph.reference(olaf), by="anna")
    await graph.ok("DELETE", f"/groups/{group['id']}/owners/{anna}/$ref", by="anna")
    assert (await graph.refused("PATCH", f"/groups/{group['id']}", {"description": "x"}, by="anna"))[
        :2
    ] == DENIED
    for method, path in (
        ("PATCH", f"/applications/{other['id']}"),
        ("DELETE", f"/applications/{other['id']}"),
        ("POST", f"/applications/{other['id']}/addPassword"),
        ("PATCH", f"/users/{olaf}"),
        ("DELETE", f"/users/{olaf}"),
    ):
        assert (await graph.refused(method, path, {}, by="anna"))[:2] == DENIED, (method, path)
    await graph.ok("DELETE", f"/applications/{app['id']}", by="anna")


async def test_nobody_adds_a_credential_to_an_application_that_is_stronger(graph, cloud):
    """The acceptance of the issue: such a credential would be a way to its roles."""
    graph.user("programs", "Application Administrator", arm=[("Reader", cloud.subscription)])
    graph.user("both", "Application Administrator", arm=[("Owner", cloud.subscription)])
    king = graph.program("king", "Global Administrator")
    app, sp = await graph.app()
    graph.give(sp["id"], "Owner", cloud.subscription)
    for path in (
        f"/applications/{app['id']}",
        f"/servicePrincipals/{sp['id']}",
        f"/servicePrincipals/{king}",
    ):
        for method, rest, body in (
            ("POST", "/addPassword", {}),
            ("PATCH", "", {"keyCredentials": [{"type": "AsymmetricX509Cert", "key": "aGVsbG8="}]}),
            ("PATCH", "", {"accountEnabled": False} if "service" in path else {"displayName": "x"}),
            ("DELETE", "", None),
            ("POST", "/owners/$ref", graph.reference(graph.ids["programs"])),
        ):
            answer = await graph.refused(method, path + rest, body, by="programs")
            assert answer[:2] == DENIED, (method, path + rest)
    assert (
        "holds the role 'Owner' at"
        in (await graph.refused("POST", f"/applications/{app['id']}/addPassword", by="programs"))[2]
    )
    await graph.ok("POST", f"/applications/{app['id']}/addPassword", by="both")
    assert (await graph.refused("POST", f"/servicePrincipals/{king}/addPassword", by="both"))[:2] == DENIED
    await graph.ok("POST", f"/servicePrincipals/{king}/addPassword")


async def test_an_owner_adds_no_credential_to_what_became_stronger(graph, cloud):
    anna = graph.user("anna")
    app, sp = await graph.app()
    await graph.ok("POST", f"/applications/{app['id']}/owners/$ref", graph.reference(anna))
    path = f"/applications/{app['id']}/addPassword"
    await graph.ok("POST", path, by="anna")
    graph.give(sp["id"], "Contributor", cloud.subscription + "/resourceGroups/demo")
    assert (await graph.refused("POST", path, by="anna"))[:2] == DENIED
    graph.give(anna, "Owner", cloud.subscription, "User")
    await graph.ok("POST", path, by="anna")


async def test_strength_counts_through_groups_on_both_sides(graph, cloud):
    """What comes through a group, or a group in a group, counts as if it were held directly."""
    programs = graph.user("programs", "Application Administrator")
    app, sp = await graph.app()
    inner, outer = await graph.group("inner"), await graph.group("outer")
    await graph.ok("POST", f"/groups/{outer['id']}/members/$ref", graph.reference(inner["id"]))
    await graph.ok("POST", f"/groups/{inner['id']}/members/$ref", graph.reference(sp["id"]))
    path = f"/applications/{app['id']}/addPassword"
    await graph.ok("POST", path, by="programs")
    graph.give(outer["id"], "Reader", cloud.subscription, "Group")
    assert (await graph.refused("POST", path, by="programs"))[:2] == DENIED
    await graph.ok("POST", f"/groups/{inner['id']}/members/$ref", graph.reference(programs))
    await graph.ok("POST", path, by="programs")


async def test_nobody_puts_itself_into_a_group_that_is_stronger(graph, cloud):
    crews = graph.user("crews", "Groups Administrator")
    inner, outer = await graph.group("inner"), await graph.group("outer")
    await graph.ok("POST", f"/groups/{outer['id']}/members/$ref", graph.reference(inner["id"]))
    graph.give(outer["id"], "Owner", cloud.subscription, "Group")
    for group in (inner, outer):
        path = f"/groups/{group['id']}/members/$ref"
        assert (await graph.refused("POST", path, graph.reference(crews), by="crews"))[:2] == DENIED
    await graph.ok("DELETE", f"/groups/{outer['id']}/members/{inner['id']}/$ref", by="crews")
    await graph.ok("POST", f"/groups/{inner['id']}/members/$ref", graph.reference(crews), by="crews")


async def test_nobody_takes_over_a_user_that_is_stronger(graph, cloud, domain):
    people = graph.user("people", "User Administrator")
    owner = graph.user("owner", arm=[("Owner", cloud.subscription)])
    plain = graph.user("plain")
    body = {"passwordProfile": {"password": "Another-Horse-2"}}
    for victim in (f"admin@{domain}", owner):
        for method, change in (("PATCH", body), ("PATCH", {"accountEnabled": False}), ("DELETE", None)):
            assert (await graph.refused(method, f"/users/{victim}", change, by="people"))[:2] == DENIED
    assert (await graph.sign_in(f"owner@{domain}", "Correct-Horse-1")).status_code == 200
    await graph.ok("PATCH", f"/users/{plain}", body, by="people")
    await graph.ok("PATCH", f"/users/{people}", {"displayName": "Me"}, by="people")


async def test_managed_identities_are_their_machines(graph, arm, cloud):
    await arm.group()
    assert (await arm.machine()).status_code in (200, 201)
    (machine,) = (
        await graph.ok("GET", "/servicePrincipals?$filter=servicePrincipalType eq 'ManagedIdentity'")
    )["value"]
    assert machine["alternativeNames"][0] == "isExplicit=False"
    path = f"/servicePrincipals/{machine['id']}"
    for method, rest in (("DELETE", ""), ("PATCH", ""), ("POST", "/addPassword")):
        status, code, message = await graph.refused(method, path + rest, {})
        assert (status, code) == DENIED
        assert "identity of a machine" in message


@pytest.fixture
def stranger(cloud, graph):
    """A Global Administrator of another tenant, and a token for it."""
    now = cloud.plane.clock()
    with cloud.plane.db.writing() as connection:
        other = bootstrap.create_tenant(connection, "other.example", "Other", now)
        object_id, _, _ = directory.create_service_principal(connection, other.tenant_id, "stranger", now)
        made = principals.get(connection, object_id)
        graph._give(connection, made, ["Global Administrator"], [])
    graph.tokens["stranger"] = graph.token_for(made)
    return made


async def test_another_tenant_is_another_directory(graph, stranger):
    anna = graph.user("anna")
    app, sp = await graph.app()
    group = await graph.group()
    assert (await graph.ok("GET", "/users", by="stranger"))["value"] == []
    assert [one["id"] for one in (await graph.ok("GET", "/organization", by="stranger"))["value"]] == [
        stranger.tenant_id
    ]
    paths = (
        f"/users/{anna}",
        f"/groups/{group['id']}",
        f"/applications/{app['id']}",
        f"/servicePrincipals/{sp['id']}",
    )
    for path in paths:
        assert (await graph.refused("GET", path, by="stranger"))[0] == 404, path
        assert (await graph.refused("DELETE", path, by="stranger"))[0] == 404, path
        if not path.startswith("/users"):
            rest = "members" if "group" in path else "owners"
            reference = graph.reference(stranger.object_id)
            assert (await graph.refused("POST", f"{path}/{rest}/$ref", reference, by="stranger"))[0] == 404
    assert (await graph.refused("GET", f"/directoryObjects/{anna}", by="stranger"))[0] == 404
    mine = await graph.group("theirs", by="stranger")
    path = f"/groups/{mine['id']}/members/$ref"
    assert (await graph.refused("POST", path, graph.reference(anna), by="stranger"))[0] == 404
    found = await graph.ok("POST", "/directoryObjects/getByIds", {"ids": [anna, sp["id"]]}, by="stranger")
    assert found["value"] == []


async def test_a_guest_is_a_user_of_the_directory_that_only_its_own_tenant_changes(graph, stranger, cloud):
    now = cloud.plane.clock()
    with cloud.plane.db.writing() as connection:
        guest = directory.create_user(
            connection, "other.example", "gil@other.example", "Gil", "Correct-Horse-1", now
        )
        guests_of_tenants.invite(connection, graph.tenant, "gil@other.example", now)
    group = await graph.group()
    await graph.ok("POST", f"/groups/{group['id']}/members/$ref", graph.reference(guest.object_id))
    (found,) = (await graph.ok("GET", "/users?$filter=userPrincipalName eq 'gil@other.example'"))["value"]
    shown = await graph.ok("GET", f"/users/{found['id']}?$select=userType,displayName")
    assert (shown["userType"], shown["displayName"]) == ("Guest", "Gil")
    assert [one["displayName"] for one in (await graph.ok("GET", "/users"))["value"]] == [
        "Administrator",
        "Gil",
    ]
    at_home = await graph.ok("GET", f"/users/{found['id']}?$select=userType", by="stranger")
    assert at_home["userType"] == "Member"
    assert (await graph.refused("PATCH", f"/users/{found['id']}", {"displayName": "x"}))[:2] == DENIED
    assert (await graph.ok("GET", "/users/$count?$filter=displayName eq 'gil'", status=200)) == 1

    await graph.ok("DELETE", f"/users/{found['id']}")
    assert (await graph.refused("GET", f"/users/{found['id']}"))[0] == 404
    assert (await graph.ok("GET", f"/groups/{group['id']}/members"))["value"] == []
    assert (await graph.ok("GET", f"/users/{found['id']}", by="stranger"))["displayName"] == "Gil"


async def test_a_guest_reads_itself_and_nothing_else(graph, stranger, cloud):
    now = cloud.plane.clock()
    other = graph.user("other")
    with cloud.plane.db.writing() as connection:
        guest = directory.create_user(
            connection, "other.example", "gil@other.example", "Gil", "Correct-Horse-1", now
        )
        directory_roles.assign(connection, guest, directory_roles.GLOBAL_ADMINISTRATOR, now)
        guests_of_tenants.invite(connection, graph.tenant, "gil@other.example", now)
    graph.tokens["gil"] = graph.token_for(guest, graph.tenant)
    assert (await graph.ok("GET", "/me", by="gil"))["id"] == guest.object_id
    assert (await graph.ok("GET", "/me/memberOf", by="gil"))["value"] == []
    for path in ("/users", f"/users/{other}", "/groups"):
        assert (await graph.refused("GET", path, by="gil"))[:2] == DENIED, path
    assert (await graph.refused("POST", "/groups", GROUP, by="gil"))[:2] == DENIED


@pytest.mark.parametrize("custom", [False, True], ids=["built-in", "custom"])
async def test_what_a_user_holds_as_a_guest_elsewhere_is_not_held_here(graph, stranger, cloud, custom):
    """'/' is the root of each tenant, and a role of another tenant is not known here."""
    gil = graph.user("gil")
    graph.user("people", "User Administrator", arm=[("Owner", "/")])
    there, now = stranger.tenant_id, cloud.plane.clock()
    with cloud.plane.db.writing() as connection:
        guests.add(connection, there, gil, now)
        role = roles.OWNER
        if custom:
            permissions = '[{"actions": ["*"], "notActions": [], "dataActions": [], "notDataActions": []}]'
            guid = "5ec0de00-0000-4000-8000-000000000001"
            definition = Definition(there, guid, "All", "all", "", permissions, '["/"]', now, "", now, "")
            role_definitions.put(connection, definition, is_new=True)
            role = custom_roles.find(connection, there, guid)
        grant(
            connection,
            tenant_id=there,
            principal_id=gil,
            principal_type="User",
            role=role,
            scope="/",
            now=now,
        )
    password = {"passwordProfile": {"password": "Another-Horse-2"}}
    refusal = await graph.refused("PATCH", f"/users/{gil}", password, by="people")
    assert refusal[:2] == DENIED
