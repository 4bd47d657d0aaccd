"""``az ssh`` of both versions: the extension from the cloud's own index, a command through the relay."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from quickstart.sshd import user_name
from real_az import Az
from running import ENVIRONMENT, GROUP, Connection, short_folder

pytestmark = [pytest.mark.az, pytest.mark.ssh, pytest.mark.slow]


@pytest.fixture(scope="module", params=["2.91", "2.66"])
def az(request: pytest.FixtureRequest, connection: Connection) -> Iterator[Az]:
    """A person's az in our cloud, signed in as the administrator's service principal."""
    cloud = connection.agent.cloud
    admin = cloud.admin
    folder = short_folder()
    prepared = Az(request.param, folder, admin.ca_file)
    prepared("cloud", "register", "-n", "Ours", "--endpoint-resource-manager", admin.url)
    prepared("cloud", "set", "-n", "Ours")
    prepared("config", "set", "core.instance_discovery=false")
    if request.param == "2.66":
        prepared("config", "set", f"extension.index_url={admin.url}/mirror/extensions/index.json")
    words = (
        "--service-principal",
        "-u",
        admin.client_id,
        "-p",
        admin.client_secret,
        "--tenant",
        admin.tenant,
    )
    prepared("login", *words)
    yield prepared
    subprocess.run(["rm", "-rf", folder], check=True)


@pytest.fixture(scope="module")
def ssh(az: Az) -> Az:
    """The same, with the extension."""
    az("extension", "add", "--name", "ssh", "-y")
    found = az("extension", "list")
    assert [one["name"] for one in found] == ["ssh"]
    return az


def where(connection: Connection) -> tuple[str, ...]:
    key = str(connection.sshd.key)
    return (
        *("-g", GROUP, "-n", connection.host, "--local-user", user_name()),
        *("--port", str(connection.sshd.port), "--private-key-file", key, "--yes"),
    )


def test_a_command_runs_through_the_relay_and_its_exit_code_comes_back(
    ssh: Az, connection: Connection
) -> None:
    done = ssh.call(
        "ssh", "arc", *where(connection), "--", "-o", "BatchMode=yes", "echo over the relay; exit 7"
    )
    assert (done.returncode, done.stdout) == (7, "over the relay\n"), done.stderr


def test_ssh_vm_reaches_the_same_machine(ssh: Az, connection: Connection) -> None:
    done = ssh.call("ssh", "vm", *where(connection), "--", "-o", "BatchMode=yes", "true")
    assert done.returncode == 0, done.stderr


def test_the_written_configuration_serves_plain_ssh(ssh: Az, connection: Connection, tmp_path: Path) -> None:
    file = tmp_path / "ssh_config"
    done = ssh.call("ssh", "config", *where(connection), "--file", str(file))
    assert done.returncode == 0, done.stderr
    host = f"{GROUP}-{connection.host}-{user_name()}"
    words = ["ssh", "-F", str(file), "-o", "BatchMode=yes", host, "echo plain"]
    plain = subprocess.run(words, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert plain.stdout == "plain\n", plain.stderr
    assert "StrictHostKeyChecking yes" in file.read_text()
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.rglob("*-relay_info"))


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("arc", "-g", GROUP, "-n", "nobody", "--local-user", "u"), "not a connected machine"),
        (("arc", "-g", GROUP, "-n", "shore"), "--local-user"),
        (("arc", "-g", GROUP, "-n", "shore", "--local-user=-oProxyCommand=x"), "not a name"),
        (("arc", "-g", GROUP, "-n", "shore", "--local-user", "u", "--port", "0"), "not a port"),
        (("vm", "--ip", "127.0.0.1", "-g", GROUP, "--local-user", "u"), "either --ip"),
        (("cert", "--file", "x"), "Directory users"),
    ],
)
def test_what_cannot_be_is_refused_in_words(ssh: Az, words: tuple[str, ...], text: str) -> None:
    done = ssh.call("ssh", *words)
    assert done.returncode != 0
    assert text in done.stderr and "Traceback" not in done.stderr
