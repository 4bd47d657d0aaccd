"""The clients for locks, features and subscriptions, packages of their own since azure-mgmt-resource 24."""

from __future__ import annotations

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.mgmt.resource.features import FeatureClient
from azure.mgmt.resource.locks import ManagementLockClient
from azure.mgmt.resource.subscriptions import SubscriptionClient
from real_cloud import AT, until

LOCK = {"level": "CanNotDelete", "notes": "not now"}


@pytest.fixture
def locks(cloud):
    return cloud.client(ManagementLockClient).management_locks


def test_a_lock_on_a_group_keeps_the_group_and_what_is_in_it(group, machine, locks, resources):
    made = locks.create_or_update_at_resource_group_level(group.name, "keep", LOCK)
    assert (made.name, made.level, made.notes) == ("keep", "CanNotDelete", "not now")
    for delete in (
        lambda: resources.resource_groups.begin_delete(group.name).result(),
        lambda: resources.resources.begin_delete_by_id(machine, **AT).result(),
    ):
        with pytest.raises(ResourceExistsError) as refused:
            delete()
        assert refused.value.error.code == "ScopeLocked"
    assert [one.name for one in locks.list_at_resource_group_level(group.name)] == ["keep"]
    assert locks.get_at_resource_group_level(group.name, "KEEP").id == made.id
    locks.delete_at_resource_group_level(group.name, "keep")
    with pytest.raises(ResourceNotFoundError) as gone:
        locks.get_at_resource_group_level(group.name, "keep")
    assert gone.value.error.code == "LockNotFound"
    locks.delete_at_resource_group_level(group.name, "keep")


def test_a_read_only_lock_on_a_resource_refuses_writes(group, machine, locks, resources):
    parts = (group.name, "Microsoft.HybridCompute", "", "machines", "web1", "still")
    made = locks.create_or_update_at_resource_level(*parts, {"level": "ReadOnly"})
    assert made.id.lower().startswith(machine.lower())
    with pytest.raises(ResourceExistsError) as refused:
        resources.resources.begin_update_by_id(machine, parameters={"tags": {"a": "b"}}, **AT).result()
    assert refused.value.error.code == "ScopeLocked"
    assert [one.name for one in locks.list_at_resource_level(*parts[:-1])] == ["still"]
    assert locks.get_at_resource_level(*parts).level == "ReadOnly"
    locks.delete_at_resource_level(*parts)
    resources.resources.begin_update_by_id(machine, parameters={"tags": {"a": "b"}}, **AT).result()


def test_locks_by_scope_and_at_the_subscription(cloud, group, machine, locks):
    name = cloud.new_name("lock")
    try:
        assert locks.create_or_update_at_subscription_level(name, LOCK).name == name
        assert locks.get_at_subscription_level(name).level == "CanNotDelete"
        assert name in [one.name for one in locks.list_at_subscription_level()]
        assert locks.create_or_update_by_scope(machine.lstrip("/"), "inner", LOCK).name == "inner"
        assert locks.get_by_scope(machine.lstrip("/"), "inner").level == "CanNotDelete"
        assert "inner" in [one.name for one in locks.list_by_scope(machine.lstrip("/"))]
        assert "inner" in [one.name for one in locks.list_at_subscription_level()]
    finally:
        locks.delete_at_subscription_level(name)
        locks.delete_by_scope(machine.lstrip("/"), "inner")
    assert list(locks.list_by_scope(machine.lstrip("/"))) == []


def test_a_lock_with_an_unknown_level_is_refused(group, locks):
    with pytest.raises(HttpResponseError) as refused:
        locks.create_or_update_at_resource_group_level(group.name, "odd", {"level": "Sometimes"})
    assert refused.value.status_code == 400
    assert list(locks.list_at_resource_group_level(group.name)) == []


def test_features_are_listed_registered_and_unregistered(cloud):
    features = cloud.client(FeatureClient).features
    every = {one.name: one for one in features.list_all()}
    assert every
    namespace, _, name = next(iter(every)).partition("/")
    before = features.get(namespace, name).properties.state
    assert before in ("NotRegistered", "Unregistered", "Registered")
    assert features.register(namespace, name).properties.state in ("Registered", "Registering", "Pending")
    until(lambda: features.get(namespace, name).properties.state == "Registered")
    assert f"{namespace}/{name}" in [one.name for one in features.list(namespace)]
    assert features.unregister(namespace, name).properties.state in ("Unregistered", "Unregistering")
    with pytest.raises(ResourceNotFoundError):
        features.get(namespace, "nothing-of-that-name")


def test_feature_registrations_of_a_subscription(cloud):
    client = cloud.client(FeatureClient)
    if not hasattr(client, "subscription_feature_registrations"):
        pytest.skip("this version of the client has no registrations")
    namespace, _, name = next(iter(client.features.list_all())).name.partition("/")
    registrations = client.subscription_feature_registrations
    made = registrations.create_or_update(namespace, name, {})
    assert made.name.lower() == name.lower()
    assert made.properties.state in ("Registered", "Registering", "Pending")
    assert registrations.get(namespace, name).properties.feature_name.lower() == name.lower()
    assert [one.id for one in registrations.list_by_subscription(namespace)] == [made.id]
    assert made.id in [one.id for one in registrations.list_all_by_subscription()]
    registrations.delete(namespace, name)
    assert list(registrations.list_by_subscription(namespace)) == []


def test_subscriptions_tenants_and_locations(cloud):
    client = cloud.without_subscription(SubscriptionClient)
    assert cloud.subscription in [one.subscription_id for one in client.subscriptions.list()]
    shown = client.subscriptions.get(cloud.subscription)
    assert (shown.id, shown.state) == (cloud.scope, "Enabled")
    assert cloud.tenant in [one.tenant_id for one in client.tenants.list()]
    places = {one.name: one for one in client.subscriptions.list_locations(cloud.subscription)}
    assert places["local"].display_name
    with pytest.raises(ResourceNotFoundError) as refused:
        client.subscriptions.get("11111111-2222-3333-4444-555555555555")
    assert refused.value.error.code == "SubscriptionNotFound"
    with pytest.raises(HttpResponseError) as refused:
        client.subscriptions.get("not-a-guid")
    assert refused.value.status_code in (400, 404)
