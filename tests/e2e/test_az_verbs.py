"""Every verb of ``az`` that Azure Stack's page touches, with 2.91, and with 2.66 under 2018-03-01-hybrid.

One sign-in for each version. The table that comes out stands in docs/how-to/use-az.md.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from running import MACHINES, ControlPlane, short_folder
from warm_az import Server, WarmAz

pytestmark = [pytest.mark.az, pytest.mark.slow]

HYBRID = "2.66"
"""This version runs under a profile that has fewer commands."""


class Signed(WarmAz):
    """An ``az`` that is signed in as the administrator's service principal."""

    def __init__(self, server: Server, cloud: ControlPlane) -> None:
        super().__init__(server, "admin")
        self.subscription = cloud.subscription
        self("config", "set", "core.instance_discovery=false", "core.login_experience_v2=off")
        self("cloud", "register", "-n", "Mine", "--endpoint-resource-manager", cloud.admin.url)
        self("cloud", "set", "-n", "Mine")
        if self.version == HYBRID:
            self("cloud", "update", "--profile", "2018-03-01-hybrid")
        admin = cloud.admin
        app = ("login", "--service-principal", "-u", admin.client_id, "-p", admin.client_secret)
        self(*app, "--tenant", admin.tenant)

    def refused(self, *words: str) -> str:
        """Run a command that must be refused, in words; return them."""
        done = self.call(*words)
        assert done.returncode not in (0, 2), f"az {' '.join(words)}: {done.returncode}\n{done.stdout}"
        assert "Traceback" not in done.stderr
        return done.stderr


@pytest.fixture(scope="module")
def cloud() -> Iterator[ControlPlane]:
    """A control plane with two locations."""
    folder = short_folder()
    control_plane = ControlPlane(folder, "--locations", "local,harbour")
    try:
        yield control_plane
    finally:
        control_plane.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="module", params=["2.66", "2.91"])
def az(request: pytest.FixtureRequest, cloud: ControlPlane) -> Iterator[Signed]:
    """Which ``az``."""
    server = Server(str(request.param), cloud.admin.ca_file)
    try:
        yield Signed(server, cloud)
    finally:
        server.stop()


@pytest.fixture(scope="module")
def group(az: Signed) -> str:
    """A resource group of this version's own."""
    name = "g" + az.version.replace(".", "")
    az("group", "create", "-n", name, "-l", "local")
    return name


@pytest.fixture
def machine(az: Signed, group: str) -> Iterator[dict[str, Any]]:
    """A machine in that group; no agent is behind it."""
    words = ("-g", group, "-n", "m", "--resource-type", MACHINES, "-l", "local", "-p", "{}")
    made: dict[str, Any] = az("resource", "create", *words)
    yield made
    az.call("resource", "delete", "--ids", made["id"])


def names(listed: list[dict[str, Any]]) -> list[str]:
    return sorted(one["name"] for one in listed)


def test_groups_are_changed_awaited_and_deleted_later(az: Signed, group: str) -> None:
    name = f"{group}-short"
    az("group", "create", "-n", name, "-l", "harbour", "--tags", "a=1")
    assert names(az("group", "list", "--tag", "a=1")) == [name]
    az("group", "update", "-n", name, "--set", "tags.b=2")
    assert az("group", "show", "-n", name)["tags"] == {"a": "1", "b": "2"}
    az("group", "update", "-n", name, "--tags", "c=3")
    assert az("group", "show", "-n", name)["tags"] == {"c": "3"}
    az("group", "wait", "-n", name, "--created", "--timeout", "20")
    assert az("group", "exists", "-n", name) is True
    az("group", "delete", "-n", name, "-y", "--no-wait")
    az("group", "wait", "-n", name, "--deleted", "--timeout", "60", "--interval", "1")
    assert az("group", "exists", "-n", name) is False


def test_a_lock_of_a_group_keeps_it(az: Signed, group: str) -> None:
    name = f"{group}-locked"
    az("group", "create", "-n", name, "-l", "local")
    az("group", "lock", "create", "-g", name, "-n", "keep", "--lock-type", "ReadOnly")
    assert names(az("group", "lock", "list", "-g", name)) == ["keep"]
    assert az("group", "lock", "update", "-g", name, "-n", "keep", "--notes", "why")["notes"] == "why"
    assert az("group", "lock", "show", "-g", name, "-n", "keep")["notes"] == "why"
    for words in (("group", "delete", "-n", name, "-y"), ("group", "update", "-n", name, "--tags", "a=b")):
        assert "(ScopeLocked)" in az.refused(*words)
    assert (
        az("lock", "update", "-n", "keep", "-g", name, "--lock-type", "CanNotDelete")["level"]
        == "CanNotDelete"
    )
    az("group", "update", "-n", name, "--tags", "a=b")
    az("group", "lock", "delete", "-g", name, "-n", "keep")
    az("group", "delete", "-n", name, "-y", "--no-wait")


def test_templates_are_refused_in_words(az: Signed, group: str, tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text('{"resources": []} // as templates may have it\n')
    words = ("deployment", "group", "create", "-g", group, "-n", "d", "--template-file")
    assert "not offered by this cloud" in az.refused(*words, str(tmp_path / "t.json"))
    assert "not offered by this cloud" in az.refused("deployment", "group", "list", "-g", group)
    if az.version != HYBRID:  # that profile's SDK has no such operation, and az does not notice
        assert "not offered by this cloud" in az.refused("group", "export", "-n", group)


def test_providers_are_registered_and_unregistered(az: Signed) -> None:
    space = ("-n", "Microsoft.HybridConnectivity")
    wait = ("--wait",) if az.version == HYBRID else ()  # it sleeps for ten seconds
    az("provider", "register", *space, *wait)
    for _ in range(20):
        if (state := az("provider", "show", *space)["registrationState"]) != "Registering":
            break
    assert state == "Registered"
    az("provider", "unregister", *space, "--wait")
    assert az("provider", "show", *space)["registrationState"] == "Unregistered"
    assert "Microsoft.Resources" in [one["namespace"] for one in az("provider", "list")]
    shown = az("provider", "operation", "show", "--namespace", "Microsoft.HybridCompute")
    assert "machines" in [kind["name"] for kind in shown["resourceTypes"]]
    assert len(az("provider", "operation", "list")) > 5
    for verb in ("show", "register"):
        said = az.refused("provider", verb, "-n", "Microsoft.Compute")
        assert "Virtual machines and their images are not offered by this cloud" in said
    assert "(Conflict)" in az.refused("provider", "unregister", "-n", "Microsoft.Resources")


def test_resources_are_found_changed_tagged_and_awaited(
    az: Signed, group: str, machine: dict[str, Any]
) -> None:
    this = ("-g", group, "-n", "m", "--resource-type", MACHINES)
    for words in (("-g", group), ("--resource-type", MACHINES), ("-n", "m"), ("-l", "local")):
        assert machine["id"] in [one["id"] for one in az("resource", "list", *words)]
    assert az("resource", "list", "-l", "harbour") == []
    assert az("resource", "show", *this)["id"] == machine["id"]
    az("resource", "update", *this, "--set", "tags.x=y")
    az("resource", "tag", "-i", "--ids", machine["id"], "--tags", "k=v")
    assert az("resource", "show", "--ids", machine["id"])["tags"] == {"x": "y", "k": "v"}
    az("resource", "tag", *this, "--tags", "only=this")
    assert names(az("resource", "list", "--tag", "only=this")) == ["m"]
    az("resource", "patch", *this, "--is-full-object", "-p", '{"tags": {"z": "1"}}')
    assert az("resource", "show", *this)["tags"] == {"z": "1"}
    az("resource", "wait", *this, "--exists", "--timeout", "20")


def test_a_resource_acts_and_says_what_it_cannot(az: Signed, machine: dict[str, Any]) -> None:
    act = ("resource", "invoke-action", "--ids", machine["id"], "--action")
    assert "(InvalidRequestContent)" in az.refused(*act, "upgradeExtensions", "--request-body", "{}")
    body = '{"extensionTargets": {"Contoso.Watch": {"targetVersion": "1.2"}}}'
    assert "ships no extension" in az.refused(*act, "upgradeExtensions", "--request-body", body)
    body = '{"extensionTargets": {"Microsoft.Azure.Extensions.CustomScript": {"targetVersion": "2.1"}}}'
    az(*act, "upgradeExtensions", "--request-body", body, "--no-wait")  # it waits for an agent
    assert "(InvalidResourceType)" in az.refused(*act, "nonsense")
    link = f"{machine['id']}/providers/Microsoft.Resources/links/l"
    said = az.refused("resource", "link", "create", "--link", link, "--target", machine["id"])
    assert "Links between resources are not offered by this cloud" in said
    assert "Links between resources" in az.refused("resource", "link", "list")


def test_a_lock_of_a_resource_keeps_it(az: Signed, group: str, machine: dict[str, Any]) -> None:
    this = ("-g", group, "--resource-name", "m", "--resource-type", MACHINES)
    az("resource", "lock", "create", *this, "-n", "keep", "--lock-type", "CanNotDelete")
    assert names(az("resource", "lock", "list", *this)) == ["keep"]
    az.refused("resource", "delete", "--ids", machine["id"])
    assert az("resource", "show", "--ids", machine["id"])["id"] == machine["id"]
    az("resource", "lock", "delete", *this, "-n", "keep")
    az("resource", "delete", "--ids", machine["id"])
    assert az.call("resource", "show", "--ids", machine["id"]).returncode == 3


def test_a_resource_moves(az: Signed, group: str, machine: dict[str, Any]) -> None:
    az("group", "create", "-n", f"{group}-there", "-l", "local")
    az("resource", "move", "--destination-group", f"{group}-there", "--ids", machine["id"])
    assert names(az("resource", "list", "-g", f"{group}-there")) == ["m"]
    assert az("resource", "list", "-g", group) == []
    az("group", "delete", "-n", f"{group}-there", "-y")
    assert az("resource", "list", "-n", "m") == []


def test_tags_of_a_subscription(az: Signed) -> None:
    az("tag", "create", "-n", "owner")
    az("tag", "add-value", "-n", "owner", "--value", "me")
    (owner,) = [one for one in az("tag", "list") if one["tagName"] == "owner"]
    assert [one["tagValue"] for one in owner["values"]] == ["me"]
    az("tag", "remove-value", "-n", "owner", "--value", "me")
    az("tag", "delete", "-n", "owner", "-y")
    here = ("--resource-id", az.subscription)
    if az.version == HYBRID:
        assert az.call("tag", "list", *here).returncode == 2
        return
    az("tag", "create", *here, "--tags", "s=1")
    az("tag", "update", *here, "--operation", "merge", "--tags", "t=2")
    assert az("tag", "list", *here)["properties"]["tags"] == {"s": "1", "t": "2"}
    az("tag", "delete", *here, "-y")
    assert az("tag", "list", *here)["properties"]["tags"] == {}


@pytest.mark.parametrize("word", [("lock",), ("account", "lock")])
def test_locks_of_a_subscription(az: Signed, word: tuple[str, ...]) -> None:
    assert az(*word, "create", "-n", "sub", "--lock-type", "CanNotDelete")["level"] == "CanNotDelete"
    assert names(az(*word, "list")) == ["sub"]
    assert az(*word, "update", "-n", "sub", "--notes", "why")["notes"] == "why"
    assert az(*word, "show", "-n", "sub")["notes"] == "why"
    az(*word, "delete", "-n", "sub")
    assert az(*word, "list") == []


def test_features(az: Signed) -> None:
    if az.version == HYBRID:
        assert az.call("feature", "list").returncode == 2
        return
    this = ("--namespace", "Microsoft.HybridConnectivity", "-n", "SshUnderReadOnlyLock")
    az("feature", "register", *this)
    assert az("feature", "show", *this)["properties"]["state"] in ("Registering", "Registered")
    az("feature", "unregister", *this)
    assert az("feature", "show", *this)["properties"]["state"] in ("Unregistering", "Unregistered")
    az("feature", "registration", "create", *this)
    assert len(az("feature", "registration", "list")) == 1
    az("feature", "registration", "delete", *this, "-y")
    assert len(az("feature", "list", "--namespace", "Microsoft.HybridConnectivity")) == 1


def test_rest_asks_as_the_same_caller(az: Signed, group: str, cloud: ControlPlane) -> None:
    path = f"{az.subscription}/resourcegroups/{group}-rest?api-version=2022-09-01"
    az("rest", "-m", "put", "-u", path, "-b", '{"location": "local"}')
    assert az("rest", "-u", f"{cloud.admin.url}{path}")["location"] == "local"
    az("rest", "-m", "head", "-u", path.replace(cloud.admin.subscription, "{subscriptionId}"))
    az("rest", "-m", "delete", "-u", path)


def test_virtual_machines_are_refused_with_what_is_missing(az: Signed, group: str) -> None:
    for words in (("vm", "image", "list", "--all"), ("vm", "image", "list-publishers", "-l", "local"),
                  ("vm", "list")):  # fmt: skip
        said = az.refused(*words)
        assert "Virtual machines and their images are not offered by this cloud" in said
    done = az.call(
        "vm", "create", "-g", group, "-n", "v", "--image", "Canonical:UbuntuServer:14.04.3-LTS:1.0.0"
    )
    assert done.returncode != 0
    assert "Virtual machines" in done.stderr and "not offered by this cloud" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Virtual machines and their networks" in az.refused(
        "network", "vnet", "create", "-g", group, "-n", "n"
    )
    assert "not offered by this cloud" in az.refused("storage", "account", "list")
