"""The real, unmodified ``az`` 2.91, and 2.66 under the profile 2018-03-01-hybrid.

``test_az_verbs.py`` has the other verbs.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable, Iterator

import pytest

from real_az import Az
from running import MACHINES, Agent, ControlPlane, short_folder
from web_page import Visitor

pytestmark = pytest.mark.az

HYBRID_PROFILE = "2018-03-01-hybrid"


def prepare(az: Az, cloud: ControlPlane) -> None:
    """What a person does once: no instance discovery, and the cloud with its profile."""
    az("config", "set", "core.instance_discovery=false", "core.login_experience_v2=off")
    az("cloud", "register", "-n", "Mine", "--endpoint-resource-manager", f"https://localhost:{cloud.port}")
    az("cloud", "set", "-n", "Mine")
    if az.version == "2.66":
        az("cloud", "update", "--profile", HYBRID_PROFILE)


@pytest.fixture(scope="module", params=["2.91", "2.66"])
def version(request: pytest.FixtureRequest) -> str:
    """Which ``az``."""
    return str(request.param)


@pytest.fixture(scope="module")
def cloud(version: str) -> Iterator[ControlPlane]:
    """A control plane as it is after its first start, one for each version."""
    folder = short_folder()
    control_plane = ControlPlane(folder)
    try:
        yield control_plane
    finally:
        control_plane.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def az(version: str, cloud: ControlPlane) -> Iterator[Az]:
    """An ``az`` that is signed in as the administrator's service principal."""
    folder = short_folder()
    found = Az(version, folder, cloud.admin.ca_file)
    assert found.program.exists(), "Run tools/client_environments.sh first, as ./test does."
    try:
        prepare(found, cloud)
        admin = cloud.admin
        accounts = found(
            *("login", "--service-principal", "-u", admin.client_id, "-p", admin.client_secret),
            *("--tenant", admin.tenant),
        )
        assert [account["id"] for account in accounts] == [admin.subscription]
        yield found
    finally:
        shutil.rmtree(folder)


def group_of(az: Az) -> str:
    return "az" + az.version.replace(".", "")


def test_the_cloud_is_the_one_in_use(az: Az, cloud: ControlPlane) -> None:
    shown = az("cloud", "show")
    assert (shown["name"], shown["isActive"]) == ("Mine", True)
    assert shown["endpoints"]["resourceManager"].rstrip("/") == f"https://localhost:{cloud.port}"
    assert shown["profile"] == (HYBRID_PROFILE if az.version == "2.66" else "latest")


def test_group_create_twice_and_list(az: Az) -> None:
    name = group_of(az)
    for tag in ("a=1", "a=2"):
        made = az("group", "create", "-n", name, "-l", "local", "--tags", tag)
        assert made["properties"]["provisioningState"] == "Succeeded"
    assert az("group", "show", "-n", name.upper())["tags"] == {"a": "2"}
    assert name in [group["name"] for group in az("group", "list")]
    assert az("group", "exists", "-n", "nowhere") is False


def test_a_group_that_is_not_there_is_exit_code_3(az: Az) -> None:
    done = az.call("group", "show", "-n", "nowhere")
    assert done.returncode == 3
    assert "ResourceGroupNotFound" in done.stderr


def test_locations_are_listed(az: Az) -> None:
    assert "local" in [place["name"] for place in az("account", "list-locations")]


def test_a_connected_machine_is_listed_and_shown_and_goes_with_its_group(
    az: Az, cloud: ControlPlane, make_agent: Callable[[str], Agent]
) -> None:
    name, group = f"m-{az.version.replace('.', '')}", f"{group_of(az)}-machines"
    az("group", "create", "-n", group, "-l", "local")
    agent = make_agent(name)
    agent.start_daemon()
    done = agent.connect("--resource-group", group)
    assert done.returncode == 0, done.stdout
    listed = az("resource", "list", "-g", group)
    assert [(one["name"], one["type"].lower()) for one in listed] == [(name, MACHINES.lower())]
    resource_id = listed[0]["id"]
    shown = az("resource", "show", "-g", group, "-n", name, "--resource-type", MACHINES)
    assert shown["id"].lower() == resource_id.lower()
    assert shown["properties"]["provisioningState"] == "Succeeded"
    wait_for_status(az, resource_id, "Connected")

    az("group", "delete", "-n", group, "-y")
    assert az("group", "exists", "-n", group) is False
    assert az.call("resource", "show", "--ids", resource_id).returncode == 3
    assert cloud.arm("GET", resource_id, version="2024-07-10").status == 404


def wait_for_status(az: Az, resource_id: str, status: str) -> None:
    deadline = time.monotonic() + 60
    while az("resource", "show", "--ids", resource_id)["properties"]["status"] != status:
        assert time.monotonic() < deadline, f"The machine never became {status}."


def test_sign_in_with_a_device_code_that_is_entered_in_the_real_page(az: Az, cloud: ControlPlane) -> None:
    folder = short_folder()
    person = Az(az.version, folder, cloud.admin.ca_file)
    prepare(person, cloud)
    waiting = person.start("login", "--use-device-code", "--tenant", cloud.admin.tenant, "-o", "json")
    try:
        url, code = read_device_code(waiting.stdout)
        last = Visitor(cloud.admin.ca_file).approve(url, code, cloud.admin.user_name, cloud.password)
        assert "signed in" in last
        said, _ = waiting.communicate(timeout=120)
        assert waiting.returncode == 0, said
        account = person("account", "show")
        assert account["id"] == cloud.admin.subscription
        assert account["user"] == {"name": cloud.admin.user_name, "type": "user"}
        person("group", "list")
    finally:
        waiting.kill()
        waiting.communicate()
        shutil.rmtree(folder)


def read_device_code(lines: Iterator[str] | None) -> tuple[str, str]:
    """Return the page and the code from what ``az`` tells its user."""
    said = ""
    for line in lines or ():
        said += line
        found = re.search(r"open the page (https://\S+) and enter the code (\S+) to", said)
        if found:
            return found[1], found[2]
    raise AssertionError(f"az showed no code:\n{said}")


def test_a_wrong_secret_is_refused_in_words(az: Az, cloud: ControlPlane) -> None:
    folder = short_folder()
    stranger = Az(az.version, folder, cloud.admin.ca_file)
    try:
        prepare(stranger, cloud)
        done = stranger.call(
            *("login", "--service-principal", "-u", cloud.admin.client_id),
            *("-p", "wrong", "--tenant", cloud.admin.tenant),
        )
    finally:
        shutil.rmtree(folder)
    assert done.returncode == 1
    assert "AADSTS7000215" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_activity_log_shows_a_write_and_a_refusal_with_caller_and_address(
    az: Az, cloud: ControlPlane
) -> None:
    group = f"{group_of(az)}-logged"
    stranger = json.loads(cloud.landbridge("sp", "create", "--name", f"stranger-{group}", "-o", "json"))
    az("group", "create", "-n", group, "-l", "local")
    path = f"{cloud.subscription}/resourcegroups/{group}"
    refused = cloud.arm("DELETE", path, token=cloud.token(stranger["clientId"], stranger["clientSecret"]))
    assert refused.status == 403
    if az.version == "2.66":  # whose hybrid profile has no 'az monitor'
        az("cloud", "update", "--profile", "latest")
    time.sleep(1.5)  # events are written once a second
    shown = az("monitor", "activity-log", "list", "-g", group, "--offset", "1h", "--max-events", "10")
    assert [(one["operationName"]["value"].rpartition("/")[2], one["caller"]) for one in shown] == [
        ("delete", stranger["clientId"]),
        ("write", cloud.admin.client_id),
    ]
    assert [one["status"]["value"] for one in shown] == ["Failed", "Succeeded"]
    assert shown[0]["httpRequest"]["clientIpAddress"] == "127.0.0.1"
    assert "AuthorizationFailed" in shown[0]["properties"]["statusMessage"]
    url = (
        f"{cloud.admin.url}/providers/microsoft.insights/eventtypes/management/values?api-version=2015-04-01"
    )
    sign_ins = [one for one in az("rest", "--url", url)["value"] if one["category"]["value"] == "SignIn"]
    assert stranger["clientId"] in {one["caller"] for one in sign_ins}
    by_caller = ("--caller", stranger["clientId"], "--status", "Failed", "--offset", "1h")
    assert len(az("monitor", "activity-log", "list", "-g", group, *by_caller)) == 1
    if az.version == "2.66":
        az("cloud", "update", "--profile", HYBRID_PROFILE)
