"""azure-mgmt-hybridcompute 10 and newer: machines are made and changed, commands are run on them."""

from __future__ import annotations

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.mgmt.hybridcompute import HybridComputeManagementClient, models
from real_cloud import MACHINE_VERSION


@pytest.fixture(params=["", MACHINE_VERSION], ids=["own", "pinned"])
def compute(request, cloud):
    """The client with its own api-version, and with the one of the collected documents."""
    more = {"api_version": request.param} if request.param else {}
    return cloud.client(HybridComputeManagementClient, **more)


def test_a_machine_is_made_from_a_model_and_updated(group, compute):
    wanted = models.Machine(
        location="local",
        tags={"stage": "one"},
        properties=models.MachineProperties(
            location_data=models.LocationData(name="Redmond", city="Redmond")
        ),
    )
    made = compute.machines.create_or_update(group.name, "model", wanted)
    assert (made.name, made.tags, made.properties.provisioning_state) == (
        "model",
        {"stage": "one"},
        "Succeeded",
    )
    assert made.properties.location_data.city == "Redmond"
    assert made.identity.type == "SystemAssigned"
    changed = compute.machines.update(group.name, "model", models.MachineUpdate(tags={"stage": "two"}))
    assert changed.tags == {"stage": "two"}
    assert changed.properties.location_data.city == "Redmond"
    assert compute.machines.get(group.name, "model").tags == {"stage": "two"}


def test_a_machine_is_deleted_once_and_then_not_there(group, cloud):
    compute = cloud.client(HybridComputeManagementClient)
    group.add_machine("short")
    compute.machines.begin_delete(group.name, "short").result(60)
    with pytest.raises(ResourceNotFoundError):
        compute.machines.get(group.name, "short")
    compute.machines.begin_delete(group.name, "short").result(60)


def test_a_machine_with_a_wrong_property_is_refused_and_not_made(group, compute):
    wrong = {"location": "local", "properties": {"identityKeyStore": "Pocket"}}
    with pytest.raises(HttpResponseError) as refused:
        compute.machines.create_or_update(group.name, "wrong", wrong)
    assert refused.value.status_code == 400
    assert list(compute.machines.list_by_resource_group(group.name)) == []


def test_a_run_command_waits_for_its_machine(group, machine, compute):
    commands = compute.machine_run_commands
    script = models.MachineRunCommand(
        location="local",
        properties=models.MachineRunCommandProperties(
            source=models.MachineRunCommandScriptSource(script="uptime"), timeout_in_seconds=30
        ),
    )
    poller = commands.begin_create_or_update(group.name, "web1", "first", script)
    assert poller.done() is False
    shown = commands.get(group.name, "web1", "first")
    assert shown.properties.source.script == "uptime"
    assert shown.properties.provisioning_state == "Creating"
    assert [one.name for one in commands.list(group.name, "web1")] == ["first"]
    commands.begin_delete(group.name, "web1", "first")
    with pytest.raises(HttpResponseError) as given_up:
        poller.result(30)
    assert given_up.value.error.code == "OperationPreempted"


def test_an_extension_is_updated_while_it_waits(group, machine, compute):
    wanted = models.MachineExtension(
        location="local",
        properties=models.MachineExtensionProperties(
            publisher="Microsoft.Azure.Extensions", type="CustomScript", settings={"commandToExecute": "true"}
        ),
    )
    first = compute.machine_extensions.begin_create_or_update(group.name, "web1", "script", wanted)
    change = models.MachineExtensionUpdate(
        properties=models.MachineExtensionUpdateProperties(settings={"commandToExecute": "false"})
    )
    second = compute.machine_extensions.begin_update(group.name, "web1", "script", change)
    assert second.done() is False
    with pytest.raises(HttpResponseError):
        first.result(30)
    shown = compute.machine_extensions.get(group.name, "web1", "script")
    assert shown.properties.settings == {"commandToExecute": "false"}


def test_what_no_agent_carries_out_is_refused_in_words(group, machine, compute):
    with pytest.raises(HttpResponseError) as refused:
        compute.machines.begin_assess_patches(group.name, "web1").result(30)
    assert 400 <= refused.value.status_code < 500
    assert refused.value.error.message


def test_gateways_and_licenses_are_unknown_types(group, compute):
    for ask in (
        lambda: list(compute.gateways.list_by_resource_group(group.name)),
        lambda: list(compute.licenses.list_by_resource_group(group.name)),
        lambda: list(compute.private_link_scopes.list_by_resource_group(group.name)),
    ):
        with pytest.raises(ResourceNotFoundError) as refused:
            ask()
        assert refused.value.error.code == "InvalidResourceType"
