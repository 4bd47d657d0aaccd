"""The last administrators stay, whoever would take them away and however."""

from __future__ import annotations

import pytest

from landbridge_server.arm.roles import OWNER, READER
from landbridge_server.identity.directory_roles import GLOBAL_ADMINISTRATOR
from landbridge_server.store import directory_roles, principals, role_assignments

KING = GLOBAL_ADMINISTRATOR.name


def alone(graph, object_id):
    """Take the directory's highest role from everybody else."""
    with graph.cloud.plane.db.writing() as connection:
        for one in directory_roles.holders(connection, graph.tenant, GLOBAL_ADMINISTRATOR.guid):
            if one.principal_id != object_id:
                directory_roles.remove(connection, one.principal_id, one.role)


def nobody_else_owns(graph, scope, object_id):
    """Give a principal Owner at a scope, and take every other role of administrators away."""
    graph.give(object_id, OWNER.name, scope, "User")
    with graph.cloud.plane.db.writing() as connection:
        wanted = role_assignments.Wanted(tenant_id=graph.tenant, above=("/", scope.lower()))
        for one in role_assignments.listed(connection, wanted):
            if one.principal_id != object_id:
                role_assignments.remove(connection, one.assignment_key)


def is_there(graph, object_id):
    return graph.cloud.plane.db.read(lambda connection: principals.get(connection, object_id)) is not None


async def test_the_last_global_administrator_cannot_delete_or_disable_itself(graph):
    king = graph.user("king", KING)
    alone(graph, king)
    for verb, body in (("DELETE", None), ("PATCH", {"accountEnabled": False})):
        status, _, message = await graph.refused(verb, f"/users/{king}", body, by="king")
        assert (status, message.partition(":")[0]) == (400, "The last Global Administrator stays")
    assert is_there(graph, king)
    graph.user("heir", KING)
    await graph.ok("DELETE", f"/users/{king}", by="king")


async def test_who_is_disabled_is_no_other_administrator(graph):
    king = graph.user("king", KING)
    alone(graph, king)
    heir = graph.user("heir", KING)
    await graph.ok("PATCH", f"/users/{heir}", {"accountEnabled": False}, by="king")
    assert (await graph.refused("DELETE", f"/users/{king}", by="king"))[0] == 400
    await graph.ok("DELETE", f"/users/{heir}", by="king")


async def test_a_program_that_is_the_last_stays_with_its_application(graph):
    app, program = await graph.app("robot")
    with graph.cloud.plane.db.writing() as connection:
        only = principals.get(connection, program["id"])
        directory_roles.assign(connection, directory_roles.DirectoryRoleAssignment(
            only.object_id, GLOBAL_ADMINISTRATOR.guid, graph.tenant, 1.0, ""
        ))  # fmt: skip
    graph.tokens["robot"] = graph.token_for(only)
    alone(graph, only.object_id)
    mine = f"/servicePrincipals/{only.object_id}"
    for verb, path in (("DELETE", mine), ("PATCH", mine), ("DELETE", f"/applications/{app['id']}")):
        body = {"accountEnabled": False} if verb == "PATCH" else None
        status, _, message = await graph.refused(verb, path, body, by="robot")
        assert (status, message.partition(":")[0]) == (400, "The last Global Administrator stays")


@pytest.mark.parametrize("scope", ["/", "subscription"])
async def test_the_last_owner_stays_too(graph, cloud, scope):
    scope = cloud.subscription if scope == "subscription" else scope
    owner = graph.user("owner", KING)
    nobody_else_owns(graph, scope, owner)
    status, _, message = await graph.refused("DELETE", f"/users/{owner}", by="owner")
    assert (status, message.partition(" stays")[0].startswith("The last one who may give roles")) == (
        400,
        True,
    )
    other = graph.user("other", KING)
    graph.give(other, READER.name, scope, "User")
    assert (await graph.refused("DELETE", f"/users/{owner}", by="other"))[0] == 400
    graph.give(other, OWNER.name, scope, "User")
    await graph.ok("DELETE", f"/users/{owner}", by="other")


async def test_a_group_that_holds_the_last_role_stays(graph):
    group = await graph.group("owners")
    king = graph.user("king", KING)
    nobody_else_owns(graph, "/", group["id"])
    assert (await graph.refused("DELETE", f"/groups/{group['id']}", by="king"))[0] == 400
    graph.give(king, OWNER.name, "/", "User")
    await graph.ok("DELETE", f"/groups/{group['id']}", by="king")
