"""azure-mgmt-hybridcompute, -hybridconnectivity and -guestconfig: what every version of them can do."""

from __future__ import annotations

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.mgmt.guestconfig import GuestConfigurationClient
from azure.mgmt.hybridcompute import HybridComputeManagementClient
from real_cloud import AT, MACHINES, until

try:
    from azure.mgmt.hybridconnectivity import HybridConnectivityMgmtClient
except ImportError:  # its name until 1.0.0
    from azure.mgmt.hybridconnectivity import HybridConnectivityManagementAPI as HybridConnectivityMgmtClient

SCRIPT = {
    "location": "local",
    "properties": {
        "publisher": "Microsoft.Azure.Extensions",
        "type": "CustomScript",
        "settings": {"commandToExecute": "true"},
    },
}
SECURE = {"location": "local", "properties": {"guestConfiguration": {"name": "Secure", "version": "1.0.0"}}}


def state_of(shown):
    """The provisioning state: among the properties, which some versions lift to the top."""
    inner = shown.get("properties", shown)
    return inner.get("provisioningState") or inner.get("provisioning_state")


@pytest.fixture
def compute(cloud):
    return cloud.client(HybridComputeManagementClient)


@pytest.fixture
def connectivity(cloud, resources):
    namespace = "Microsoft.HybridConnectivity"
    resources.providers.register(namespace)
    until(lambda: resources.providers.get(namespace).registration_state == "Registered")
    try:
        return cloud.client(HybridConnectivityMgmtClient)
    except TypeError:  # 1.0.0 belongs to no subscription
        return cloud.without_subscription(HybridConnectivityMgmtClient)


@pytest.fixture
def guest(cloud):
    return cloud.client(GuestConfigurationClient)


def test_machines_are_shown_and_listed_by_group_and_subscription(cloud, group, compute):
    for number in range(3):
        group.add_machine(f"n{number}", tags={"number": str(number)})
    shown = compute.machines.get(group.name.upper(), "n1")
    assert (shown.name, shown.location, shown.tags) == ("n1", "local", {"number": "1"})
    assert shown.type.lower() == MACHINES.lower()
    assert shown.system_data.created_by
    assert shown.location_data.name == "Redmond"
    by_group = compute.machines.list_by_resource_group(group.name)
    assert sorted(one.name for one in by_group) == ["n0", "n1", "n2"]
    everywhere = [one.id for one in compute.machines.list_by_subscription()]
    assert {group.machine_id(f"n{number}") for number in range(3)} <= set(everywhere)
    assert len(everywhere) == len(set(everywhere))


def test_a_machine_that_is_not_there_is_not_found(group, compute):
    with pytest.raises(ResourceNotFoundError) as missing:
        compute.machines.get(group.name, "nobody")
    assert missing.value.error.code == "ResourceNotFound"
    assert list(compute.machines.list_by_resource_group(group.name)) == []


def test_a_machine_is_deleted(group, machine, compute):
    if hasattr(compute.machines, "begin_delete"):
        compute.machines.begin_delete(group.name, "web1").result(60)
    else:
        compute.machines.delete(group.name, "web1")
    with pytest.raises(ResourceNotFoundError):
        compute.machines.get(group.name, "web1")


def test_an_extension_waits_for_its_machine_until_it_is_deleted(group, machine, compute):
    extensions = compute.machine_extensions
    poller = extensions.begin_create_or_update(group.name, "web1", "script", SCRIPT)
    assert poller.done() is False
    shown = extensions.get(group.name, "web1", "script").as_dict()
    assert shown["name"] == "script"
    assert state_of(shown) == "Creating"
    assert [one.name for one in extensions.list(group.name, "web1")] == ["script"]
    deletion = extensions.begin_delete(group.name, "web1", "script")
    with pytest.raises(HttpResponseError) as given_up:
        poller.result(30)
    assert given_up.value.error.code == "OperationPreempted"
    deletion.result(30)  # nothing of it was ever on the machine
    assert list(extensions.list(group.name, "web1")) == []


def test_an_extension_of_no_machine_is_refused(group, compute):
    with pytest.raises(ResourceNotFoundError) as refused:
        compute.machine_extensions.begin_create_or_update(group.name, "nobody", "script", SCRIPT)
    assert refused.value.error.code == "ParentResourceNotFound"


def test_the_catalogue_of_extensions_is_browsed(compute):
    """It lists what is shipped, which may be nothing; what it lists, it shows."""
    kind = ("local", "Microsoft.Azure.Extensions", "CustomScript")
    for found in compute.extension_metadata.list(*kind):
        shown = compute.extension_metadata.get(*kind, found.version)
        assert (shown.publisher, shown.extension_type, shown.version) == (*kind[1:], found.version)
    with pytest.raises(ResourceNotFoundError):
        compute.extension_metadata.get(*kind, "99.99.99")
    with pytest.raises(HttpResponseError) as refused:
        compute.extension_metadata.get("the-moon", *kind[1:], "1.0.0")
    assert 400 <= refused.value.status_code < 500


def test_the_network_profile_of_a_machine(group, machine, compute):
    assert compute.network_profile.get(group.name, "web1") is not None


def test_operations_are_listed(compute, connectivity, guest):
    assert "Microsoft.HybridCompute/machines/read" in [one.name for one in compute.operations.list()]
    assert "Microsoft.HybridConnectivity/endpoints/read" in [
        one.name for one in connectivity.operations.list()
    ]
    assert any("guestConfigurationAssignments" in one.name for one in guest.operations.list())


def test_what_is_not_offered_is_refused_as_an_unknown_type(group, machine, compute):
    for ask in (
        lambda: compute.licenses.get(group.name, "one"),
        lambda: compute.private_link_scopes.get(group.name, "one"),
    ):
        with pytest.raises(ResourceNotFoundError) as refused:
            ask()
        assert refused.value.error.code == "InvalidResourceType"


def test_an_endpoint_is_made_listed_updated_and_gives_credentials(machine, connectivity):
    endpoints = connectivity.endpoints
    made = endpoints.create_or_update(machine, "default", {"properties": {"type": "default"}})
    assert made.id.lower() == f"{machine}/providers/Microsoft.HybridConnectivity/endpoints/default".lower()
    assert endpoints.get(machine, "default").name == "default"
    assert [one.name for one in endpoints.list(machine)] == ["default"]
    services = connectivity.service_configurations
    ssh = services.create_orupdate(
        machine, "default", "SSH", {"properties": {"serviceName": "SSH", "port": 22}}
    )
    assert (ssh.name, ssh.port, ssh.service_name) == ("SSH", 22, "SSH")
    changed = services.update(machine, "default", "SSH", {"properties": {"port": 2222}})
    assert changed.port == 2222
    assert services.get(machine, "default", "SSH").port == 2222
    assert [one.name for one in services.list_by_endpoint_resource(machine, "default")] == ["SSH"]
    access = endpoints.list_credentials(machine, "default", expiresin=3600)
    relay = access.as_dict().get("relay") or access.as_dict()
    assert all(relay.values())
    assert any("accesskey" in name.replace("_", "").lower() for name in relay)
    services.delete(machine, "default", "SSH")
    with pytest.raises(ResourceNotFoundError):
        services.get(machine, "default", "SSH")
    endpoints.delete(machine, "default")
    with pytest.raises(ResourceNotFoundError):
        endpoints.get(machine, "default")


def test_an_endpoint_of_no_machine_is_refused(group, connectivity):
    nobody = group.machine_id("nobody")
    with pytest.raises(ResourceNotFoundError) as refused:
        connectivity.endpoints.create_or_update(nobody, "default", {"properties": {"type": "default"}})
    assert refused.value.error.code == "ParentResourceNotFound"


def test_a_write_registers_the_namespace_by_itself(group, machine, guest, resources):
    """The SDK reads MissingSubscriptionRegistration, registers, waits ten seconds and tries again."""
    name = "Microsoft.GuestConfiguration"
    if resources.providers.get(name).registration_state != "NotRegistered":
        resources.providers.unregister(name)
    until(lambda: resources.providers.get(name).registration_state in ("NotRegistered", "Unregistered"))
    made = guest.guest_configuration_hcrp_assignments.create_or_update("Secure", group.name, "web1", SECURE)
    assert made.name == "Secure"
    assert resources.providers.get(name).registration_state == "Registered"


def test_a_guest_assignment_is_made_listed_and_deleted(group, machine, guest, resources):
    resources.providers.register("Microsoft.GuestConfiguration")
    assignments = guest.guest_configuration_hcrp_assignments
    until(lambda: resources.providers.get("Microsoft.GuestConfiguration").registration_state == "Registered")
    made = assignments.create_or_update("Secure", group.name, "web1", SECURE)
    assert (made.name, made.properties.guest_configuration.version) == ("Secure", "1.0.0")
    assert made.properties.compliance_status in ("Pending", None)
    assert assignments.get(group.name, "Secure", "web1").id == made.id
    assert [one.name for one in assignments.list(group.name, "web1")] == ["Secure"]
    assert made.id in [one.id for one in guest.guest_configuration_assignments.rg_list(group.name)]
    assert made.id in [one.id for one in guest.guest_configuration_assignments.subscription_list()]
    reports = guest.guest_configuration_hcrp_assignment_reports.list(group.name, "Secure", "web1")
    assert [one for one in (reports.value or [])] == []
    assignments.delete(group.name, "Secure", "web1")
    with pytest.raises(ResourceNotFoundError):
        assignments.get(group.name, "Secure", "web1")


def test_etags_guard_writes(group, machine, resources):
    """ARM's preconditions, which these clients send as headers."""
    by_id = resources.resources
    with pytest.raises(HttpResponseError) as exists:
        by_id.begin_create_or_update_by_id(
            machine, parameters={"location": "local"}, headers={"If-None-Match": "*"}, **AT
        ).result()
    assert (exists.value.status_code, exists.value.error.code) == (412, "PreconditionFailed")
    with pytest.raises(HttpResponseError) as changed:
        by_id.begin_delete_by_id(machine, headers={"If-Match": '"another"'}, **AT).result()
    assert changed.value.status_code == 412
    seen = {}
    by_id.get_by_id(machine, raw_response_hook=lambda answer: seen.update(answer.http_response.headers), **AT)
    etag = {name.lower(): value for name, value in seen.items()}.get("etag")
    if etag:
        by_id.begin_update_by_id(
            machine, parameters={"tags": {"a": "b"}}, headers={"If-Match": etag}, **AT
        ).result()
        with pytest.raises(HttpResponseError) as changed:
            by_id.begin_update_by_id(
                machine, parameters={"tags": {"a": "c"}}, headers={"If-Match": etag}, **AT
            ).result()
        assert changed.value.status_code == 412
    by_id.begin_delete_by_id(machine, headers={"If-Match": "*"}, **AT).result()
    assert by_id.check_existence_by_id(machine, **AT) is False


def test_a_machine_keeps_its_location(group, machine, resources):
    with pytest.raises(ResourceExistsError) as moved:
        resources.resources.begin_create_or_update_by_id(
            machine, parameters={"location": "eastus"}, **AT
        ).result()
    assert moved.value.error.code == "InvalidResourceLocation"
