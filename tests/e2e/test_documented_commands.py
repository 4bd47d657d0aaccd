"""The documents' examples of ``azcmagent``, as they are printed, on a freshly installed agent.

Names, regions and ids are ours; each line has the exit code and the words that it must end with.
What asks for something that this cloud does not have must say so by its AZCM code.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator

import pytest

import bare_debian
from quickstart.programs import Children, wait_until
from running import GROUP, ControlPlane

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(bare_debian.unavailable()), reason=bare_debian.unavailable()),
]

MONITOR = '"Microsoft.Azure.Monitor/AzureMonitorWindowsAgent"'

BEFORE_CONNECT = [
    ("azcmagent version", 0, "azcmagent version 1."),
    ("azcmagent --help", 0, "Connects this machine to Azure"),
    ("azcmagent help", 0, "Gets machine metadata and Agent status"),
    ("azcmagent connect --help", 0, "--physical-location string"),
    ("azcmagent help AZCM0026", 0, "Network Error"),
    ("azcmagent license", 0, "MIT License"),
    ("azcmagent show", 0, "Disconnected"),
    ("azcmagent check", 0, "REACHABLE"),
    ('azcmagent check --location "local"', 0, "true"),
    ("azcmagent check --extensions all", 0, "true"),
    ('azcmagent check --location "local" --enable-pls-check', 3, "AZCM0003"),
    ("azcmagent genkey", 0, "MIIBCgK"),
    ("azcmagent reconnect", 65, "azcmagent connect"),
    ("azcmagent disconnect", 65, "not connected"),
    ("azcmagent connect", 16, "--subscription-id"),
]

WHILE_CONNECTED = [
    ("azcmagent show", 0, "Agent Status                            : Connected"),
    ('azcmagent show -j > "/srv/agent-status.json"', 0, ""),
    ('azcmagent show "Agent Status" "Agent Last Heartbeat"', 0, "Agent Last Heartbeat"),
    ("azcmagent show status lastHeartbeat", 0, "Connected"),
    ("azcmagent show --os", 0, "Debian"),
    ("azcmagent check", 0, "Identity of this machine: accepted"),
    ("azcmagent config list", 0, "Local Configuration Settings"),
    ("azcmagent config info", 0, "incomingconnections.ports"),
    ("azcmagent config get config.mode", 0, "full"),
    (f"azcmagent config set extensions.allowlist {MONITOR} --add", 0, ""),
    ('azcmagent config set extensions.allowlist "Allow/None"', 0, "Allow/None"),
    ("azcmagent config clear extensions.allowlist", 0, ""),
    ("azcmagent config set extensions.agent.cpulimit 80", 0, "80"),
    ("azcmagent config set connection.type direct", 0, "direct"),
    ("azcmagent config set incomingconnections.ports 22,2222", 0, "22,2222"),
    ("azcmagent config set config.mode monitor", 0, "monitor"),
    ("azcmagent config set config.mode full", 0, "full"),
    ("azcmagent config set proxy.url http://127.0.0.1:1", 0, "proxy.url"),
    ("azcmagent config clear proxy.url", 0, ""),
    ("azcmagent extension list", 0, "No extensions"),
    ("azcmagent extension remove --name AzureMonitorWindowsAgent", 72, "AZCM0072"),
    ("azcmagent extension remove --all", 0, "No extensions"),
    ('azcmagent logs --full --output "/srv/azcmagent-logs.zip"', 0, "/srv/azcmagent-logs.zip"),
    ("azcmagent upgrade", 0, "up to date"),
    ("azcmagent upgrade --version 1.63", 147, "AZCM0147"),
    ("service himds restart", 0, ""),
    ("azcmagent reconnect", 0, "Reconnected"),
    ("azcmagent frobnicate", 23, "AZCM0023"),
]


@pytest.fixture(scope="module")
def debian(cloud: ControlPlane) -> Iterator[bare_debian.BareDebian]:
    """A Debian on which the cloud's script has installed the agent."""
    system = bare_debian.BareDebian()
    try:
        system.write("/srv/root.pem", cloud.admin.ca_file.read_text())
        script = f"{cloud.admin.url}/install_linux_azcmagent.sh"
        done = system.sh(f"curl -fsS --cacert /srv/root.pem {script} | sh")
        assert done.returncode == 0, done.stdout
        system.sh("service himds start")
        yield system
    finally:
        system.stop()


def status(debian: bare_debian.BareDebian) -> str:
    return str(json.loads(debian.run("azcmagent", "show", "--json").stdout)["status"])


def wait_connected(debian: bare_debian.BareDebian) -> None:
    wait_until("the agent", lambda: status(debian) == "Connected" or None, Children(), 30)


def flags(cloud: ControlPlane, how: str) -> str:
    """The documents' authentication options."""
    admin = cloud.admin
    if how == "token":
        return f"--access-token {cloud.token(admin.client_id, admin.client_secret)}"
    principal, secret = shlex.quote(admin.client_id), shlex.quote(admin.client_secret)
    return (
        f"--service-principal-id {principal} --service-principal-secret {secret} --tenant-id {admin.tenant}"
    )


@pytest.mark.parametrize(("line", "code", "words"), BEFORE_CONNECT)
def test_before_a_connect(debian: bare_debian.BareDebian, line: str, code: int, words: str) -> None:
    done = debian.sh(line)
    assert done.returncode == code, done.stdout
    assert words in done.stdout


@pytest.mark.parametrize("how", ["token", "principal"])
def test_connect_and_disconnect_as_the_document_has_them(
    debian: bare_debian.BareDebian, cloud: ControlPlane, how: str
) -> None:
    where = f'--subscription-id {cloud.admin.subscription} --resource-group "{GROUP}" --location "local"'
    more = """--resource-name documented --physical-location 'Rack 7' -t "Datacenter=east,City='A B'" """
    more = more if how == "token" else "--resource-name documented"
    done = debian.sh(f"azcmagent connect {flags(cloud, how)} {where} {more}")
    assert done.returncode == 0, done.stdout
    assert "100% [===============]" in done.stdout and "Connected machine to Azure" in done.stdout
    if how == "token":
        body = cloud.machine("documented").body
        assert body["properties"]["locationData"]["name"] == "Rack 7"
    wait_connected(debian)
    done = debian.sh(f"azcmagent reconnect {flags(cloud, how)}")
    assert done.returncode == 0, done.stdout
    wait_connected(debian)
    done = debian.sh(f"azcmagent disconnect {flags(cloud, how)}")
    assert done.returncode == 0, done.stdout
    assert cloud.machine("documented").status == 404
    assert debian.sh("service himds status").returncode == 0


@pytest.fixture(scope="module")
def connected(debian: bare_debian.BareDebian, cloud: ControlPlane) -> bare_debian.BareDebian:
    where = f'--subscription-id "{cloud.admin.subscription}" --resource-group "{GROUP}" --location "local"'
    done = debian.sh(f"azcmagent connect {where} {flags(cloud, 'principal')} --resource-name stays")
    assert done.returncode == 0, done.stdout
    wait_connected(debian)
    return debian


@pytest.mark.parametrize(("line", "code", "words"), WHILE_CONNECTED)
def test_while_connected(connected: bare_debian.BareDebian, line: str, code: int, words: str) -> None:
    if line.startswith(("azcmagent show", "azcmagent check")):
        wait_connected(connected)
    done = connected.sh(line)
    assert done.returncode == code, done.stdout
    assert words in done.stdout


def test_force_local_only_ends_it_here_alone(connected: bare_debian.BareDebian, cloud: ControlPlane) -> None:
    done = connected.sh("azcmagent disconnect --force-local-only")
    assert done.returncode == 0, done.stdout
    assert cloud.machine("stays").status == 200
