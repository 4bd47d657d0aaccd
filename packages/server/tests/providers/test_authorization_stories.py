from __future__ import annotations

import uuid

import pytest

from landbridge_server.arm.roles import OWNER, READER
from landbridge_server.store import groups
from landbridge_server.store.groups import Group

ASSIGNMENTS = "providers/Microsoft.Authorization/roleAssignments"
DEFINITIONS = "providers/Microsoft.Authorization/roleDefinitions"
GROUP = "resourceGroups/demo"


def code(answer):
    return answer.json()["error"]["code"]


def body(principal_id, role=READER, **more):
    definition = f"/subscriptions/x/providers/Microsoft.Authorization/roleDefinitions/{role.guid}"
    return {"properties": {"roleDefinitionId": definition, "principalId": principal_id, **more}}


@pytest.fixture
async def friend(arm):
    await arm.group()
    return await arm.principal("friend")


async def test_the_oldest_version_takes_an_assignment_without_its_envelope(arm, friend):
    """As az 2.66 sends it under the profile 2018-03-01-hybrid."""
    path = f"{GROUP}/{ASSIGNMENTS}/{uuid.uuid4()}"
    flat = body(friend)["properties"]
    refused = await arm("PUT", path, flat, version="2022-04-01")
    assert (refused.status_code, code(refused)) == (400, "InvalidRequestContent")
    made = await arm("PUT", path, flat, version="2015-07-01")
    assert (made.status_code, made.json()["properties"]["principalId"]) == (201, friend)


async def test_a_role_is_given_at_a_group_read_back_and_taken_away(arm, friend, cloud):
    name = str(uuid.uuid4())
    path = f"{GROUP}/{ASSIGNMENTS}/{name}"
    assert (await arm("GET", GROUP, by="friend")).status_code == 403
    made = await arm("PUT", path, body(friend, principalType="ServicePrincipal", description="for tests"))
    assert made.status_code == 201
    shown = made.json()
    assert shown["id"] == f"{cloud.subscription}/resourceGroups/demo/{ASSIGNMENTS}/{name}"
    assert shown["properties"]["scope"] == f"{cloud.subscription}/resourceGroups/demo"
    assert shown["properties"]["principalType"] == "ServicePrincipal"
    assert shown["properties"]["description"] == "for tests"
    assert (await arm("GET", path)).json() == shown
    assert (await arm("GET", GROUP, by="friend")).status_code == 200
    assert (await arm("PUT", path, body(friend))).status_code == 201
    removed = await arm("DELETE", path)
    assert (removed.status_code, removed.json()) == (200, shown)
    assert (await arm("DELETE", path)).status_code == 204
    assert code(await arm("GET", path)) == "RoleAssignmentNotFound"
    assert (await arm("GET", GROUP, by="friend")).status_code == 403


async def test_a_description_can_be_changed_and_nothing_else_moves(arm, friend, cloud):
    path = f"{GROUP}/{ASSIGNMENTS}/{uuid.uuid4()}"
    first = (await arm("PUT", path, body(friend, description="one"))).json()
    cloud.clock.advance(60)
    assert (await arm("PUT", path, body(friend))).json() == first
    changed = (await arm("PUT", path, body(friend, description="two"))).json()
    assert changed == (await arm("GET", path)).json()
    assert changed["properties"]["description"] == "two"
    assert changed["properties"]["createdOn"] == first["properties"]["createdOn"]
    assert changed["properties"]["updatedOn"] > first["properties"]["updatedOn"]
    emptied = (await arm("PUT", path, body(friend, description=""))).json()
    assert "description" not in emptied["properties"]


async def test_a_description_that_is_no_text_is_refused(arm, friend):
    path = f"{GROUP}/{ASSIGNMENTS}/{uuid.uuid4()}"
    assert code(await arm("PUT", path, body(friend, description=7))) == "InvalidRequestContent"
    assert code(await arm("GET", path)) == "RoleAssignmentNotFound"


async def test_the_same_role_twice_is_409(arm, friend):
    await arm("PUT", f"{GROUP}/{ASSIGNMENTS}/{uuid.uuid4()}", body(friend))
    answer = await arm("PUT", f"{GROUP}/{ASSIGNMENTS}/{uuid.uuid4()}", body(friend))
    assert (answer.status_code, code(answer)) == (409, "RoleAssignmentExists")


async def test_an_assignment_cannot_become_another_one(arm, friend):
    path = f"{GROUP}/{ASSIGNMENTS}/{uuid.uuid4()}"
    await arm("PUT", path, body(friend))
    assert code(await arm("PUT", path, body(friend, OWNER))) == "RoleAssignmentUpdateNotPermitted"


@pytest.mark.parametrize(
    ("change", "status", "expected"),
    [
        ({"principalId": str(uuid.UUID(int=1))}, 400, "PrincipalNotFound"),
        ({"principalId": "x"}, 400, "InvalidRequestContent"),
        ({"principalType": "User"}, 400, "UnmatchedPrincipalType"),
        ({"principalType": "King"}, 400, "InvalidRequestContent"),
        ({"roleDefinitionId": "x"}, 400, "InvalidRoleDefinitionId"),
        ({"roleDefinitionId": f"/{DEFINITIONS}/{uuid.UUID(int=1)}"}, 404, "RoleDefinitionDoesNotExist"),
    ],
)
async def test_a_wrong_assignment_is_refused(arm, friend, change, status, expected):
    wrong = body(friend)
    wrong["properties"] |= change
    answer = await arm("PUT", f"{GROUP}/{ASSIGNMENTS}/{uuid.uuid4()}", wrong)
    assert (answer.status_code, code(answer)) == (status, expected)


async def test_a_name_that_is_no_guid_is_400(arm, friend):
    assert code(await arm("PUT", f"{GROUP}/{ASSIGNMENTS}/x", body(friend))) == "InvalidRoleAssignmentId"


async def test_a_scope_that_is_not_there_is_404(arm, friend):
    path = f"{ASSIGNMENTS}/{uuid.uuid4()}"
    assert code(await arm("PUT", f"resourceGroups/nope/{path}", body(friend))) == "ResourceGroupNotFound"
    machine = f"{GROUP}/providers/Microsoft.HybridCompute/machines/nope/{path}"
    assert code(await arm("PUT", machine, body(friend))) == "ResourceNotFound"


async def test_lists_hold_what_is_at_above_and_below_the_scope(arm, friend):
    await arm("PUT", f"{GROUP}/{ASSIGNMENTS}/{uuid.uuid4()}", body(friend))
    await arm("PUT", f"{ASSIGNMENTS}/{uuid.uuid4()}", body(friend, OWNER))

    async def scopes(path, query=""):
        answer = await arm("GET", f"{path}{ASSIGNMENTS}{query}")
        assert answer.status_code == 200, answer.text
        return [one["properties"]["scope"].count("/") for one in answer.json()["value"]]

    assert sorted(await scopes("")) == [1, 1, 2, 4]
    assert sorted(await scopes("", "?$filter=atScope()")) == [1, 1, 2]
    assert sorted(await scopes("", f"?$filter=principalId eq '{friend}'")) == [2, 4]
    assert sorted(await scopes(f"{GROUP}/", f"?$filter=atScope() and assignedTo('{friend.upper()}')")) == [
        2,
        4,
    ]
    answer = await arm("GET", f"{ASSIGNMENTS}?$filter=colour eq 'x'")
    assert code(answer) == "InvalidFilterInQueryString"


async def test_role_ids_are_the_same_text_in_both_lists(arm, friend):
    await arm("PUT", f"{ASSIGNMENTS}/{uuid.uuid4()}", body(friend))
    known = {one["id"] for one in (await arm("GET", DEFINITIONS)).json()["value"]}
    for one in (await arm("GET", ASSIGNMENTS)).json()["value"]:
        assert one["properties"]["roleDefinitionId"] in known


async def test_roles_are_found_by_name_and_shown_with_their_actions(arm):
    (found,) = (
        await arm("GET", f"{DEFINITIONS}?$filter=roleName eq 'Azure Connected Machine Onboarding'")
    ).json()["value"]
    assert found["name"] == "b64e21ea-ac4e-4cdf-9dc9-5b892992bee7"
    assert "Microsoft.HybridCompute/machines/write" in found["properties"]["permissions"][0]["actions"]
    assert (await arm("GET", found["id"])).json() == found
    assert (await arm("GET", f"{DEFINITIONS}?$filter=roleName eq 'King'")).json() == {"value": []}
    assert (await arm("GET", f"{DEFINITIONS}/{uuid.uuid4()}")).status_code == 404
    assert (await arm("GET", f"/{DEFINITIONS}?$filter=type eq 'CustomRole'")).json() == {"value": []}


async def test_a_contributor_cannot_give_roles(arm, friend):
    await arm.principal("contributor", ("Contributor", ""))
    answer = await arm("PUT", f"{GROUP}/{ASSIGNMENTS}/{uuid.uuid4()}", body(friend), by="contributor")
    assert (answer.status_code, code(answer)) == (403, "AuthorizationFailed")


@pytest.fixture
async def team(friend, cloud):
    """A group in a group; ``friend`` is in the inner one."""
    outer, inner = str(uuid.uuid4()), str(uuid.uuid4())
    with cloud.plane.db.writing() as connection:
        for object_id in (outer, inner):
            tenant = cloud.admin["tenantId"]
            groups.add(connection, Group(object_id, tenant, object_id, object_id, object_id, "{}", 0.0))
        groups.add_member(connection, outer, inner)
        groups.add_member(connection, inner, friend)
    return outer, inner


async def test_a_role_is_given_to_a_group(arm, team):
    path = f"{GROUP}/{ASSIGNMENTS}/{uuid.uuid4()}"
    wrong = await arm("PUT", path, body(team[0], principalType="User"))
    assert (wrong.status_code, code(wrong)) == (400, "UnmatchedPrincipalType")
    made = await arm("PUT", path, body(team[0], principalType="Group"))
    assert (made.status_code, made.json()["properties"]["principalType"]) == (201, "Group")
    assert (await arm("GET", GROUP, by="friend")).status_code == 200
    assert (await arm("DELETE", path)).status_code == 200
    assert (await arm("GET", GROUP, by="friend")).status_code == 403


async def test_assigned_to_counts_groups_and_principal_id_does_not(arm, friend, team):
    await arm("PUT", f"{GROUP}/{ASSIGNMENTS}/{uuid.uuid4()}", body(friend))
    for group in team:
        await arm("PUT", f"{GROUP}/{ASSIGNMENTS}/{uuid.uuid4()}", body(group))
    outer, inner = team

    async def holders(text, **more):
        answer = await arm("GET", f"{GROUP}/{ASSIGNMENTS}?$filter={text}", **more)
        return {one["properties"]["principalId"] for one in answer.json()["value"]}

    assert await holders(f"assignedTo('{friend}')") == {friend, outer, inner}
    assert await holders("assignedTo()", by="friend") == {friend, outer, inner}
    assert await holders(f"assignedTo('{inner}')") == {outer, inner}
    assert await holders(f"principalId eq '{friend}'") == {friend}
    assert await holders(f"principalId eq '{outer}'") == {outer}
    assert await holders(f"atScope() and assignedTo('{uuid.uuid4()}')") == set()


async def test_long_lists_come_in_pages(arm, friend, cloud):
    with cloud.plane.db.writing() as connection:
        for number in range(25):
            scope = f"{cloud.subscription}/resourceGroups/g{number}"
            cloud.plane.assign_role(connection, friend, "ServicePrincipal", "Reader", scope)
    path, found = f"{ASSIGNMENTS}?$filter=principalId eq '{friend}'&$top=10", []
    for expected in (10, 10, 5):
        page = (await arm("GET", path)).json()
        assert len(page["value"]) == expected
        found += [one["properties"]["scope"] for one in page["value"]]
        path = page.get("nextLink", "").replace("&api-version=2024-07-10", "")
    assert path == ""
    assert len(set(found)) == 25
