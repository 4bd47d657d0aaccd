"""azure-mgmt-authorization: roles and their assignments, in several api-versions of the one package."""

from __future__ import annotations

import uuid

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.mgmt.authorization import AuthorizationManagementClient

READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
VERSIONS = ("2015-07-01", "2018-01-01-preview", "2018-09-01-preview", "2020-04-01-preview", "2022-04-01")


@pytest.fixture
def roles(cloud):
    return cloud.client(AuthorizationManagementClient)


@pytest.fixture
def principal(cloud, roles):
    """The administrator's service principal, from the assignment that the first start made."""
    found = [one.as_dict() for one in roles.role_assignments.list_for_scope("/")]
    return next(iter(found))["principal_id"]


def of(cloud, version):
    return cloud.client(AuthorizationManagementClient, api_version=version)


def reader(cloud, principal, **more):
    wanted = {"roleDefinitionId": f"{cloud.scope}/providers/Microsoft.Authorization/roleDefinitions/{READER}"}
    return {"properties": {**wanted, "principalId": principal, **more}}


def test_built_in_roles_are_listed_and_shown(cloud, roles):
    found = {one.role_name: one for one in roles.role_definitions.list(cloud.scope)}
    assert {"Owner", "Contributor", "Reader"} <= set(found)
    only = list(roles.role_definitions.list(cloud.scope, filter="roleName eq 'Reader'"))
    assert [one.name for one in only] == [READER]
    shown = roles.role_definitions.get(cloud.scope, READER)
    assert (shown.role_name, shown.role_type) == ("Reader", "BuiltInRole")
    assert shown.permissions[0].actions == ["*/read"]
    assert roles.role_definitions.get_by_id(shown.id).name == READER


def test_a_custom_role_is_made_changed_and_deleted(cloud, roles):
    name = str(uuid.uuid4())
    title = cloud.new_name("role")
    wanted = {
        "properties": {
            "roleName": title,
            "description": "reads machines",
            "type": "CustomRole",
            "permissions": [{"actions": ["Microsoft.HybridCompute/machines/read"], "notActions": []}],
            "assignableScopes": [cloud.scope],
        }
    }
    made = roles.role_definitions.create_or_update(cloud.scope, name, wanted)
    assert (made.name, made.role_name, made.role_type) == (name, title, "CustomRole")
    wanted["properties"]["description"] = "reads machines only"
    assert (
        roles.role_definitions.create_or_update(cloud.scope, name, wanted).description
        == "reads machines only"
    )
    custom = roles.role_definitions.list(cloud.scope, filter="type eq 'CustomRole'")
    assert name in [one.name for one in custom]
    assert roles.role_definitions.delete(cloud.scope, name).name == name
    with pytest.raises(ResourceNotFoundError):
        roles.role_definitions.get(cloud.scope, name)


@pytest.mark.parametrize("version", VERSIONS)
def test_an_assignment_is_made_listed_and_deleted(cloud, group, principal, version):
    assignments = of(cloud, version).role_assignments
    scope, name = group.id.lstrip("/"), str(uuid.uuid4())
    made = assignments.create(scope, name, reader(cloud, principal))
    assert made.name == name
    assert made.as_dict()["type"] == "Microsoft.Authorization/roleAssignments"
    assert assignments.get(scope, name).id == made.id
    assert assignments.get_by_id(made.id).name == name
    assert name in [one.name for one in assignments.list_for_scope(scope)]
    mine = assignments.list_for_scope(scope, filter=f"assignedTo('{principal}')")
    assert name in [one.name for one in mine]
    at_scope = assignments.list_for_scope(scope, filter="atScope()")
    assert name in [one.name for one in at_scope]
    assert assignments.delete(scope, name).name == name
    with pytest.raises(ResourceNotFoundError) as gone:
        assignments.get(scope, name)
    assert gone.value.error.code == "RoleAssignmentNotFound"
    assert assignments.delete(scope, name) is None


def test_assignments_of_a_group_a_resource_and_the_subscription_are_listed(cloud, group, machine, principal):
    roles = of(cloud, "2022-04-01")
    name = str(uuid.uuid4())
    roles.role_assignments.create(machine.lstrip("/"), name, reader(cloud, principal))
    by_group = roles.role_assignments.list_for_resource_group(group.name)
    assert name in [one.name for one in by_group]
    parts = (group.name, "Microsoft.HybridCompute", "machines", "web1")
    assert name in [one.name for one in roles.role_assignments.list_for_resource(*parts)]
    assert name in [one.name for one in roles.role_assignments.list_for_subscription()]


def test_the_same_assignment_under_another_name_exists(cloud, group, principal):
    assignments = of(cloud, "2022-04-01").role_assignments
    scope = group.id.lstrip("/")
    assignments.create(scope, str(uuid.uuid4()), reader(cloud, principal))
    with pytest.raises(ResourceExistsError) as refused:
        assignments.create(scope, str(uuid.uuid4()), reader(cloud, principal))
    assert refused.value.error.code == "RoleAssignmentExists"


def test_an_unknown_principal_is_refused(cloud, group):
    assignments = of(cloud, "2022-04-01").role_assignments
    with pytest.raises(HttpResponseError) as refused:
        assignments.create(group.id.lstrip("/"), str(uuid.uuid4()), reader(cloud, str(uuid.uuid4())))
    assert (refused.value.status_code, refused.value.error.code) == (400, "PrincipalNotFound")


def test_permissions_tell_what_the_caller_may(cloud, group, machine, roles):
    permissions = of(cloud, "2022-04-01").permissions
    assert any("*" in one.actions for one in permissions.list_for_resource_group(group.name))
    parts = (group.name, "Microsoft.HybridCompute", "", "machines", "web1")
    assert any("*" in one.actions for one in permissions.list_for_resource(*parts))


def test_operations_of_providers_and_classic_administrators_and_denials(cloud, group):
    roles = of(cloud, "2022-04-01")
    shown = roles.provider_operations_metadata.get("Microsoft.HybridCompute", expand="resourceTypes")
    assert any(one.name == "machines" for one in shown.resource_types)
    assert "Microsoft.HybridCompute" in [one.name for one in roles.provider_operations_metadata.list()]
    assert list(roles.deny_assignments.list_for_scope(group.id.lstrip("/"))) == []
    assert list(of(cloud, "2015-07-01").classic_administrators.list()) == []
