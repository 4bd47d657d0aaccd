"""The directory through the real ``az``: 2.91, and 2.66 under the profile 2018-03-01-hybrid.

Each version signs in once as the administrator, in the style of AD FS, which asks for a name and a
password at any port.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from running import ControlPlane, short_folder
from warm_az import Server, WarmAz

pytestmark = pytest.mark.az

DOMAIN = "landbridge.local"
PASSWORD = "Correct-Horse-1"


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
def version(request: pytest.FixtureRequest) -> str:
    """Which ``az``."""
    return str(request.param)


@pytest.fixture(scope="module")
def server(version: str, cloud: ControlPlane) -> Iterator[Server]:
    """What all commands of a version are forked from."""
    found = Server(version, cloud.admin.ca_file)
    try:
        yield found
    finally:
        found.stop()


def prepared(server: Server, name: str, cloud: ControlPlane) -> WarmAz:
    """Return somebody's ``az``, which knows the cloud and where nobody is signed in."""
    az, base = WarmAz(server, name), f"https://localhost:{cloud.port}"
    az("config", "set", "core.login_experience_v2=off")
    if az.version == "2.66":
        # The metadata that this version reads has no address of Microsoft Graph, and no flag gives it.
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


@pytest.fixture
def other(server: Server, cloud: ControlPlane) -> WarmAz:
    """Somebody else, not signed in."""
    return prepared(server, f"other-{server.count}", cloud)


def named(version: str, name: str) -> str:
    return f"{name}{version.replace('.', '')}"


def ids(found: list[dict[str, Any]]) -> set[str]:
    return {one["id"] for one in found}


def test_users(admin: WarmAz, other: WarmAz, version: str) -> None:
    az, name = admin, named(version, "anna")
    user_name = f"{name}@{DOMAIN}"
    assert az("ad", "signed-in-user", "show")["userPrincipalName"] == f"admin@{DOMAIN}"
    words = ("--display-name", f"Anna {name}", "--password", PASSWORD, "--user-principal-name", user_name)
    made = az("ad", "user", "create", *words)
    assert az("ad", "user", "show", "--id", user_name)["id"] == made["id"]
    assert ids(az("ad", "user", "list", "--upn", user_name)) == {made["id"]}
    assert ids(az("ad", "user", "list", "--display-name", f"anna {name}")) == {made["id"]}
    az(
        "ad",
        "user",
        "update",
        "--id",
        user_name,
        "--display-name",
        f"Berg {name}",
        "--password",
        PASSWORD + "x",
    )
    assert az("ad", "user", "show", "--id", made["id"])["displayName"] == f"Berg {name}"

    other("login", "-u", user_name, "-p", PASSWORD + "x", "--allow-no-subscriptions")
    assert other("ad", "signed-in-user", "show")["id"] == made["id"]
    refused = other.call("ad", "group", "create", "--display-name", "x", "--mail-nickname", "x")
    assert refused.returncode == 1
    assert "Insufficient privileges to complete the operation." in refused.stderr
    twice = az.call("ad", "user", "create", *words)
    assert "Another object with the same value for property userPrincipalName" in twice.stderr

    az("ad", "user", "delete", "--id", user_name)
    assert az.call("ad", "user", "show", "--id", user_name).returncode == 3
    assert other.call("ad", "signed-in-user", "show").returncode != 0


def test_groups(admin: WarmAz, version: str) -> None:
    az, name = admin, named(version, "crew")
    me = az("ad", "signed-in-user", "show")["id"]
    made = az("ad", "group", "create", "--display-name", name, "--mail-nickname", name)
    again = az("ad", "group", "create", "--display-name", name, "--mail-nickname", name)
    assert again["id"] == made["id"]
    assert ids(az("ad", "group", "list", "--display-name", name)) == {made["id"]}
    group = ("--group", made["id"])
    az("ad", "group", "member", "add", *group, "--member-id", me)
    assert ids(az("ad", "group", "member", "list", *group)) == {me}
    assert az("ad", "group", "member", "check", *group, "--member-id", me) == {"value": True}
    found = az("ad", "user", "get-member-groups", "--id", me)
    assert {"displayName": name, "id": made["id"]} in found
    assert ids(az("ad", "group", "owner", "list", *group)) == {me}
    az("ad", "group", "owner", "add", *group, "--owner-object-id", me)
    az("ad", "group", "member", "remove", *group, "--member-id", me)
    assert az("ad", "group", "member", "check", *group, "--member-id", me) == {"value": False}
    assert az("ad", "group", "show", "--group", made["id"])["displayName"] == name
    az("ad", "group", "delete", *group)
    assert az("ad", "group", "list", "--display-name", name) == []


def test_applications_and_their_service_principals(admin: WarmAz, version: str) -> None:
    az, name = admin, named(version, "tool")
    me = az("ad", "signed-in-user", "show")["id"]
    uri = f"api://{name}"
    app = az("ad", "app", "create", "--display-name", name, "--identifier-uris", uri)
    assert az("ad", "app", "show", "--id", uri)["appId"] == app["appId"]
    redirect = "https://tool.example/back"
    az("ad", "app", "update", "--id", app["appId"], "--web-redirect-uris", redirect)
    assert az("ad", "app", "show", "--id", app["id"])["web"]["redirectUris"] == [redirect]
    assert ids(az("ad", "app", "list", "--display-name", name)) == {app["id"]}
    assert ids(az("ad", "app", "owner", "list", "--id", app["appId"])) == {me}

    sp = az("ad", "sp", "create", "--id", app["appId"])
    assert az("ad", "sp", "show", "--id", uri)["id"] == sp["id"]
    assert ids(az("ad", "sp", "list", "--display-name", name)) == {sp["id"]}
    assert sp["id"] in ids(az("ad", "sp", "list", "--show-mine"))
    az("ad", "sp", "update", "--id", sp["id"], "--set", "notes=kept")
    for kind, key in (("app", app["appId"]), ("sp", sp["id"])):
        made = az("ad", kind, "credential", "reset", "--id", key, "--display-name", "first")
        assert made["password"]
        az("ad", kind, "credential", "reset", "--id", key, "--append")
        kept = az("ad", kind, "credential", "list", "--id", key)
        assert len(kept) == 2
        az("ad", kind, "credential", "delete", "--id", key, "--key-id", kept[0]["keyId"])
        assert len(az("ad", kind, "credential", "list", "--id", key)) == 1
    az("ad", "sp", "credential", "reset", "--id", sp["id"], "--create-cert", "--append")
    assert len(az("ad", "sp", "credential", "list", "--id", sp["id"], "--cert")) == 1
    az("ad", "sp", "delete", "--id", sp["id"])
    assert az.call("ad", "sp", "show", "--id", app["appId"]).returncode == 3
    az("ad", "app", "delete", "--id", app["id"])
    assert az.call("ad", "app", "show", "--id", app["id"]).returncode == 3


def test_create_for_rbac_makes_what_can_do_exactly_what_its_role_says(
    admin: WarmAz, other: WarmAz, version: str, cloud: ControlPlane
) -> None:
    """Issue 5, section 7.3: Contributor of a group writes there, gives no roles, and sees no other group."""
    az, name = admin, named(version, "rbac")
    scope = az("group", "create", "-n", name, "-l", "local")["id"]
    az("group", "create", "-n", f"{name}-else", "-l", "local")
    made = az("ad", "sp", "create-for-rbac", "-n", name, "--role", "Contributor", "--scopes", scope)
    assert set(made) == {"appId", "displayName", "password", "tenant"}
    given = az("role", "assignment", "list", "--assignee", made["appId"], "--scope", scope)
    assert [member(one, "principalName") for one in given] == [made["appId"]]

    app = other
    who = ("--service-principal", "-u", made["appId"], "--tenant", made["tenant"])
    app("login", *who, "-p", made["password"])
    assert app("group", "update", "-n", name, "--set", "tags.by=rbac")["tags"] == {"by": "rbac"}
    assert [one["name"] for one in app("group", "list")] == [name]
    words = ("-g", name, "-n", "web1", "--resource-type", "Microsoft.HybridCompute/machines", "-p", "{}")
    assert app("resource", "create", *words, "-l", "local")["name"] == "web1"
    app("resource", "delete", *words[:6])
    for refused in (
        ("group", "show", "-n", f"{name}-else"),
        ("group", "create", "-n", f"{name}-new", "-l", "local"),
        ("lock", "create", "-g", name, "-n", "mine", "--lock-type", "ReadOnly"),
        ("role", "definition", "list", "--scope", f"{scope}-else"),
    ):
        done = app.call(*refused)
        assert done.returncode != 0 and "AuthorizationFailed" in done.stderr, (refused, done.stderr)
    object_id = az("ad", "sp", "show", "--id", made["appId"])["id"]
    definition = f"{cloud.subscription}/providers/Microsoft.Authorization/roleDefinitions/{OWNER}"
    body = {"properties": {"roleDefinitionId": definition, "principalId": object_id}}
    answer = app.call(
        *("rest", "-m", "PUT", "-b", json.dumps(body), "-u"),
        f"{scope}/providers/Microsoft.Authorization/roleAssignments/{SOME}?api-version=2022-04-01",
    )
    assert answer.returncode != 0 and "AuthorizationFailed" in answer.stderr

    again = az("ad", "sp", "create-for-rbac", "-n", name, "--role", "Contributor", "--scopes", scope)
    assert again["appId"] == made["appId"]  # the old password is gone, the assignment is the same one
    app("account", "clear")
    old = app.call("login", *who, "-p", made["password"])
    assert old.returncode != 0 and "AADSTS7000215" in old.stderr
    app("login", *who, "-p", again["password"])
    az("ad", "sp", "delete", "--id", made["appId"])
    assert app.call("group", "list").returncode != 0


OWNER = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
SOME = "11111111-2222-4333-8444-555555555555"


def test_create_for_rbac_with_a_certificate(admin: WarmAz, other: WarmAz, version: str) -> None:
    az, name = admin, named(version, "cert")
    scope = az("group", "create", "-n", name, "-l", "local")["id"]
    words = ("-n", name, "--create-cert", "--role", "Reader", "--scopes", scope)
    made = az("ad", "sp", "create-for-rbac", *words)
    certificate = made["fileWithCertAndPrivateKey"]
    who = ("--service-principal", "-u", made["appId"], "--tenant", made["tenant"])
    other("login", *who, "--certificate", certificate)
    assert [one["name"] for one in other("group", "list")] == [name]
    (kept,) = az("ad", "app", "credential", "list", "--id", made["appId"], "--cert")
    az("ad", "app", "credential", "delete", "--id", made["appId"], "--key-id", kept["keyId"], "--cert")
    other("account", "clear")
    assert "AADSTS700027" in other.call("login", *who, "--certificate", certificate).stderr


def test_roles_are_given_by_name_to_users_groups_and_programs(admin: WarmAz, version: str) -> None:
    az, name = admin, named(version, "names")
    scope = az("group", "create", "-n", name, "-l", "local")["id"]
    user_name = f"{name}@{DOMAIN}"
    words = ("--display-name", name, "--password", PASSWORD, "--user-principal-name", user_name)
    user = az("ad", "user", "create", *words)
    crew = az("ad", "group", "create", "--display-name", name, "--mail-nickname", name)
    az("role", "assignment", "create", "--assignee", user_name, "--role", "Reader", "--scope", scope)
    az("role", "assignment", "create", "--assignee", crew["id"], "--role", "Reader", "--scope", scope)
    listed = az("role", "assignment", "list", "--scope", scope)
    assert {user["id"], crew["id"]} <= {member(one, "principalId") for one in listed}
    assert {user_name, name} <= {member(one, "principalName") for one in listed}
    mine = az("role", "assignment", "list", "--assignee", user_name, "--scope", scope)
    assert {member(one, "principalId") for one in mine} == {user["id"]}
    az("role", "assignment", "delete", "--assignee", user_name, "--scope", scope)
    assert az("role", "assignment", "list", "--assignee", user_name, "--scope", scope) == []


def member(assignment: dict[str, Any], name: str) -> str:
    """Return a member of an assignment; the oldest version keeps its envelope."""
    return str(assignment.get("properties", assignment)[name])


def test_az_rest_speaks_to_the_directory(admin: WarmAz, cloud: ControlPlane) -> None:
    base = f"https://localhost:{cloud.port}/graph/v1.0"
    found = admin("rest", "-u", f"{base}/users?$top=1&$select=id")
    assert set(found["value"][0]) == {"id"}
    assert admin("rest", "-u", f"{base}/organization")["value"][0]["id"] == cloud.admin.tenant
