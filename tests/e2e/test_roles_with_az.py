"""Roles through the real ``az``, 2.91 and 2.66 under 2018-03-01-hybrid: definitions, assignments, groups."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from running import MACHINES, ControlPlane, short_folder
from warm_az import Server, WarmAz

pytestmark = pytest.mark.az

PASSWORD = "Correct-Horse-1"
READ = f"{MACHINES}/read"


@pytest.fixture(scope="module")
def cloud() -> Iterator[ControlPlane]:
    """A control plane as it is after its first start."""
    folder = short_folder()
    control_plane = ControlPlane(folder, "--identity-provider", "adfs")
    try:
        yield control_plane
    finally:
        control_plane.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="module", params=["2.91", "2.66"])
def server(request: pytest.FixtureRequest, cloud: ControlPlane) -> Iterator[Server]:
    """What all commands of a version are forked from."""
    found = Server(str(request.param), cloud.admin.ca_file)
    try:
        yield found
    finally:
        found.stop()


def prepared(server: Server, name: str, cloud: ControlPlane) -> WarmAz:
    """Return somebody's ``az``, which knows the cloud and where nobody is signed in."""
    az, base = WarmAz(server, name), f"https://localhost:{cloud.port}"
    az("config", "set", "core.login_experience_v2=off")
    if az.version == "2.66":
        endpoints = {"resourceManager": base, "microsoftGraphResourceId": f"{base}/graph/"}
        az("cloud", "register", "-n", "Mine", "--cloud-config", json.dumps({"endpoints": endpoints}))
    else:
        az("cloud", "register", "-n", "Mine", "--endpoint-resource-manager", base)
    az("cloud", "set", "-n", "Mine")
    if az.version == "2.66":
        az("cloud", "update", "--profile", "2018-03-01-hybrid")
    return az


@pytest.fixture(scope="module")
def admin(server: Server, cloud: ControlPlane) -> WarmAz:
    """The administrator, signed in."""
    az = prepared(server, "admin", cloud)
    az("login", "-u", cloud.admin.user_name, "-p", cloud.password)
    return az


def name_of(az: WarmAz, name: str) -> str:
    return f"{name}{az.version.replace('.', '')}"


def member(document: dict[str, Any], name: str) -> Any:
    """Return a property; the oldest version keeps the envelope of some documents."""
    return document.get("properties", document)[name]


def definition(cloud: ControlPlane, name: str, *actions: str) -> dict[str, Any]:
    return {
        "Name": name,
        "IsCustom": True,
        "Description": "for a test",
        "Actions": list(actions),
        "NotActions": [],
        "AssignableScopes": [cloud.subscription],
    }


def test_a_custom_role_is_created_listed_updated_and_deleted(admin: WarmAz, cloud: ControlPlane) -> None:
    az, name = admin, name_of(admin, "Reader of machines ")
    wanted = json.dumps(definition(cloud, name, READ))
    made = az("role", "definition", "create", "--role-definition", wanted)
    assert member(made, "roleName") == name
    (listed,) = az("role", "definition", "list", "--name", name)
    assert member(listed, "permissions")[0]["actions"] == [READ]
    names = [member(one, "roleName") for one in az("role", "definition", "list", "--custom-role-only")]
    assert name in names
    changed = definition(cloud, name, READ, "Microsoft.Resources/subscriptions/resourceGroups/read")
    changed |= {"Id": made["id"], "roleName": name, "name": made["name"]}
    az("role", "definition", "update", "--role-definition", json.dumps(changed))
    (listed,) = az("role", "definition", "list", "--name", name)
    assert len(member(listed, "permissions")[0]["actions"]) == 2
    unknown = json.dumps(definition(cloud, f"{name}x", "Microsoft.HybridCompute/machines/fly/action"))
    refused = az.call("role", "definition", "create", "--role-definition", unknown)
    assert refused.returncode == 1
    assert "InvalidActionOrNotAction" in refused.stderr
    az("role", "definition", "delete", "--name", name)
    assert az("role", "definition", "list", "--name", name) == []


def test_a_role_of_a_group_is_listed_with_its_members_and_counts_for_them(
    admin: WarmAz, server: Server, cloud: ControlPlane
) -> None:
    az, name = admin, name_of(admin, "crew")
    scope = az("group", "create", "-n", name, "-l", "local")["id"]
    user_name = f"{name}@landbridge.local"
    words = ("--display-name", name, "--password", PASSWORD, "--user-principal-name", user_name)
    user = az("ad", "user", "create", *words)
    outer, inner = (
        az("ad", "group", "create", "--display-name", f"{name}-{one}", "--mail-nickname", f"{name}-{one}")
        for one in ("outer", "inner")
    )
    az("ad", "group", "member", "add", "-g", outer["id"], "--member-id", inner["id"])
    az("ad", "group", "member", "add", "-g", inner["id"], "--member-id", user["id"])
    given = ("--assignee-object-id", outer["id"], "--assignee-principal-type", "Group", "--scope", scope)
    if az.version == "2.66":  # this profile finds out the type itself
        given = ("--assignee", outer["id"], "--scope", scope)
    made = az("role", "assignment", "create", "--role", "Reader", *given)
    assert member(made, "principalId") == outer["id"]
    own = az("role", "assignment", "list", "--assignee", user["id"], "--scope", scope)
    assert own == []
    words = ("role", "assignment", "list", "--assignee", user["id"], "--scope", scope, "--include-groups")
    assert [member(one, "principalId") for one in az(*words)] == [outer["id"]]

    person = prepared(server, f"person-{server.count}", cloud)
    person("login", "-u", user_name, "-p", PASSWORD)
    assert person("group", "show", "-n", name)["id"] == scope
    explained = explain(person, cloud, scope, READ)
    assert explained["allowed"] is True
    assert [one["displayName"] for one in explained["because"][0]["groups"]] == [
        f"{name}-inner",
        f"{name}-outer",
    ]
    az("ad", "group", "member", "remove", "-g", inner["id"], "--member-id", user["id"])
    assert "AuthorizationFailed" in person.call("group", "show", "-n", name).stderr
    assert explain(person, cloud, scope, READ)["allowed"] is False

    az("role", "assignment", "delete", "--ids", made["id"])
    assert made["id"] not in [one["id"] for one in az("role", "assignment", "list", "--scope", scope)]


def explain(az: WarmAz, cloud: ControlPlane, scope: str, action: str) -> Any:
    """Ask the cloud why, or why not, about whoever is signed in."""
    path = "providers/Microsoft.Authorization/landbridgeExplainAccess?api-version=2022-04-01"
    url = f"https://localhost:{cloud.port}{scope}/{path}"
    return az("rest", "--method", "post", "-u", url, "-b", json.dumps({"action": action}))


def test_nobody_makes_himself_an_owner(admin: WarmAz, server: Server, cloud: ControlPlane) -> None:
    az, name = admin, name_of(admin, "climber")
    scope = az("group", "create", "-n", name, "-l", "local")["id"]
    user_name = f"{name}@landbridge.local"
    words = ("--display-name", name, "--password", PASSWORD, "--user-principal-name", user_name)
    user = az("ad", "user", "create", *words)
    az("role", "assignment", "create", "--assignee", user["id"], "--role", "Contributor", "--scope", scope)
    person = prepared(server, f"person-{server.count}", cloud)
    person("login", "-u", user_name, "-p", PASSWORD)
    words = ("--assignee", user["id"], "--role", "Owner", "--scope", scope)
    refused = person.call("role", "assignment", "create", *words)
    assert refused.returncode == 1
    assert "AuthorizationFailed" in refused.stderr
    told = explain(person, cloud, scope, "Microsoft.Authorization/roleAssignments/write")
    assert [way["takenAwayBy"] for way in told["takenAway"]] == ["Microsoft.Authorization/*/Write"]
