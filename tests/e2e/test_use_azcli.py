"""``azcmagent connect --use-azcli`` with a real ``az`` that somebody has signed in with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from real_az import Az
from running import Agent, ControlPlane, short_folder

pytestmark = pytest.mark.az


@pytest.fixture(scope="module")
def az(cloud: ControlPlane) -> Iterator[Az]:
    """An ``az`` 2.91 that knows the cloud and is signed in nowhere."""
    folder = short_folder()
    found = Az("2.91", folder, cloud.admin.ca_file)
    assert found.program.exists(), "Run tools/client_environments.sh first, as ./test does."
    try:
        found("config", "set", "core.instance_discovery=false", "core.login_experience_v2=off")
        address = f"https://localhost:{cloud.port}"
        found("cloud", "register", "-n", "Mine", "--endpoint-resource-manager", address)
        found("cloud", "set", "-n", "Mine")
        yield found
    finally:
        shutil.rmtree(folder)


def as_person(agent: Agent, az: Az) -> Agent:
    """Let an agent's commands be run by the person whose ``az`` is on the path."""
    agent.environment |= az.environment
    agent.environment["PATH"] = f"{az.program.parent}:{agent.environment['PATH']}"
    return agent


def test_the_sign_in_of_az_connects_and_disconnects_a_machine(
    az: Az, cloud: ControlPlane, make_agent: Callable[[str], Agent]
) -> None:
    agent = as_person(make_agent("by-azcli"), az)
    agent.start_daemon()
    config = agent.root / "connect.json"
    config.write_text(json.dumps({"use-azcli": True}))
    nobody = agent.connect(config=config)
    assert nobody.returncode == 41, nobody.stdout
    assert "az has no token" in nobody.stdout and "az login" in nobody.stdout
    assert cloud.machine("by-azcli").status == 404

    admin = cloud.admin
    az(
        *("login", "--service-principal", "-u", admin.client_id, "-p", admin.client_secret),
        *("--tenant", admin.tenant),
    )
    done = agent.connect(config=config)
    assert done.returncode == 0, done.stdout
    agent.wait_connected()
    assert agent.show()["resourceName"] == "by-azcli"

    gone = agent.run("disconnect", "--use-azcli")
    assert gone.returncode == 0, gone.stdout
    assert cloud.machine("by-azcli").status == 404
    for path in filter(Path.is_file, agent.root.rglob("*")):
        assert "eyJ" not in path.read_text(errors="replace"), f"a token of az is in {path}"
