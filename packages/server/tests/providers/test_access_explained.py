"""Why, or why not: told to those who ask about themselves, and to those who may read assignments."""

from __future__ import annotations

import uuid

import pytest

from landbridge_server.identity import directory
from landbridge_server.store import groups, tenants
from landbridge_server.store.groups import Group
from landbridge_server.store.tenants import Tenant

GROUP = "resourceGroups/demo"
MACHINE = f"{GROUP}/providers/Microsoft.HybridCompute/machines/web1"
ASK = "providers/Microsoft.Authorization/landbridgeExplainAccess"
DEFINITIONS = "providers/Microsoft.Authorization/roleDefinitions"
READ = "Microsoft.HybridCompute/machines/read"
DELETE = "Microsoft.HybridCompute/machines/delete"
GIVE = "Microsoft.Authorization/roleAssignments/write"


def code(answer):
    return answer.json()["error"]["code"]


@pytest.fixture
async def place(arm):
    await arm.group()
    await arm.machine()
    return arm


@pytest.fixture
def ask(place):
    async def asked(action, scope=MACHINE, by="", **body):
        path = f"{scope}/{ASK}" if scope not in ("", "/") else f"{scope}{ASK}"
        return await place("POST", path, {"action": action} | body, by=by, version="2022-04-01")

    return asked


def make_group(cloud, name, *members):
    object_id = str(uuid.uuid4())
    with cloud.plane.db.writing() as connection:
        tenant = cloud.admin["tenantId"]
        groups.add(connection, Group(object_id, tenant, name, name.lower(), name, "{}", 0.0))
        for member in members:
            groups.add_member(connection, object_id, member)
    return object_id


async def test_a_role_through_nested_groups_is_told_with_its_way(place, ask, cloud):
    friend = await place.principal("friend")
    inner = make_group(cloud, "Night shift", friend)
    outer = make_group(cloud, "Operators", inner)
    with cloud.plane.db.writing() as connection:
        scope = f"{cloud.subscription}/{GROUP}"
        cloud.plane.assign_role(connection, outer, "Group", "Reader", scope)
    told = (await ask(READ, by="friend")).json()
    assert told["allowed"] is True
    assert told["reason"] == (
        f"Allowed by the role 'Reader' at '{cloud.subscription}/{GROUP}', by its '*/read', "
        "as a member of 'Night shift', which is in 'Operators'."
    )
    (way,) = told["because"]
    assert [group["displayName"] for group in way["groups"]] == ["Night shift", "Operators"]
    assert (way["grantedBy"], way["scope"]) == ("*/read", f"{cloud.subscription}/{GROUP}")
    assert (await place("GET", way["roleAssignmentId"])).status_code == 200


async def test_what_not_actions_take_away_is_told(place, ask):
    await place.principal("contributor", ("Contributor", ""))
    told = (await ask(GIVE, by="contributor")).json()
    assert told["allowed"] is False
    (way,) = told["takenAway"]
    assert (way["grantedBy"], way["takenAwayBy"]) == ("*", "Microsoft.Authorization/*/Write")
    assert "takes it away again by 'Microsoft.Authorization/*/Write'" in told["reason"]
    assert told["rolesThatWouldAllow"] == [
        "Role Based Access Control Administrator",
        "User Access Administrator",
        "Owner",
    ]


async def test_a_role_that_lies_elsewhere_is_told(place, ask, cloud):
    await place.group("other")
    await place.principal("local", ("Contributor", "resourceGroups/other"), ("Reader", ""))
    told = (await ask(DELETE, by="local")).json()
    assert told["allowed"] is False
    assert [way["scope"] for way in told["elsewhere"]] == [f"{cloud.subscription}/resourceGroups/other"]
    assert [way["roleName"] for way in told["heldHere"]] == ["Reader"]
    assert "which does not enclose this scope" in told["reason"]


async def test_who_holds_nothing_is_told_so_and_nothing_of_what_is_there(place, ask):
    await place.principal("nobody")
    there = (await ask(READ, by="nobody")).json()
    absent = (await ask(READ, scope=MACHINE.replace("web1", "nope"), by="nobody")).json()
    assert there["reason"] == absent["reason"] == "Denied: no role is held here or above."
    assert there | {"scope": ""} == absent | {"scope": ""}


async def test_data_actions_are_another_world(place, ask):
    await place.principal("user", ("Virtual Machine User Login", ""))
    login = "Microsoft.HybridCompute/machines/login/action"
    assert (await ask(login, by="user")).json()["allowed"] is False
    told = (await ask(login, by="user", isDataAction=True)).json()
    assert (told["allowed"], told["because"][0]["grantedBy"]) == (True, login)


async def test_custom_roles_are_named_to_those_who_may_read_them(place, ask, cloud):
    properties = {
        "roleName": "Remover of machines",
        "permissions": [{"actions": [DELETE]}],
        "assignableScopes": [cloud.subscription],
    }
    path = f"{DEFINITIONS}/{uuid.uuid4()}"
    assert (await place("PUT", path, {"properties": properties})).status_code == 201
    await place.principal("nobody")
    await place.principal("reader", ("Reader", ""))
    assert (await ask(DELETE, by="reader")).json()["rolesThatWouldAllow"][0] == "Remover of machines"
    assert "Remover of machines" not in (await ask(DELETE, by="nobody")).json()["rolesThatWouldAllow"]


async def test_about_others_asks_who_may_read_assignments_there(place, ask):
    friend = await place.principal("friend")
    await place.principal("nobody")
    await place.principal("local", ("Reader", GROUP))
    for name in (friend, "friend", "no such person"):
        refused = await ask(READ, by="nobody", principal=name)
        assert (refused.status_code, code(refused)) == (403, "AuthorizationFailed"), name
    assert (await ask(READ, by="local", principal=friend)).json()["allowed"] is False
    assert (await ask(READ, scope="", by="local", principal=friend)).status_code == 403
    assert (await ask(READ, scope="/", by="local", principal=friend)).status_code == 403


async def test_somebody_is_named_by_any_of_his_names(place, ask, cloud):
    object_id, app_id, _ = cloud.create_service_principal("Robot", "Reader", cloud.subscription)
    for name in (object_id.upper(), app_id, "robot", "ROBOT"):
        told = (await ask(READ, principal=name)).json()
        assert (told["principal"]["id"], told["allowed"]) == (object_id, True), name
    cloud.create_service_principal("robot")
    assert code(await ask(READ, principal="Robot")) == "InvalidRequestContent"
    assert code(await ask(READ, principal="nobody at all")) == "PrincipalNotFound"


async def test_a_group_is_explained_too_and_one_of_another_tenant_is_not(place, ask, cloud):
    readers = make_group(cloud, "Readers")
    with cloud.plane.db.writing() as connection:
        cloud.plane.assign_role(connection, readers, "Group", "Reader", cloud.subscription)
        other = Tenant("11111111-2222-3333-4444-555555555555", "Other", "other.example", 0.0)
        tenants.add(connection, other)
        stranger = directory.create_service_principal(connection, other.tenant_id, "stranger", 0.0)
    told = (await ask(READ, principal="readers")).json()
    assert (told["allowed"], told["principal"]["type"]) == (True, "Group")
    assert code(await ask(READ, principal=stranger[0])) == "PrincipalNotFound"


@pytest.mark.parametrize(
    "body",
    [
        {"action": ""},
        {"action": 7},
        {"action": "x" * 513},
        {"action": READ, "principal": 7},
        {"action": READ, "isDataAction": "yes"},
    ],
)
async def test_a_question_that_is_none_is_refused(place, body):
    answer = await place("POST", f"{MACHINE}/{ASK}", body, version="2022-04-01")
    assert (answer.status_code, code(answer)) == (400, "InvalidRequestContent")


async def test_it_is_asked_with_post_at_a_scope_and_in_no_other_way(place):
    for method, path in (("GET", ASK), ("POST", f"{ASK}/x"), ("PUT", f"{ASK}/x")):
        answer = await place(method, f"{GROUP}/{path}", {} if method != "GET" else None, version="2022-04-01")
        assert (answer.status_code, code(answer)) == (405, "MethodNotAllowed"), (method, path)
