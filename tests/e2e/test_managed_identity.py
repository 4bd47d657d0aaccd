"""``az login --identity`` on a connected machine: the machine signs in, and its roles count."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from own_machine import IDENTITY, OwnMachine, unavailable
from own_names import NamedCloud
from real_az import Az
from running import short_folder

pytestmark = [
    pytest.mark.az,
    pytest.mark.skipif(bool(unavailable()), reason=unavailable() or "-"),
]

ADDRESS = "127.0.0.79"


@pytest.fixture(scope="module")
def named() -> Iterator[NamedCloud]:
    folder = short_folder()
    cloud = NamedCloud(folder, ADDRESS, "own.landbridge.test")
    try:
        yield cloud
    finally:
        cloud.plane.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def machine(named: NamedCloud) -> Iterator[OwnMachine]:
    own = OwnMachine(named.plane, address=(ADDRESS, 443), hosts=named.hosts)
    try:
        own.connect()
        yield own
    finally:
        own.stop()


@pytest.fixture(scope="module")
def az(machine: OwnMachine) -> Az:
    """An ``az`` on the machine that knows the cloud, and where nobody is signed in."""
    folder = machine.folder / "az"
    folder.mkdir()
    made = Az("2.91", folder, machine.plane.admin.ca_file, machine.inside)
    made.environment |= IDENTITY
    made("config", "set", "core.instance_discovery=false", "core.login_experience_v2=off")
    url = machine.plane.admin.url
    made("cloud", "register", "-n", "Mine", "--endpoint-resource-manager", url)
    made("cloud", "set", "-n", "Mine")
    return made


def test_a_machine_without_a_role_sees_no_subscription_and_is_told_so(az: Az) -> None:
    done = az.call("login", "--identity")
    assert done.returncode == 1
    assert "No access was configured for the managed identity" in done.stderr, done.stderr


def test_a_machine_signs_in_and_sees_what_its_role_shows(az: Az, machine: OwnMachine) -> None:
    machine.allow()
    listed = az("login", "--identity")
    admin = machine.plane.admin
    assert [one["id"] for one in listed] == [admin.subscription]
    account = az("account", "show")
    assert account["user"]["type"] == "servicePrincipal"
    assert account["user"]["name"] == "systemAssignedIdentity"
    assert [one["name"] for one in az("resource", "list")] == [machine.name]
    refused = az.call("group", "create", "-n", "mine", "-l", "local")
    assert refused.returncode != 0
    assert "AuthorizationFailed" in refused.stderr


def test_a_token_that_az_hands_out_names_the_machine(az: Az, machine: OwnMachine) -> None:
    assert az("account", "get-access-token")["tenant"] == machine.plane.admin.tenant
