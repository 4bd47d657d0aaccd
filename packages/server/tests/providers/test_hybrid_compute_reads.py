"""Network profile, catalogue and operations of ``Microsoft.HybridCompute``, and what is not offered."""

from __future__ import annotations

import io
import json

import pytest

from landbridge_server.fleet import extension_packages
from landbridge_server.store import machines

MACHINE = "resourceGroups/demo/providers/Microsoft.HybridCompute/machines/web1"
VERSIONS = "locations/local/publishers/microsoft.azure.extensions/extensionTypes/CustomScript/versions"
PROFILE = {
    "networkInterfaces": [
        {
            "ipAddresses": [
                {
                    "address": "192.0.2.7",
                    "ipAddressVersion": "IPv4",
                    "subnet": {"addressPrefix": "192.0.2.0/24"},
                }
            ]
        }
    ]
}


def code(answer):
    return answer.json()["error"]["code"]


@pytest.fixture
async def place(arm):
    await arm.group()
    await arm.machine()
    return arm


async def test_a_machine_that_never_reported_has_no_interfaces(place):
    answer = await place("GET", f"{MACHINE}/networkProfile")
    assert (answer.status_code, answer.json()) == (200, {"networkInterfaces": []})


async def test_the_network_profile_is_what_the_agent_reported(place, cloud):
    with cloud.plane.db.writing() as connection:
        key = f"{cloud.subscription}/{MACHINE}".lower()
        machines.set_facts(connection, key, json.dumps({"networkProfile": PROFILE}), "digest")
    assert (await place("GET", f"{MACHINE}/NetworkProfile")).json() == PROFILE


async def test_the_network_profile_of_what_is_not_there_is_404(place):
    absent = MACHINE.replace("web1", "absent")
    assert code(await place("GET", f"{absent}/networkProfile")) == "ResourceNotFound"
    elsewhere = MACHINE.replace("demo", "nowhere")
    assert code(await place("GET", f"{elsewhere}/networkProfile")) == "ResourceGroupNotFound"
    assert code(await place("GET", f"{MACHINE}/networkProfile/one")) == "InvalidResourceType"
    assert (await place("PUT", f"{MACHINE}/networkProfile", {})).status_code == 405


async def test_whoever_may_read_the_machine_may_read_its_network_profile(place):
    await place.principal("limited", ("Reader", MACHINE))
    assert (await place("GET", f"{MACHINE}/networkProfile", by="limited")).status_code == 200
    await place.principal("nobody")
    assert (await place("GET", f"{MACHINE}/networkProfile", by="nobody")).status_code == 403


async def test_the_catalogue_lists_nothing_of_what_is_not_shipped(place):
    for scope in ("providers", "/providers"):
        where = f"{scope}/Microsoft.HybridCompute/{VERSIONS}".replace("CustomScript", "Other")
        assert (await place("GET", where)).json() == {"value": []}
        answer = await place("GET", f"{where}/2.1")
        assert (answer.status_code, code(answer)) == (404, "ResourceNotFound")
    publishers = "/providers/Microsoft.HybridCompute/locations/local/publishers"
    assert (await place("GET", f"{publishers}/Nobody/extensionTypes")).json() == {"value": []}


def publish(place, publisher, kind, version):
    cloud = place.cloud
    seal = extension_packages.sealer((cloud.config.data / "keys/relay.key").read_bytes())
    content, names = io.BytesIO(b"zip"), (publisher, kind, version)
    extension_packages.publish(cloud.plane.db, seal, content, names, cloud.clock, lambda *_: None)


async def test_the_catalogue_shows_what_is_built_in_and_what_was_published(place):
    for version in ("1.10.0", "1.9.0"):
        publish(place, "Contoso.Tools", "Motd", version)
    publish(place, "Contoso.Tools", "Other", "1.0.0")
    publishers = "providers/Microsoft.HybridCompute/locations/local/publishers"
    names = [one["name"] for one in (await place("GET", f"/{publishers}")).json()["value"]]
    assert names == ["Contoso.Tools", "Microsoft.Azure.Extensions"]
    types = (await place("GET", f"/{publishers}/contoso.tools/extensionTypes")).json()["value"]
    assert [one["name"] for one in types] == ["Motd", "Other"]
    where = f"{publishers}/contoso.tools/extensionTypes/motd/versions"
    listed = (await place("GET", where)).json()["value"]
    assert [one["name"] for one in listed] == ["1.9.0", "1.10.0"]
    assert (await place("GET", f"{where}/1.10.0")).json() == listed[1]
    assert listed[1]["properties"] == {
        "version": "1.10.0",
        "extensionType": "Motd",
        "publisher": "Contoso.Tools",
    }
    (built_in,) = (await place("GET", f"providers/Microsoft.HybridCompute/{VERSIONS}")).json()["value"]
    assert built_in["properties"]["extensionType"] == "CustomScript"


async def test_the_catalogue_is_for_those_with_a_role_and_for_our_locations(place):
    await place.principal("nobody")
    where = f"providers/Microsoft.HybridCompute/{VERSIONS}"
    assert (await place("GET", where, by="nobody")).status_code == 403
    elsewhere = await place("GET", where.replace("local", "mars", 1))
    assert code(elsewhere) == "LocationNotAvailableForResourceType"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "resourceGroups/demo/providers/Microsoft.HybridCompute/licenses/one"),
        ("GET", "providers/Microsoft.HybridCompute/licenses"),
        ("POST", "providers/Microsoft.HybridCompute/validateLicense"),
        ("PUT", "resourceGroups/demo/providers/Microsoft.HybridCompute/privateLinkScopes/one"),
        ("PUT", "resourceGroups/demo/providers/Microsoft.HybridCompute/gateways/one"),
        ("GET", "providers/Microsoft.HybridCompute/gateways"),
        ("PUT", f"{MACHINE}/licenseProfiles/default"),
        ("GET", f"{MACHINE}/privateLinkScopes/current"),
        ("PUT", f"{MACHINE}/providers/Microsoft.HybridCompute/settings/default"),
        ("PUT", "resourceGroups/demo/providers/Microsoft.HybridConnectivity/publicCloudConnectors/one"),
        ("GET", "/providers/Microsoft.HybridConnectivity/solutionTypes"),
    ],
)
async def test_what_is_not_offered_is_no_type(place, method, path):
    answer = await place(method, path, {} if method != "GET" else None)
    assert (answer.status_code, code(answer)) == (404, "InvalidResourceType")


async def test_the_operations_name_every_action(place):
    listed = (await place("GET", "/providers/Microsoft.HybridCompute/operations")).json()["value"]
    names = {one["name"] for one in listed}
    assert {
        "Microsoft.HybridCompute/machines/extensions/write",
        "Microsoft.HybridCompute/machines/runCommands/delete",
        "Microsoft.HybridCompute/machines/networkProfile/read",
        "Microsoft.HybridCompute/machines/upgradeExtensions/action",
    } <= names


@pytest.mark.parametrize(
    "version", ["2019-12-12", "2022-11-10", "2024-07-10", "2026-07-15", "2025-02-19-preview"]
)
async def test_every_version_is_served_by_the_same_code(place, version):
    for path in (MACHINE, f"{MACHINE}/extensions", f"{MACHINE}/runCommands", f"{MACHINE}/networkProfile"):
        assert (await place("GET", path, version=version)).status_code == 200
