"""Nobody makes himself more than he is: by assignments, by definitions of roles, or by groups."""

from __future__ import annotations

import uuid

import pytest

from landbridge_server.arm.grants import grant
from landbridge_server.arm.roles import (
    ACCESS_CONTROL_ADMINISTRATOR,
    BUILT_IN,
    CONTRIBUTOR,
    OWNER,
    READER,
    USER_ACCESS_ADMINISTRATOR,
)
from landbridge_server.identity import directory
from landbridge_server.store import groups, tenants
from landbridge_server.store.groups import Group
from landbridge_server.store.tenants import Tenant

GROUP = "resourceGroups/demo"
ASSIGNMENTS = "providers/Microsoft.Authorization/roleAssignments"
DEFINITIONS = "providers/Microsoft.Authorization/roleDefinitions"
WRITE = "Microsoft.Authorization/roleAssignments/write"
GIVERS = (OWNER, USER_ACCESS_ADMINISTRATOR, ACCESS_CONTROL_ADMINISTRATOR)


def code(answer):
    return answer.status_code, answer.json()["error"]["code"]


def assignment(role, principal_id, **more):
    definition = f"/{DEFINITIONS}/{getattr(role, 'guid', role)}"
    return {"properties": {"roleDefinitionId": definition, "principalId": principal_id, **more}}


def new(kind=ASSIGNMENTS):
    return f"{kind}/{uuid.uuid4()}"


@pytest.fixture
async def place(cloud):
    assert (await cloud.arm("PUT", GROUP, {"location": "local"})).status_code == 201
    return cloud


async def definition(place, **properties):
    """Write a role as the administrator and return its GUID."""
    path = new(DEFINITIONS)
    body = {"roleName": path, "permissions": [{"actions": ["*/read"]}], "assignableScopes": [""]} | properties
    body["assignableScopes"] = [f"{place.subscription}/{one}".rstrip("/") for one in body["assignableScopes"]]
    made = await place.arm("PUT", path, {"properties": body})
    assert made.status_code == 201, made.text
    return path.rpartition("/")[2]


@pytest.mark.parametrize("role", [one for one in BUILT_IN if one not in GIVERS], ids=lambda one: one.name)
async def test_who_may_not_give_roles_gives_himself_none(place, role):
    object_id, token = await place.principal("climber", role.name)
    for scope in ("", f"{GROUP}/", "/"):
        answer = await place.arm("PUT", scope + new(), assignment(OWNER, object_id), token)
        assert code(answer) == (403, "AuthorizationFailed"), scope


async def test_who_may_give_roles_in_a_group_cannot_give_any_above_or_beside_it(place):
    await place.arm("PUT", "resourceGroups/other", {"location": "local"})
    for giver in GIVERS:
        object_id, token = await place.principal(giver.name, giver.name, GROUP)
        for scope in ("", "resourceGroups/other/", "/"):
            answer = await place.arm("PUT", scope + new(), assignment(OWNER, object_id), token)
            assert code(answer) == (403, "AuthorizationFailed"), (giver.name, scope)
        other, _ = await place.principal(f"{giver.name}'s friend")
        given = await place.arm("PUT", f"{GROUP}/{new()}", assignment(READER, other), token)
        assert given.status_code == 201, giver.name


async def test_an_assignment_is_not_carried_to_another_scope_by_its_body(place):
    object_id, token = await place.principal("local", USER_ACCESS_ADMINISTRATOR.name, GROUP)
    body = assignment(OWNER, object_id, scope=place.subscription)
    made = await place.arm("PUT", f"{GROUP}/{new()}", body, token)
    assert made.status_code == 201
    assert made.json()["properties"]["scope"] == f"{place.subscription}/{GROUP}"
    assert code(await place.arm("PUT", "resourceGroups/more", {"location": "local"}, token))[0] == 403


@pytest.mark.parametrize("verb", ["PUT", "DELETE"])
async def test_who_may_not_write_roles_changes_none_that_he_holds(place, verb):
    guid = await definition(place)
    object_id, token = await place.principal("climber", CONTRIBUTOR.name)
    assert (await place.arm("PUT", new(), assignment(guid, object_id))).status_code == 201
    body = {"properties": {"roleName": "x", "permissions": [{"actions": ["*"]}]}}
    body["properties"]["assignableScopes"] = [place.subscription]
    answer = await place.arm(verb, f"{DEFINITIONS}/{guid}", body if verb == "PUT" else None, token)
    assert code(answer) == (403, "AuthorizationFailed")
    shown = (await place.arm("GET", f"{DEFINITIONS}/{guid}")).json()["properties"]
    assert shown["permissions"][0]["actions"] == ["*/read"]


async def test_who_writes_roles_for_one_group_makes_none_that_reach_further(place):
    _, token = await place.principal("local", USER_ACCESS_ADMINISTRATOR.name, GROUP)
    body = {"roleName": "mine", "permissions": [{"actions": ["*"]}], "assignableScopes": [place.subscription]}
    answer = await place.arm("PUT", f"{GROUP}/{new(DEFINITIONS)}", {"properties": body}, token)
    assert code(answer) == (403, "AuthorizationFailed")


async def test_who_writes_roles_for_one_group_does_not_pull_one_of_the_subscription_into_it(place):
    guid = await definition(place)
    _, token = await place.principal("local", USER_ACCESS_ADMINISTRATOR.name, GROUP)
    body = {"roleName": "mine", "permissions": [{"actions": ["*"]}]}
    body["assignableScopes"] = [f"{place.subscription}/{GROUP}"]
    path = f"{GROUP}/{DEFINITIONS}/{guid}"
    assert code(await place.arm("PUT", path, {"properties": body}, token)) == (403, "AuthorizationFailed")
    assert code(await place.arm("DELETE", path, None, token)) == (403, "AuthorizationFailed")


async def test_a_built_in_role_cannot_be_overwritten_even_by_an_owner(place):
    body = {"roleName": "Reader", "permissions": [{"actions": ["*"]}]}
    body["assignableScopes"] = [place.subscription]
    answer = await place.arm("PUT", f"{DEFINITIONS}/{READER.guid}", {"properties": body})
    assert code(answer) == (409, "OperationNotAllowed")


async def owners(place):
    """Return the assignments of Owner at the root; that of the test's own principal comes last."""
    listed = await place.arm("GET", f"/{ASSIGNMENTS}?$filter=atScope()")
    found = [one for one in listed.json()["value"] if OWNER.guid in one["properties"]["roleDefinitionId"]]
    mine = (await place.arm("GET", f"/{ASSIGNMENTS}?$filter=assignedTo()")).json()["value"]
    return sorted(found, key=lambda one: one["id"] in [own["id"] for own in mine])


async def test_the_last_owner_of_the_root_stays(place):
    *others, last = await owners(place)
    for one in others:
        assert (await place.arm("DELETE", one["id"])).status_code == 200
    assert code(await place.arm("DELETE", last["id"])) == (412, "CannotDeleteLastRbacAdminAssignment")
    friend, _ = await place.principal("friend")
    lower = await place.arm("PUT", new(), assignment(OWNER, friend))
    assert code(await place.arm("DELETE", last["id"])) == (412, "CannotDeleteLastRbacAdminAssignment")
    assert (await place.arm("DELETE", lower.json()["id"])).status_code == 200  # the root's is above it
    await place.arm("PUT", f"/{new()}", assignment(USER_ACCESS_ADMINISTRATOR, friend))
    assert (await place.arm("DELETE", last["id"])).status_code == 200


async def test_an_owner_below_a_subscription_may_go_whoever_is_left(place):
    second, _ = await place.principal("second")
    made = await place.arm("PUT", f"{GROUP}/{new()}", assignment(OWNER, second))
    assert (await place.arm("DELETE", made.json()["id"])).status_code == 200


async def test_a_principal_that_does_not_exist_is_given_no_role(place):
    answer = await place.arm("PUT", new(), assignment(READER, str(uuid.uuid4())))
    assert code(answer) == (400, "PrincipalNotFound")


@pytest.mark.parametrize("kind", ["ServicePrincipal", "Group"])
async def test_a_principal_of_another_tenant_is_given_no_role(place, kind):
    other = Tenant("11111111-2222-3333-4444-555555555555", "Other", "other.example", 0.0)
    stranger = str(uuid.uuid4())
    with place.plane.plane.db.writing() as connection:
        tenants.add(connection, other)
        if kind == "Group":
            groups.add(connection, Group(stranger, other.tenant_id, "g", "g", "g", "{}", 0.0))
        else:
            made = directory.create_service_principal(connection, other.tenant_id, "sp", 0.0)
            stranger = made[0]
    answer = await place.arm("PUT", new(), assignment(READER, stranger, principalType=kind))
    assert code(answer) == (400, "PrincipalNotFound")


async def test_the_same_assignment_is_not_made_twice(place):
    friend, _ = await place.principal("friend")
    assert (await place.arm("PUT", new(), assignment(READER, friend))).status_code == 201
    assert code(await place.arm("PUT", new(), assignment(READER, friend))) == (409, "RoleAssignmentExists")


@pytest.mark.parametrize(
    "unknown",
    [
        {"actions": ["Microsoft.HybridCompute/machines/fly/action"]},
        {"actions": ["Microsoft.Nothing/*"]},
        {"actions": ["Microsoft.HybridCompute/*/explode"]},
        {"actions": ["*/read"], "notActions": ["Microsoft.HybridCompute/machine/read"]},
        {"actions": ["*/read"], "dataActions": ["Microsoft.HybridCompute/machines/read"]},
        {"actions": ["Microsoft.HybridCompute/machines/login/action"]},
        {"actions": ["nonsense"]},
    ],
)
async def test_a_custom_role_with_an_unknown_action_is_refused_and_changes_nothing(place, unknown):
    path = new(DEFINITIONS)
    body = {"roleName": "odd", "permissions": [unknown], "assignableScopes": [place.subscription]}
    answer = await place.arm("PUT", path, {"properties": body})
    assert code(answer) == (400, "InvalidActionOrNotAction")
    assert code(await place.arm("GET", path)) == (404, "RoleDefinitionDoesNotExist")


@pytest.mark.parametrize("role", BUILT_IN, ids=lambda one: one.name)
async def test_every_built_in_role_can_be_copied_into_a_custom_one(place, role):
    shown = (await place.arm("GET", f"{DEFINITIONS}/{role.guid}")).json()["properties"]
    await definition(place, permissions=shown["permissions"], roleName=f"My {role.name}")


async def test_an_owner_of_another_tenants_root_gives_himself_nothing_here(place):
    other = Tenant("11111111-2222-3333-4444-555555555555", "Other", "other.example", 0.0)
    with place.plane.plane.db.writing() as connection:
        tenants.add(connection, other)
        object_id, app_id, secret = directory.create_service_principal(
            connection, other.tenant_id, "king", place.plane.plane.clock()
        )
        grant(
            connection,
            tenant_id=other.tenant_id,
            principal_id=object_id,
            principal_type="ServicePrincipal",
            role=OWNER,
            scope="/",
            now=0.0,
        )
    form = {
        "grant_type": "client_credentials",
        "client_id": app_id,
        "client_secret": secret,
        "scope": f"{place.plane.config.endpoints.audience}/.default",
    }
    signed_in = await place.http.post(f"/{other.tenant_id}/oauth2/v2.0/token", data=form)
    assert signed_in.status_code == 200, signed_in.text
    token = signed_in.json()["access_token"]
    refused = await place.arm("PUT", new(), assignment(OWNER, object_id), token)
    assert code(refused) == (401, "InvalidAuthenticationTokenTenant")
    friend, _ = await place.principal("friend")
    at_root = await place.arm("PUT", f"/{new()}", assignment(OWNER, friend), token)
    assert code(at_root) == (400, "PrincipalNotFound")
