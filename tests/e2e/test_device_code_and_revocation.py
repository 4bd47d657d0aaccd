"""Sign-in by device code from azcmagent, and open sessions whose right is taken away."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from running import (
    ENVIRONMENT,
    GROUP,
    PROGRAMS,
    Agent,
    Connection,
    ControlPlane,
)
from web_page import Visitor

REVOCATION_SECONDS = 2.0
"""The promise: who lost a right loses access within two seconds."""


def test_a_person_connects_a_machine_by_device_code(
    cloud: ControlPlane, make_agent: Callable[[str], Agent]
) -> None:
    agent, admin = make_agent("by-person"), cloud.admin
    argv = [PROGRAMS / "azcmagent", "connect", "--use-device-code", "--tenant-id", admin.tenant]
    argv += ["--cloud", admin.url, "--ca-file", admin.ca_file, "--subscription-id", admin.subscription]
    argv += ["--resource-group", GROUP, "--location", "local", "--resource-name", agent.name]
    process = subprocess.Popen(
        argv, env=agent.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    with process, ending(process):
        said = ""
        while not (found := re.search(r"(https://\S+) and enter the code (\S+)", said)):
            line = process.stdout.readline()
            assert line, said
            said += line
        user = json.loads((cloud.data / "admin.json").read_text())["userName"]
        Visitor(admin.ca_file).approve(found[1], found[2].rstrip("."), user, cloud.password)
        rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said + rest
    assert cloud.machine("by-person").status == 200
    assert agent.run("disconnect", "--config", agent.credentials()).returncode == 0


@pytest.mark.ssh
def test_an_open_session_ends_when_its_senders_role_is_taken_away(connection: Connection) -> None:
    cloud = connection.agent.cloud
    scope = f"{cloud.subscription}/resourceGroups/{GROUP}"
    words = ["sp", "create", "--name", "guest", "--role", "Virtual Machine Local User Login"]
    guest = json.loads(cloud.landbridge(*words, "--scope", scope, "-o", "json"))
    with guest_session(connection, guest) as process, ending(process):
        assert process.stdout.readline() == "in\n"
        cloud.landbridge("sp", "delete", "guest")
        taken = time.monotonic()
        process.wait(timeout=30)
        # Half a second for ssh itself to notice that its proxy is gone.
        assert time.monotonic() - taken <= REVOCATION_SECONDS + 0.5
    assert process.returncode == 255
    assert connection.ssh("true").returncode == 0


@contextmanager
def ending(process: subprocess.Popen[str]) -> Iterator[None]:
    """Leave no process behind, however the block ends."""
    try:
        yield
    finally:
        if process.poll() is None:
            process.kill()


def guest_session(connection: Connection, guest: dict[str, str]) -> subprocess.Popen[str]:
    """Open a session with the guest's own relay credentials."""
    cloud, agent = connection.agent.cloud, connection.agent
    machine = (
        f"{cloud.subscription}/resourceGroups/{GROUP}/providers/Microsoft.HybridCompute/machines/{agent.name}"
    )
    token = cloud.token(guest["clientId"], guest["clientSecret"])
    path = f"{machine}/providers/Microsoft.HybridConnectivity/endpoints/default/listCredentials"
    answer = cloud.arm("POST", path, {"serviceName": "SSH"}, version="2023-03-15", token=token)
    assert answer.status == 200, answer.body
    info = {"relay": answer.body["relay"], "caFile": str(cloud.admin.ca_file)}
    encoded = base64.b64encode(json.dumps(info).encode()).decode()
    argv = [*connection.ssh_command, agent.name, "echo in; sleep 60"]
    proxy = f"{PROGRAMS / 'sshProxy'} -p {connection.sshd.port}"
    argv[1:1] = ["-o", f"ProxyCommand={proxy}"]
    environment = {**ENVIRONMENT, "SSHPROXY_RELAY_INFO": encoded}
    return subprocess.Popen(
        argv, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
