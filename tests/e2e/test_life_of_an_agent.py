"""Connect, disconnect, and what survives a kill -9."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from running import GROUP, Agent, Connection, ControlPlane

BACK_SECONDS = 10.0
"""The promise: Connected again within ten seconds of being started."""


def test_disconnect_removes_the_resource(cloud: ControlPlane, make_agent: Callable[[str], Agent]) -> None:
    agent = make_agent("passing")
    agent.start_daemon()
    assert agent.connect().returncode == 0
    agent.wait_connected()
    done = agent.run("disconnect", "--config", agent.credentials())
    assert done.returncode == 0, done.stdout
    assert cloud.machine("passing").status == 404
    assert agent.show()["status"] == "Disconnected"


def test_the_same_machine_connects_again_after_disconnect(make_agent: Callable[[str], Agent]) -> None:
    agent = make_agent("returning")
    agent.start_daemon()
    for _ in range(2):
        assert agent.connect().returncode == 0
        agent.wait_connected()
        assert agent.run("disconnect", "--config", agent.credentials()).returncode == 0


def test_onboarding_may_connect_but_not_disconnect(
    cloud: ControlPlane, make_agent: Callable[[str], Agent]
) -> None:
    scope = f"{cloud.subscription}/resourceGroups/{GROUP}"
    made = cloud.landbridge(
        *("sp", "create", "--name", "onboarding", "--role", "Azure Connected Machine Onboarding"),
        *("--scope", scope, "-o", "json"),
    )
    principal = json.loads(made)
    agent = make_agent("onboarded")
    config = agent.credentials(principal["clientId"], principal["clientSecret"])
    done = agent.connect(config=config)
    assert done.returncode == 0, done.stdout
    refused = agent.run("disconnect", "--config", config)
    assert refused.returncode == 43, refused.stdout
    assert "AZCM0043" in refused.stdout
    assert cloud.machine("onboarded").status == 200
    assert agent.show()["resourceName"] == "onboarded"  # still connected here too
    assert agent.run("disconnect", "--config", agent.credentials()).returncode == 0


@pytest.mark.ssh
def test_himdsd_killed_and_started_again_is_connected_within_ten_seconds(connection: Connection) -> None:
    agent = connection.agent
    agent.kill_daemon()
    assert agent.show()["status"] == "Disconnected"
    agent.start_daemon()
    agent.wait_connected(BACK_SECONDS)
    assert connection.ssh("echo back").stdout == "back\n"


@pytest.mark.ssh
def test_landbridge_killed_and_started_again_has_lost_nothing_it_acknowledged(
    connection: Connection,
) -> None:
    cloud = connection.agent.cloud
    written = []
    for number in range(20):
        path = f"{cloud.subscription}/resourceGroups/kept-{number}"
        assert cloud.arm("PUT", path, {"location": "local", "tags": {"n": str(number)}}).status in (200, 201)
        written.append(path)
    cloud.kill()  # right after the last answer
    cloud.start()
    connection.agent.wait_connected(BACK_SECONDS)
    for number, path in enumerate(written):
        answer = cloud.arm("GET", path)
        assert answer.status == 200
        assert answer.body["tags"] == {"n": str(number)}
    assert connection.ssh("echo back").stdout == "back\n"
