"""The hybrid profiles of the multi-api packages: the api-versions of private clouds."""

from __future__ import annotations

import uuid

import pytest
from azure.mgmt.authorization import AuthorizationManagementClient
from azure.mgmt.resource.locks import ManagementLockClient
from azure.mgmt.resource.resources import ResourceManagementClient
from azure.mgmt.resource.subscriptions import SubscriptionClient
from azure.profiles import KnownProfiles

PROFILES = {
    "2018": KnownProfiles.v2018_03_01_hybrid,
    "2019": KnownProfiles.v2019_03_01_hybrid,
    "2020": KnownProfiles.v2020_09_01_hybrid,
}
GROUPS = {"2018": "2018-02-01", "2019": "2018-05-01", "2020": "2019-10-01"}
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"


@pytest.fixture(params=PROFILES)
def year(request):
    return request.param


def made_with(cloud, kind, year, **more):
    return cloud.client(kind, profile=PROFILES[year], **more)


def test_groups_and_resources(cloud, group, machine, year):
    seen = []
    client = made_with(
        cloud,
        ResourceManagementClient,
        year,
        raw_request_hook=lambda sent: seen.append(sent.http_request.url),
    )
    name = cloud.new_name("profile")
    made = client.resource_groups.create_or_update(name, {"location": "local", "tags": {"year": year}})
    assert (made.name, made.tags) == (name, {"year": year})
    assert all(f"api-version={GROUPS[year]}" in url for url in seen)
    assert client.resource_groups.update(name, {"tags": {}}).name == name
    assert name in [one.name for one in client.resource_groups.list(top=1)]
    assert [one.id for one in client.resources.list_by_resource_group(group.name)] == [machine]
    assert client.resources.check_existence_by_id(machine, "2024-07-10") is True
    client.resource_groups.begin_delete(name).result(60)
    assert client.resource_groups.check_existence(name) is False


def test_providers_and_tags(cloud, year):
    client = made_with(cloud, ResourceManagementClient, year)
    assert "Microsoft.HybridCompute" in [one.namespace for one in client.providers.list()]
    assert client.providers.get("Microsoft.Resources").registration_state == "Registered"
    name = cloud.new_name("cost")
    client.tags.create_or_update(name)
    assert name in [one.tag_name for one in client.tags.list()]
    client.tags.delete(name)


def test_subscriptions(cloud, year):
    client = cloud.without_subscription(SubscriptionClient, profile=PROFILES[year])
    assert cloud.subscription in [one.subscription_id for one in client.subscriptions.list()]
    assert client.subscriptions.get(cloud.subscription).state == "Enabled"
    assert "local" in [one.name for one in client.subscriptions.list_locations(cloud.subscription)]
    assert cloud.tenant in [one.tenant_id for one in client.tenants.list()]


def test_locks(cloud, group, year):
    locks = made_with(cloud, ManagementLockClient, year).management_locks
    locks.create_or_update_at_resource_group_level(group.name, "keep", {"level": "CanNotDelete"})
    assert [one.name for one in locks.list_at_resource_group_level(group.name)] == ["keep"]
    locks.delete_at_resource_group_level(group.name, "keep")


@pytest.mark.parametrize("of_year", ["2018", "2019"])  # 2020 names a version that the package has not
def test_role_assignments(cloud, group, of_year):
    roles = made_with(cloud, AuthorizationManagementClient, of_year)
    scope, name = group.id.lstrip("/"), str(uuid.uuid4())
    principal = next(iter(roles.role_assignments.list_for_scope("/"))).as_dict()
    principal = principal.get("principal_id") or principal["properties"]["principal_id"]
    role = f"{cloud.scope}/providers/Microsoft.Authorization/roleDefinitions/{READER}"
    wanted = {"properties": {"roleDefinitionId": role, "principalId": principal}}
    assert roles.role_assignments.create(scope, name, wanted).name == name
    assert name in [one.name for one in roles.role_assignments.list_for_scope(scope)]
    assert roles.role_assignments.delete(scope, name).name == name
    assert "Reader" in [
        one.as_dict().get("role_name") or one.as_dict()["properties"]["role_name"]
        for one in roles.role_definitions.list(cloud.scope)
    ]
