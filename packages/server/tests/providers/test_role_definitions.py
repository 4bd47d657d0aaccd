from __future__ import annotations

import uuid

import pytest

from landbridge_server.arm.roles import OWNER, READER, USER_ACCESS_ADMINISTRATOR
from landbridge_server.identity.caller import Caller

DEFINITIONS = "providers/Microsoft.Authorization/roleDefinitions"
ASSIGNMENTS = "providers/Microsoft.Authorization/roleAssignments"
GROUP = "resourceGroups/demo"
MACHINE = f"{GROUP}/providers/Microsoft.HybridCompute/machines/web1"
READ = "Microsoft.HybridCompute/machines/read"


def code(answer):
    return answer.json()["error"]["code"]


def role(cloud, name="Reader of machines", *, actions=(READ,), scopes=(), **more):
    permissions = [{"actions": list(actions), "notActions": list(more.pop("without", ()))}]
    given = [f"{cloud.subscription}/{one}".rstrip("/") for one in scopes or ("",)]
    return {
        "properties": {"roleName": name, "type": "CustomRole", "permissions": permissions}
        | {"assignableScopes": given, "description": "for tests"}
        | more
    }


def new():
    return f"{DEFINITIONS}/{uuid.uuid4()}"


def given(cloud, definition, principal):
    return {
        "properties": {"roleDefinitionId": f"{cloud.subscription}/{definition}", "principalId": principal}
    }


@pytest.fixture
async def place(arm):
    await arm.group()
    await arm.machine()
    return arm


async def test_a_custom_role_is_written_shown_changed_and_removed(place, cloud):
    path = new()
    made = await place("PUT", path, role(cloud))
    assert made.status_code == 201
    shown = made.json()
    assert shown["properties"]["type"] == "CustomRole"
    assert shown["properties"]["permissions"] == [
        {"actions": [READ], "notActions": [], "dataActions": [], "notDataActions": []}
    ]
    assert (await place("GET", path)).json() == shown
    changed = await place("PUT", path, role(cloud, "Another name", actions=["*/read"]))
    assert changed.status_code == 201
    assert changed.json()["properties"]["roleName"] == "Another name"
    assert changed.json()["properties"]["createdOn"] == shown["properties"]["createdOn"]
    removed = await place("DELETE", path)
    assert (removed.status_code, removed.json()) == (200, changed.json())
    assert (await place("DELETE", path)).status_code == 204
    assert code(await place("GET", path)) == "RoleDefinitionDoesNotExist"


async def test_whoever_holds_it_may_what_it_allows_and_no_more(place, cloud):
    path = new()
    await place(
        "PUT", path, role(cloud, actions=["Microsoft.HybridCompute/*"], without=[f"{READ[:-4]}write"])
    )
    friend = await place.principal("friend")
    assert (await place("GET", MACHINE, by="friend")).status_code == 403
    await place("PUT", f"{GROUP}/{ASSIGNMENTS}/{uuid.uuid4()}", given(cloud, path, friend))
    assert (await place("GET", MACHINE, by="friend")).status_code == 200
    assert code(await place("PUT", MACHINE, {"location": "local"}, by="friend")) == "AuthorizationFailed"
    assert code(await place("GET", GROUP, by="friend")) == "AuthorizationFailed"


async def test_a_changed_role_counts_with_the_next_call(place, cloud):
    path = new()
    await place("PUT", path, role(cloud))
    friend = await place.principal("friend")
    await place("PUT", f"{GROUP}/{ASSIGNMENTS}/{uuid.uuid4()}", given(cloud, path, friend))
    assert (await place("GET", MACHINE, by="friend")).status_code == 200
    await place("PUT", path, role(cloud, actions=["Microsoft.Resources/*/read"]))
    assert (await place("GET", MACHINE, by="friend")).status_code == 403


async def test_several_sets_of_permissions_add_up_and_each_takes_off_its_own(place, cloud):
    sets = [
        {"actions": ["Microsoft.HybridCompute/*"], "notActions": ["Microsoft.HybridCompute/machines/*"]},
        {"actions": [READ]},
    ]
    path = new()
    await place("PUT", path, role(cloud, permissions=sets))
    friend = await place.principal("friend")
    await place("PUT", f"{GROUP}/{ASSIGNMENTS}/{uuid.uuid4()}", given(cloud, path, friend))
    assert (await place("GET", MACHINE, by="friend")).status_code == 200
    assert (await place("DELETE", MACHINE, by="friend")).status_code == 403


async def test_a_role_in_use_cannot_be_removed(place, cloud):
    path = new()
    await place("PUT", path, role(cloud))
    friend = await place.principal("friend")
    await place("PUT", f"{GROUP}/{ASSIGNMENTS}/{uuid.uuid4()}", given(cloud, path, friend))
    assert code(await place("DELETE", path)) == "RoleDefinitionHasAssignments"


async def test_a_role_of_a_group_is_neither_seen_nor_given_beside_it(place, cloud):
    await place.group("other")
    path = new()
    await place("PUT", f"{GROUP}/{path}", role(cloud, scopes=[GROUP]))
    friend = await place.principal("friend")
    beside = f"resourceGroups/other/{ASSIGNMENTS}/{uuid.uuid4()}"
    assert code(await place("PUT", beside, given(cloud, path, friend))) == "RoleDefinitionDoesNotExist"
    assert code(await place("GET", f"resourceGroups/other/{path}")) == "RoleDefinitionDoesNotExist"
    assert (await place("GET", f"{MACHINE}/{path}")).status_code == 200
    inside = f"{MACHINE}/{ASSIGNMENTS}/{uuid.uuid4()}"
    assert (await place("PUT", inside, given(cloud, path, friend))).status_code == 201


async def test_the_list_holds_what_can_be_given_there(place, cloud):
    await place("PUT", new(), role(cloud, "For the group", scopes=[GROUP]))
    await place("PUT", new(), role(cloud, "For all"))

    async def named(where, kind="type eq 'CustomRole'"):
        answer = await place("GET", f"{where}{DEFINITIONS}?$filter={kind}")
        return [one["properties"]["roleName"] for one in answer.json()["value"]]

    assert await named(f"{GROUP}/") == ["For all", "For the group"]
    assert await named("") == ["For all"]
    assert await named("", "atScopeAndBelow() and type eq 'CustomRole'") == ["For all", "For the group"]
    assert await named("", "roleName eq 'for ALL'") == ["For all"]
    assert "Owner" in await named("", "type eq 'BuiltInRole'")


async def test_who_may_write_roles_in_one_group_cannot_write_one_for_the_subscription(place, cloud):
    await place.principal("local", (USER_ACCESS_ADMINISTRATOR.name, GROUP))
    path = f"{GROUP}/{new()}"
    refused = await place("PUT", path, role(cloud, actions=["*"]), by="local")
    assert (refused.status_code, code(refused)) == (403, "AuthorizationFailed")
    assert code(await place("GET", path)) == "RoleDefinitionDoesNotExist"
    assert (await place("PUT", path, role(cloud, scopes=[GROUP]), by="local")).status_code == 201


async def test_who_may_write_roles_in_one_group_cannot_take_over_one_of_the_subscription(place, cloud):
    await place.principal("local", (USER_ACCESS_ADMINISTRATOR.name, GROUP))
    path = new()
    await place("PUT", path, role(cloud))
    for method, body in (("PUT", role(cloud, actions=["*"], scopes=[GROUP])), ("DELETE", None)):
        answer = await place(method, f"{GROUP}/{path}", body, by="local")
        assert (answer.status_code, code(answer)) == (403, "AuthorizationFailed")
    assert (await place("GET", path)).json()["properties"]["permissions"][0]["actions"] == [READ]


async def test_a_reader_cannot_write_roles(place, cloud):
    await place.principal("reader", (READER.name, ""))
    assert (await place("PUT", new(), role(cloud), by="reader")).status_code == 403


async def test_a_name_is_there_once_in_any_casing(place, cloud):
    await place("PUT", new(), role(cloud, "Mine"))
    for name in ("mine", "OWNER"):
        answer = await place("PUT", new(), role(cloud, name))
        assert (answer.status_code, code(answer)) == (409, "RoleDefinitionWithSameNameExists")


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"roleName": ""}, "InvalidRequestContent"),
        ({"permissions": []}, "InvalidRequestContent"),
        ({"permissions": {"actions": ["*"]}}, "InvalidRequestContent"),
        ({"permissions": [{"actions": "*"}]}, "InvalidRequestContent"),
        ({"permissions": [{"actions": ["read"]}]}, "InvalidActionOrNotAction"),
        ({"assignableScopes": []}, "InvalidRequestContent"),
        ({"assignableScopes": ["/"]}, "InvalidRequestContent"),
        ({"assignableScopes": ["nonsense"]}, "InvalidRequestContent"),
        (
            {"assignableScopes": ["/subscriptions/00000000-0000-0000-0000-00000000000a"]},
            "AuthorizationFailed",
        ),
    ],
)
async def test_what_makes_no_role_is_refused_with_its_reason(place, cloud, change, wanted):
    path = new()
    assert code(await place("PUT", path, role(cloud, **change))) == wanted
    assert (await place("GET", path)).status_code == 404


async def test_a_group_that_is_not_there_cannot_be_an_assignable_scope(place, cloud):
    answer = await place("PUT", new(), role(cloud, scopes=["resourceGroups/absent"]))
    assert code(answer) == "ResourceGroupNotFound"


async def test_built_in_roles_stay_as_they_are(place, cloud):
    path = f"{DEFINITIONS}/{OWNER.guid}"
    for method, body in (("PUT", role(cloud)), ("DELETE", None)):
        answer = await place(method, path, body)
        assert (answer.status_code, code(answer)) == (409, "OperationNotAllowed")
    assert code(await place("PUT", f"{DEFINITIONS}/nonsense", role(cloud))) == "InvalidRoleDefinitionId"


async def test_a_condition_that_nothing_would_keep_to_is_refused(place, cloud):
    friend = await place.principal("friend")
    body = given(cloud, f"{DEFINITIONS}/{READER.guid}", friend)
    body["properties"]["condition"] = "@Resource[a] StringEquals 'b'"
    path = f"{GROUP}/{ASSIGNMENTS}/{uuid.uuid4()}"
    assert code(await place("PUT", path, body)) == "InvalidRequestContent"
    assert code(await place("GET", path)) == "RoleAssignmentNotFound"


async def test_data_actions_and_what_is_taken_off_them_are_kept_apart_from_actions(place, cloud):
    login, admin = "Microsoft.HybridCompute/machines/login/action", "Microsoft.HybridCompute/*/loginAsAdmin/*"
    path, friend = new(), await place.principal("friend")
    sets = [{"dataActions": ["*"], "notDataActions": [admin]}]
    assert (await place("PUT", path, role(cloud, permissions=sets))).status_code == 201
    await place("PUT", f"{GROUP}/{ASSIGNMENTS}/{uuid.uuid4()}", given(cloud, path, friend))
    assert (await place("GET", MACHINE, by="friend")).status_code == 403
    caller = Caller(friend, cloud.admin["tenantId"], "ServicePrincipal", "", "")
    scope = f"{cloud.subscription}/{MACHINE}"

    def may(action):
        return cloud.plane.access.allows(caller, action, scope, data=True)

    assert may(login)
    assert not may("Microsoft.HybridCompute/machines/loginAsAdmin/action")
    assert not cloud.plane.access.allows(caller, login, scope)


async def test_assignable_scopes_do_not_leave_an_assignment_behind(place, cloud):
    await place.group("other")
    path, friend = new(), await place.principal("friend")
    await place("PUT", path, role(cloud))
    inside = f"{MACHINE}/{ASSIGNMENTS}/{uuid.uuid4()}"
    await place("PUT", inside, given(cloud, path, friend))
    assert (await place("PUT", path, role(cloud, scopes=[GROUP]))).status_code == 201
    narrowed = role(cloud, scopes=["resourceGroups/other"])
    assert code(await place("PUT", path, narrowed)) == "RoleDefinitionHasAssignments"
    await place("DELETE", inside)
    assert (await place("PUT", path, narrowed)).status_code == 201


async def test_a_role_with_too_many_actions_is_refused(place, cloud):
    answer = await place("PUT", new(), role(cloud, actions=[READ] * 2049))
    assert code(answer) == "InvalidRequestContent"
