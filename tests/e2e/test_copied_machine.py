"""A state folder is copied: the machine stays what it is, its copy is told apart and can be re-keyed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

import pytest

from quickstart.programs import Children, wait_until
from running import Agent, ControlPlane


@pytest.fixture(scope="module")
def original(cloud: ControlPlane) -> Iterator[Agent]:
    """A machine that is Connected, with a machine-id of its own."""
    agent = Agent(cloud, "original")
    try:
        (agent.root / "etc").mkdir()
        (agent.root / "etc/machine-id").write_text("11111111111111111111111111111111\n")
        agent.start_daemon()
        assert agent.connect().returncode == 0
        agent.wait_connected()
        yield agent
    finally:
        agent.stop()


@pytest.mark.parametrize("machine_id", ["1" * 32, "2" * 32], ids=["the whole disk", "another machine-id"])
def test_a_copy_is_refused_and_can_become_a_machine_of_its_own(
    cloud: ControlPlane, original: Agent, make_agent: Callable[[str], Agent], machine_id: str
) -> None:
    copy = make_agent(f"copy{machine_id[0]}")
    shutil.rmtree(copy.root)
    shutil.copytree(original.root, copy.root, ignore=shutil.ignore_patterns("socks", "*.log"))
    (copy.root / "etc/machine-id").write_text(f"{machine_id}\n")
    copy.start_daemon()
    wait_until("the copy", lambda: copy.show()["agentErrorCode"] == "AZCM0027" or None, Children(), 30)
    assert "copy" in copy.show()["agentErrorDetails"]
    assert copy.show()["status"] == "Disconnected"
    properties = cloud.machine("original").body["properties"]
    assert (properties["status"], properties["statusReason"]) == ("Connected", "Cloned")
    assert original.show()["status"] == "Connected"

    assert copy.run("disconnect", "--force-local-only").returncode == 0
    done = copy.connect()
    assert done.returncode == 0, done.stdout
    copy.wait_connected()
    assert cloud.machine("original").body["properties"]["status"] == "Connected"


def test_an_agent_that_was_killed_comes_back_and_is_no_copy(original: Agent) -> None:
    original.kill_daemon()
    original.start_daemon()
    original.wait_connected()
    assert original.show()["agentErrorCode"] == ""
