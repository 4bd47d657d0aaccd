from __future__ import annotations

import uuid

import pytest

from landbridge_server.arm.roles import READER

GROUP = "resourceGroups/demo"
MACHINE = f"{GROUP}/providers/Microsoft.HybridCompute/machines/web1"
READ = "Microsoft.HybridCompute/machines/read"
LOGIN = "Microsoft.HybridCompute/machines/login/action"


def code(answer):
    return answer.json()["error"]["code"]


@pytest.fixture
async def place(arm):
    await arm.group()
    await arm.machine()
    return arm


async def test_own_permissions_are_those_of_the_roles_held_there_and_above(place, cloud):
    role = f"providers/Microsoft.Authorization/roleDefinitions/{uuid.uuid4()}"
    properties = {
        "roleName": "Reader of machines",
        "permissions": [{"actions": [READ], "notActions": [], "dataActions": [LOGIN]}],
        "assignableScopes": [cloud.subscription],
    }
    await place("PUT", role, {"properties": properties})
    friend = await place.principal("friend", (READER.name, ""))
    given = {"roleDefinitionId": f"{cloud.subscription}/{role}", "principalId": friend}
    path = f"{GROUP}/providers/Microsoft.Authorization/roleAssignments/{uuid.uuid4()}"
    await place("PUT", path, {"properties": given})
    reader = {"actions": ["*/read"], "notActions": [], "dataActions": [], "notDataActions": []}
    custom = {"actions": [READ], "notActions": [], "dataActions": [LOGIN], "notDataActions": []}

    async def listed(where):
        answer = await place("GET", f"{where}providers/Microsoft.Authorization/permissions", by="friend")
        return answer.json()["value"]

    assert await listed("") == [reader]
    assert await listed(f"{GROUP}/") == [reader, custom]
    assert await listed(f"{MACHINE}/") == [reader, custom]


async def test_who_may_not_read_at_a_scope_is_not_told_about_it(place):
    await place.principal("nobody")
    answer = await place("GET", f"{GROUP}/providers/Microsoft.Authorization/permissions", by="nobody")
    assert (answer.status_code, code(answer)) == (403, "AuthorizationFailed")


async def test_there_are_no_deny_assignments_and_no_classic_administrators(place):
    for kind in ("denyAssignments", "classicAdministrators"):
        answer = await place("GET", f"providers/Microsoft.Authorization/{kind}")
        assert (answer.status_code, answer.json()) == (200, {"value": []})
    one = await place("GET", f"providers/Microsoft.Authorization/denyAssignments/{uuid.uuid4()}")
    assert code(one) == "DenyAssignmentNotFound"
    inside = await place("GET", f"{GROUP}/providers/Microsoft.Authorization/classicAdministrators")
    assert code(inside) == "InvalidResourceType"
