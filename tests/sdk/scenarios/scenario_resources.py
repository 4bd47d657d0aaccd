"""azure-mgmt-resource, any version: groups, generic resources, tags, providers, moves."""

from __future__ import annotations

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from real_cloud import AT, MACHINE, MACHINE_VERSION, MACHINES, Group


def names(found):
    return sorted(one.name for one in found)


def test_a_group_is_made_updated_shown_and_deleted(cloud, resources):
    groups, name = resources.resource_groups, cloud.new_name("life")
    assert groups.check_existence(name) is False
    made = groups.create_or_update(name, {"location": "local", "tags": {"stage": "one"}})
    assert (made.name, made.location, made.type) == (name, "local", "Microsoft.Resources/resourceGroups")
    assert made.properties.provisioning_state == "Succeeded"
    assert groups.check_existence(name.upper()) is True
    assert groups.update(name, {"tags": {"stage": "two"}}).tags == {"stage": "two"}
    assert groups.get(name).tags == {"stage": "two"}
    assert groups.begin_delete(name).result() is None
    assert groups.check_existence(name) is False


def test_a_group_is_deleted_with_all_that_is_in_it(group, resources):
    machine = group.add_machine("inside")
    poller = resources.resource_groups.begin_delete(group.name)
    poller.wait(60)
    assert (poller.done(), poller.status()) == (True, "Succeeded")
    with pytest.raises(ResourceNotFoundError) as gone:
        resources.resources.get_by_id(machine, **AT)
    assert gone.value.error.code == "ResourceGroupNotFound"


def test_a_deletion_goes_on_from_its_continuation_token(group, resources):
    group.add_machine("inside")
    token = resources.resource_groups.begin_delete(group.name).continuation_token()
    again = resources.resource_groups.begin_delete(group.name, continuation_token=token)
    again.wait(60)
    assert again.done()
    assert resources.resource_groups.check_existence(group.name) is False


def test_groups_are_listed_page_by_page_and_by_tag(cloud, resources):
    mark = cloud.new_name("mark")
    made = [Group(cloud, resources) for _ in range(5)]
    try:
        for one in made[:3]:
            resources.resource_groups.update(one.name, {"tags": {"mark": mark}})
        pages = [[one.name for one in page] for page in resources.resource_groups.list(top=2).by_page()]
        assert all(len(page) <= 2 for page in pages)
        listed = [name for page in pages for name in page]
        assert len(listed) == len(set(listed))
        assert {one.name for one in made} <= set(listed)
        tagged = resources.resource_groups.list(filter=f"tagName eq 'mark' and tagValue eq '{mark}'", top=1)
        assert names(tagged) == sorted(one.name for one in made[:3])
    finally:
        for one in made:
            one.delete()


def test_a_resource_by_id_is_made_shown_patched_and_deleted(group, resources):
    by_id, machine = resources.resources, group.machine_id("byid")
    assert by_id.check_existence_by_id(machine, **AT) is False
    made = by_id.begin_create_or_update_by_id(machine, parameters=MACHINE, **AT).result()
    assert (made.id, made.type.lower(), made.location) == (machine, MACHINES.lower(), "local")
    assert made.properties["provisioningState"] == "Succeeded"
    assert by_id.check_existence_by_id(machine, **AT) is True
    patched = by_id.begin_update_by_id(machine, parameters={"tags": {"a": "b"}}, **AT).result()
    assert patched.tags == {"a": "b"}
    assert by_id.get_by_id(machine, **AT).tags == {"a": "b"}
    by_id.begin_delete_by_id(machine, **AT).result()
    assert by_id.check_existence_by_id(machine, **AT) is False


def test_a_resource_is_addressed_by_its_parts(group, resources):
    parts = (group.name, "Microsoft.HybridCompute", "", "machines", "parts")
    made = resources.resources.begin_create_or_update(*parts, parameters=MACHINE, **AT).result()
    assert made.name == "parts"
    assert resources.resources.check_existence(*parts, **AT) is True
    assert resources.resources.get(*parts, **AT).id == group.machine_id("parts")
    changed = resources.resources.begin_update(*parts, parameters={"tags": {"x": "y"}}, **AT).result()
    assert changed.tags == {"x": "y"}
    resources.resources.begin_delete(*parts, **AT).result()
    assert resources.resources.check_existence(*parts, **AT) is False


def test_resources_are_listed_by_group_type_tag_and_page(group, resources):
    for number in range(5):
        group.add_machine(f"n{number}", tags={"odd": str(number % 2)})
    listed = resources.resources.list_by_resource_group
    assert names(listed(group.name)) == [f"n{number}" for number in range(5)]
    assert names(listed(group.name, top=2)) == [f"n{number}" for number in range(5)]
    pages = [list(page) for page in listed(group.name, top=2).by_page()]
    assert [len(page) for page in pages if page] == [2, 2, 1]
    assert names(listed(group.name, filter="tagName eq 'odd' and tagValue eq '1'")) == ["n1", "n3"]
    assert names(listed(group.name, filter="name eq 'n4'")) == ["n4"]
    kind = f"resourceType eq '{MACHINES}' and resourceGroup eq '{group.name}'"
    assert len(names(resources.resources.list(filter=kind, top=3))) == 5
    assert names(listed(group.name, filter="substringof('N2', name)")) == ["n2"]
    assert names(listed(group.name, filter="resourceType eq 'Microsoft.Compute/virtualMachines'")) == []


def test_expand_adds_times_and_state(group, machine, resources):
    wanted = "createdTime,changedTime,provisioningState"
    found = list(resources.resources.list_by_resource_group(group.name, expand=wanted))
    assert [(one.id, one.provisioning_state) for one in found] == [(machine, "Succeeded")]
    assert found[0].created_time <= found[0].changed_time


def test_a_page_that_is_asked_for_later_comes_from_its_token(group, resources):
    for number in range(4):
        group.add_machine(f"n{number}")
    pages = resources.resources.list_by_resource_group(group.name, top=2).by_page()
    first = names(next(pages))
    token = pages.continuation_token
    assert token.startswith("https://")
    later = resources.resources.list_by_resource_group(group.name, top=2).by_page(continuation_token=token)
    assert first + names(one for page in later for one in page) == ["n0", "n1", "n2", "n3"]


def test_tags_at_a_scope_are_replaced_merged_and_deleted(machine, resources):
    tags = resources.tags

    def call(name, *words):
        return getattr(tags, f"begin_{name}")(*words).result()

    made = call("create_or_update_at_scope", machine, {"properties": {"tags": {"a": "1", "b": "2"}}})
    assert made.properties.tags == {"a": "1", "b": "2"}
    merged = {"operation": "Merge", "properties": {"tags": {"b": "3", "c": "4"}}}
    assert call("update_at_scope", machine, merged).properties.tags == {"a": "1", "b": "3", "c": "4"}
    fewer = {"operation": "Delete", "properties": {"tags": {"a": "1"}}}
    assert call("update_at_scope", machine, fewer).properties.tags == {"b": "3", "c": "4"}
    assert resources.resources.get_by_id(machine, **AT).tags == {"b": "3", "c": "4"}
    call("delete_at_scope", machine)
    assert not tags.get_at_scope(machine).properties.tags


def test_tag_names_of_a_subscription(cloud, resources):
    name = cloud.new_name("cost")
    tags = resources.tags
    assert tags.create_or_update(name).tag_name == name
    assert tags.create_or_update_value(name, "high").tag_value == "high"
    found = {one.tag_name: one for one in tags.list()}[name]
    values = found.as_dict()["values"]  # the members of as_dict() are spelled as the version likes
    assert [one.get("tagValue") or one["tag_value"] for one in values] == ["high"]
    tags.delete_value(name, "high")
    tags.delete(name)
    assert name not in [one.tag_name for one in tags.list()]


def test_a_machine_moves_to_another_group(cloud, group, machine, resources):
    target = Group(cloud, resources)
    try:
        wanted = {"resources": [machine], "targetResourceGroup": target.id}
        resources.resources.begin_validate_move_resources(group.name, wanted).result(60)
        assert names(resources.resources.list_by_resource_group(group.name)) == ["web1"]
        resources.resources.begin_move_resources(group.name, wanted).result(60)
        assert names(resources.resources.list_by_resource_group(group.name)) == []
        assert names(resources.resources.list_by_resource_group(target.name)) == ["web1"]
    finally:
        target.delete()


def test_a_move_to_nowhere_is_refused(cloud, group, machine, resources):
    wanted = {"resources": [machine], "targetResourceGroup": f"{cloud.scope}/resourceGroups/nowhere"}
    with pytest.raises(HttpResponseError) as refused:
        resources.resources.begin_move_resources(group.name, wanted).result(60)
    assert refused.value.status_code in (400, 404)
    assert names(resources.resources.list_by_resource_group(group.name)) == ["web1"]


def test_providers_are_listed_with_types_versions_and_locations(resources):
    found = {one.namespace: one for one in resources.providers.list()}
    assert {"Microsoft.HybridCompute", "Microsoft.Resources", "Microsoft.Authorization"} <= set(found)
    kinds = {one.resource_type: one for one in found["Microsoft.HybridCompute"].resource_types}
    assert MACHINE_VERSION in kinds["machines"].api_versions
    shown = resources.providers.get("microsoft.hybridcompute")
    assert shown.namespace == "Microsoft.HybridCompute"
    with pytest.raises(ResourceNotFoundError) as refused:
        resources.providers.get("Microsoft.Nowhere")
    assert refused.value.error.code == "InvalidResourceNamespace"


def test_errors_come_as_the_right_exceptions(cloud, group, resources):
    with pytest.raises(ResourceNotFoundError) as missing:
        resources.resource_groups.get("nowhere")
    assert missing.value.error.code == "ResourceGroupNotFound"
    assert "'nowhere' could not be found" in missing.value.error.message
    with pytest.raises(ResourceNotFoundError) as missing:
        resources.resources.get_by_id(group.machine_id("nobody"), **AT)
    assert missing.value.error.code == "ResourceNotFound"
    with pytest.raises(ResourceExistsError) as elsewhere:
        resources.resource_groups.create_or_update(group.name, {"location": "eastus"})
    assert elsewhere.value.error.code == "InvalidResourceGroupLocation"
    with pytest.raises(HttpResponseError) as malformed:
        resources.resource_groups.create_or_update("ends.in.dot.", {"location": "local"})
    assert malformed.value.status_code == 400
    with pytest.raises(HttpResponseError) as unknown:
        resources.resource_groups.create_or_update(cloud.new_name("far"), {"location": "the-moon"})
    assert unknown.value.status_code == 400
    assert unknown.value.error.code == "LocationNotAvailableForResourceType"


def test_versions_are_refused_as_the_resource_manager_does(cloud, group, machine, resources):
    with pytest.raises(HttpResponseError) as refused:
        resources.resources.get_by_id(machine, api_version="yesterday")
    assert refused.value.status_code == 400
    assert refused.value.error.code in ("NoRegisteredProviderFound", "InvalidApiVersionParameter")
    unknown = f"{group.id}/providers/Microsoft.HybridCompute/licenses/one"
    with pytest.raises(ResourceNotFoundError) as refused:
        resources.resources.get_by_id(unknown, **AT)
    assert refused.value.error.code == "InvalidResourceType"
