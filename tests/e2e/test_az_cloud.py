"""``az cloud ...`` with both versions: discovered and explicit, slashes, ports, names, profiles."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from own_names import WORDS, NamedCloud, unavailable
from real_az import Az
from running import ControlPlane, short_folder
from warm_az import Server, WarmAz

pytestmark = [pytest.mark.az, pytest.mark.slow]

PROFILES = [
    "2018-03-01-hybrid",
    "2017-03-09-profile",
    *(pytest.param(name, marks=pytest.mark.soak) for name in ("2019-03-01-hybrid", "2020-09-01-hybrid")),
]
VERSIONS = ["2.66", pytest.param("2.91", marks=pytest.mark.soak)]


@pytest.fixture(scope="module")
def cloud() -> Iterator[ControlPlane]:
    """A control plane at a port of its own, under one name."""
    folder = short_folder()
    control_plane = ControlPlane(folder, "--audience", "https://management.adfs.azurestack.local/mine")
    try:
        yield control_plane
    finally:
        control_plane.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="module", params=VERSIONS)
def server(request: pytest.FixtureRequest, cloud: ControlPlane) -> Iterator[Server]:
    """Which ``az``."""
    found = Server(str(request.param), cloud.admin.ca_file)
    yield found
    found.stop()


def person(server: Server, name: str) -> WarmAz:
    """Return an ``az`` that asks no public cloud, and knows no other yet."""
    az = WarmAz(server, name)
    az("config", "set", "core.instance_discovery=false", "core.login_experience_v2=off")
    return az


def sign_in(az: WarmAz | Az, cloud: ControlPlane) -> None:
    admin = cloud.admin
    app = ("login", "--service-principal", "-u", admin.client_id, "-p", admin.client_secret)
    az(*app, "--tenant", admin.tenant)


def test_a_cloud_is_registered_used_changed_and_forgotten(server: Server, cloud: ControlPlane) -> None:
    az = person(server, "verbs")
    az("cloud", "register", "-n", "Mine", "--endpoint-resource-manager", cloud.admin.url)
    assert az("cloud", "show", "-n", "Mine")["endpoints"]["resourceManager"] == cloud.admin.url
    assert "already registered" in az.call(
        "cloud", "register", "-n", "Mine", "--endpoint-resource-manager", cloud.admin.url
    ).stderr  # fmt: skip
    az("cloud", "set", "-n", "Mine")
    listed = {one["name"]: one["isActive"] for one in az("cloud", "list")}
    assert (listed["Mine"], listed["AzureCloud"]) == (True, False)
    az("cloud", "update", "-n", "Mine", "--endpoint-gallery", "https://gallery.example")
    assert az("cloud", "show")["endpoints"]["gallery"] == "https://gallery.example"
    az("cloud", "set", "-n", "AzureCloud")
    az("cloud", "unregister", "-n", "Mine")
    assert "Mine" not in [one["name"] for one in az("cloud", "list")]
    assert az.call("cloud", "show", "-n", "Mine").returncode != 0


@pytest.mark.parametrize("slashes", ["/", "//"])
def test_slashes_at_the_end_do_no_harm(server: Server, cloud: ControlPlane, slashes: str) -> None:
    az = person(server, f"slashes{len(slashes)}")
    url = cloud.admin.url + slashes
    az("cloud", "register", "-n", "Mine", "--endpoint-resource-manager", url)
    az("cloud", "set", "-n", "Mine")
    sign_in(az, cloud)
    assert isinstance(az("group", "list"), list)
    assert az.call("group", "show", "-n", "nowhere").returncode == 3


@pytest.mark.parametrize(("style", "path"), [("aad", ""), ("adfs", "/adfs/")])
def test_every_endpoint_is_given(server: Server, cloud: ControlPlane, style: str, path: str) -> None:
    az, url = person(server, style), cloud.admin.url
    az(
        *("cloud", "register", "-n", "Mine", "--endpoint-resource-manager", url),
        *("--endpoint-active-directory", url + path),
        *("--endpoint-active-directory-resource-id", "https://management.adfs.azurestack.local/mine"),
        *("--endpoint-active-directory-graph-resource-id", f"{url}/graph/"),
        *("--suffix-storage-endpoint", "local", "--suffix-keyvault-dns", ".vault.local"),
        *("--endpoint-vm-image-alias-doc", f"{url}/aliases.json"),
    )
    shown = az("cloud", "show", "-n", "Mine")
    assert shown["endpoints"]["activeDirectory"].rstrip("/") == (url + path).rstrip("/")
    assert shown["suffixes"]["keyvaultDns"] == ".vault.local"
    az("cloud", "set", "-n", "Mine")
    sign_in(az, cloud)
    assert isinstance(az("group", "list"), list)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_is_chosen_where_az_has_them(server: Server, cloud: ControlPlane, profile: str) -> None:
    az, name = person(server, profile), f"by-{profile}"
    az("cloud", "register", "-n", "Mine", "--endpoint-resource-manager", cloud.admin.url)
    az("cloud", "set", "-n", "Mine")
    if server.version != "2.66":  # Microsoft has removed them in 2.73
        refused = az.call("cloud", "update", "--profile", profile)
        assert (refused.returncode, "Allowed values: latest" in refused.stderr) == (2, True)
        return
    az("cloud", "update", "--profile", profile)
    assert az("cloud", "show")["profile"] == profile
    sign_in(az, cloud)
    made = az("group", "create", "-n", name, "-l", "local")
    assert made["properties"]["provisioningState"] == "Succeeded"
    assert name in [one["name"] for one in az("group", "list")]
    assert "Microsoft.HybridCompute" in [one["namespace"] for one in az("provider", "list")]
    assert az("resource", "list", "-g", name) == []
    az("lock", "create", "-n", "keep", "-g", name, "--lock-type", "CanNotDelete")
    assert "(ScopeLocked)" in az.call("group", "delete", "-n", name, "-y").stderr
    az("lock", "delete", "-n", "keep", "-g", name)
    az("group", "delete", "-n", name, "-y")


class OddCloud(NamedCloud):
    """A cloud under other names, or at another port, than those of Azure Stack's page."""

    def __init__(self, folder: Path, address: str, port: int, names: str, *more: str) -> None:
        self.folder = folder
        self.hosts = folder / "hosts"
        self.hosts.write_text(f"127.0.0.1 localhost\n{address} {names}\n")
        self.plane = ControlPlane(folder / "data", "--listen", f"{address}:{port}", *more, port=port)


DOMAIN = "harbour.example"
NAMES = " ".join(f"{word}.{DOMAIN}" for word in WORDS)
ODD = {
    "a domain at another port": (8443, NAMES, ("--domain", DOMAIN)),
    "one name at another port": (8444, "cloud.example", ("--external-url", "https://cloud.example:8444")),
    "one name in the style of AD FS": (
        *(443, "cloud.example", ("--external-url", "https://cloud.example", "--identity-provider", "adfs")),
    ),
}


@pytest.fixture(params=list(ODD))
def odd(request: pytest.FixtureRequest) -> Iterator[OddCloud]:
    """Each of them."""
    folder = short_folder()
    port, names, more = ODD[str(request.param)]
    found = OddCloud(folder, "127.0.0.93", port, names, *more)
    yield found
    found.plane.stop()
    shutil.rmtree(folder)


@pytest.mark.skipif(bool(unavailable()), reason=unavailable() or "-")
@pytest.mark.soak
@pytest.mark.parametrize("version", ["2.66", "2.91"])
def test_clouds_under_other_names_and_ports(odd: OddCloud, version: str) -> None:
    folder = short_folder()
    az = Az(version, folder, odd.plane.admin.ca_file, odd.inside)
    az.environment["AZURE_CORE_INSTANCE_DISCOVERY"] = "false"
    try:
        az("cloud", "register", "-n", "Mine", "--endpoint-resource-manager", f"{odd.plane.admin.url}/")
        az("cloud", "set", "-n", "Mine")
        sign_in(az, odd.plane)
        az("group", "create", "-n", "short", "-l", "local")
        az("group", "delete", "-n", "short", "-y")  # follows an address that the cloud gave
        assert az("group", "exists", "-n", "short") is False
        if DOMAIN in odd.plane.admin.url:
            operate(az, odd.plane)
    finally:
        shutil.rmtree(folder)


def operate(az: Az, cloud: ControlPlane) -> None:
    """Use the cloud under the name for operators, as the document has it."""
    url = cloud.admin.url.replace("//management.", "//adminmanagement.")
    az("cloud", "register", "-n", "AzureStackAdmin", "--endpoint-resource-manager", url)
    shown = az("cloud", "show", "-n", "AzureStackAdmin")
    assert shown["endpoints"]["resourceManager"] == url
    az("cloud", "set", "-n", "AzureStackAdmin")
    sign_in(az, cloud)
    assert az("group", "list") == []
