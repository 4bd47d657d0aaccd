"""Tenants, subscriptions, locations, providers, the cloud's metadata."""

from __future__ import annotations

import pytest

from landbridge_server.testing import ControlPlane


def code(answer):
    return answer.json()["error"]["code"]


async def test_the_first_start_registers_what_machines_need(arm):
    listed = (await arm("GET", "providers")).json()["value"]
    assert {one["namespace"]: one["registrationState"] for one in listed} == {
        "Microsoft.Authorization": "Registered",
        "Microsoft.Features": "Registered",
        "Microsoft.GuestConfiguration": "Registered",
        "Microsoft.HybridCompute": "Registered",
        "Microsoft.HybridConnectivity": "NotRegistered",
        "Microsoft.Insights": "Registered",
        "Microsoft.ResourceGraph": "Registered",
        "Microsoft.Resources": "Registered",
    }


async def test_registering_takes_less_than_a_second_and_can_be_undone(arm, cloud):
    path = "providers/microsoft.hybridconnectivity"
    answer = await arm("POST", f"{path}/register", version="2016-02-01")
    assert (answer.status_code, answer.json()["registrationState"]) == (200, "Registering")
    cloud.clock.advance(1)
    assert (await arm("GET", path)).json()["registrationState"] == "Registered"
    assert (await arm("POST", f"{path}/register")).json()["registrationState"] == "Registered"
    assert (await arm("POST", f"{path}/unregister")).json()["registrationState"] == "Unregistering"
    cloud.clock.advance(1)
    assert (await arm("GET", path)).json()["registrationState"] == "Unregistered"


async def test_a_namespace_that_was_unregistered_can_be_registered_again(arm, cloud):
    path = "providers/Microsoft.HybridConnectivity"
    for verb, state in (
        ("register", "Registered"),
        ("unregister", "Unregistered"),
        ("register", "Registered"),
    ):
        await arm("POST", f"{path}/{verb}")
        cloud.clock.advance(1)
        assert (await arm("GET", path)).json()["registrationState"] == state


async def test_a_namespace_without_registration_cannot_be_unregistered(arm):
    answer = await arm("POST", "providers/Microsoft.Resources/unregister")
    assert (answer.status_code, code(answer)) == (409, "Conflict")


async def test_a_namespace_in_use_cannot_be_unregistered(arm):
    await arm.group()
    await arm.machine()
    answer = await arm("POST", "providers/Microsoft.HybridCompute/unregister")
    assert (answer.status_code, code(answer)) == (409, "Conflict")


async def test_a_namespace_that_is_unregistered_takes_no_writes(arm, cloud):
    await arm.group()
    await arm("POST", "providers/Microsoft.HybridCompute/unregister")
    cloud.clock.advance(1)
    assert code(await arm.machine()) == "MissingSubscriptionRegistration"


async def test_types_are_listed_with_the_newest_stable_version_first(arm, cloud):
    for path in ("providers/Microsoft.HybridCompute", "/providers/Microsoft.HybridCompute"):
        kinds = {one["resourceType"]: one for one in (await arm("GET", path)).json()["resourceTypes"]}
        assert {"machines", "machines/extensions", "machines/runCommands"} <= set(kinds)
        assert not {"licenses", "gateways", "privateLinkScopes", "machines/licenseProfiles"} & set(kinds)
        kind = kinds["machines"]
        assert kind["locations"] == ["local"]
        assert kind["apiVersions"] == sorted(kind["apiVersions"], reverse=True)
    for kind in cloud.plane.resources.registry.types():
        assert "preview" not in kind.api_versions[0]


async def test_an_unknown_namespace_is_404(arm):
    for path in ("providers/Contoso.X", "/providers/Contoso.X", "/providers/Contoso.X/operations"):
        assert code(await arm("GET", path)) == "InvalidResourceNamespace"


async def test_the_operations_of_a_namespace_name_its_actions(arm):
    listed = (await arm("GET", "/providers/Microsoft.HybridConnectivity/operations")).json()["value"]
    names = {one["name"] for one in listed}
    assert "Microsoft.HybridConnectivity/endpoints/listCredentials/action" in names
    assert "Microsoft.HybridConnectivity/endpoints/serviceConfigurations/write" in names


async def test_tenant_subscription_and_locations_are_shown(arm, cloud):
    (tenant,) = (await arm("GET", "/tenants")).json()["value"]
    assert tenant["tenantId"] == cloud.admin["tenantId"]
    (subscription,) = (await arm("GET", "/subscriptions")).json()["value"]
    assert subscription == (await arm("GET", "")).json()
    assert (subscription["id"], subscription["state"]) == (cloud.subscription, "Enabled")
    (location,) = (await arm("GET", "locations")).json()["value"]
    assert (location["name"], location["displayName"]) == ("local", "Local")


async def test_metadata_has_both_shapes_and_needs_no_token(cloud):
    async def metadata(version):
        return (await cloud.client.get(f"/metadata/endpoints?api-version={version}")).json()

    new = await metadata("2022-09-01")
    assert new["authentication"]["audiences"][0] == cloud.config.endpoints.audience
    assert new["authentication"]["loginEndpoint"] == cloud.config.endpoints.login
    assert {"name", "suffixes", "resourceManager", "portal", "microsoftGraphResourceId"} <= set(new)
    assert set(await metadata("2015-01-01")) == {
        "galleryEndpoint", "graphEndpoint", "portalEndpoint", "authentication",
    }  # fmt: skip
    assert await metadata("1.0") == await metadata("2015-01-01")
    for version, expected in (("", "MissingApiVersionParameter"), ("x", "InvalidApiVersionParameter")):
        assert (await metadata(version))["error"]["code"] == expected


@pytest.mark.parametrize(("provider", "ending"), [("aad", ""), ("adfs", "/adfs")])
async def test_metadata_announces_the_chosen_kind_of_sign_in(tmp_path, provider, ending):
    async with ControlPlane(
        tmp_path, identity_provider=provider, domain="local.azurestack.external"
    ) as cloud:
        body = (await cloud.client.get("/metadata/endpoints?api-version=2022-09-01")).json()
        assert body["authentication"]["identityProvider"] == provider.upper()
        word = "adfs" if ending else "login"
        assert (
            body["authentication"]["loginEndpoint"]
            == f"https://{word}.local.azurestack.external:9443{ending}"
        )
        assert body["suffixes"]["storage"] == "local.azurestack.external"


async def test_the_types_of_a_provider_say_what_they_are_capable_of(arm):
    kinds = (await arm("GET", "providers/Microsoft.HybridCompute/resourceTypes")).json()["value"]
    assert kinds == (await arm("GET", "providers/Microsoft.HybridCompute")).json()["resourceTypes"]
    capabilities = {one["resourceType"]: one["capabilities"] for one in kinds}
    assert capabilities["machines"] == (
        "CrossResourceGroupResourceMove, CrossSubscriptionResourceMove, SupportsTags, SupportsLocation"
    )
    groups = (await arm("GET", "providers/Microsoft.Resources/resourceTypes")).json()["value"]
    assert {"SupportsTags, SupportsLocation"} == {
        one["capabilities"] for one in groups if one["resourceType"] == "resourceGroups"
    }
    endpoints = (await arm("GET", "providers/Microsoft.HybridConnectivity/resourceTypes")).json()["value"]
    assert "SupportsExtension" in {one["capabilities"] for one in endpoints}
    expanded = await arm("GET", "providers/Microsoft.HybridCompute?$expand=resourceTypes/aliases")
    assert all(one["aliases"] == [] for one in expanded.json()["resourceTypes"])
    assert code(await arm("GET", "providers/Contoso.X/resourceTypes")) == "InvalidResourceNamespace"


async def test_no_provider_has_applications_of_its_own(arm):
    answer = await arm("GET", "providers/Microsoft.HybridCompute/providerPermissions")
    assert (answer.status_code, answer.json()) == (200, {"value": []})
    assert code(await arm("GET", "providers/Contoso.X/providerPermissions")) == "InvalidResourceNamespace"


async def test_the_policy_is_shown_from_the_version_that_has_it(arm):
    newer = (await arm("GET", "providers/Microsoft.HybridCompute", version="2022-09-01")).json()
    older = (await arm("GET", "providers/Microsoft.HybridCompute", version="2018-02-01")).json()
    assert (newer["registrationPolicy"], "registrationPolicy" in older) == ("RegistrationRequired", False)
    free = (await arm("GET", "providers/Microsoft.Authorization", version="2022-09-01")).json()
    assert (free["registrationPolicy"], free["registrationState"]) == ("RegistrationFree", "Registered")


async def test_every_namespace_lists_its_operations(arm, cloud):
    for provider in cloud.plane.resources.registry.providers:
        answer = await arm("GET", f"/providers/{provider.namespace}/operations")
        assert answer.status_code == 200, provider.namespace
        names = [one["name"] for one in answer.json()["value"]]
        assert all(name.startswith(provider.namespace) for name in names)
        assert len(set(names)) == len(names)


async def test_registrations_are_refused_under_a_read_only_lock(arm):
    lock = {"properties": {"level": "ReadOnly"}}
    await arm("PUT", "providers/Microsoft.Authorization/locks/keep", lock)
    for verb in ("register", "unregister"):
        assert code(await arm("POST", f"providers/Microsoft.HybridConnectivity/{verb}")) == "ScopeLocked"
