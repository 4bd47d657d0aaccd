"""The real SDKs ask a machine to do something, and it does: ``himdsd`` and ``extd`` as they are installed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from running import GROUP, PROGRAMS, Agent, ControlPlane, short_folder
from tests.sdk import suites

FILE = "scenario_work.py"


@pytest.fixture(scope="module")
def machine() -> Iterator[Agent]:
    """A connected machine that carries out work."""
    folder = short_folder()
    cloud = ControlPlane(folder)
    agent = None
    try:
        cloud.prepare()
        agent = Agent(cloud, "shore")
        agent.start_daemon()
        done = agent.connect()
        assert done.returncode == 0, done.stdout
        agent._children.start("extd", [PROGRAMS / "extd"], agent.root / "extd.log", agent.environment)
        agent.wait_connected()
        yield agent
    finally:
        if agent is not None:
            agent.stop()
        cloud.stop()
        shutil.rmtree(folder)


@pytest.mark.parametrize("environment", ["sdk-newest", "sdk-pinned"])
def test_machines_do_what_the_sdk_asks(machine: Agent, environment: str, tmp_path: Path) -> None:
    admin = machine.cloud.admin
    place = f"/subscriptions/{admin.subscription}/resourceGroups/{GROUP}"
    target = f"{place}/providers/Microsoft.HybridCompute/machines/shore"
    report = tmp_path / "report.xml"
    argv = [
        suites.python_of(environment),
        "-m",
        "pytest",
        "-q",
        "-c",
        "pytest.ini",
        FILE,
        f"--junitxml={report}",
    ]
    more = {"LANDBRIDGE_MACHINE": target, "PYTHONPATH": str(suites.SCENARIOS), "PYTHONDONTWRITEBYTECODE": "1"}
    ran = suites.run(argv, report, machine.cloud, more)
    assert set(ran.outcomes) == set(suites.names_in(FILE)), ran.output
    assert not any(outcome.fault for outcome in ran.outcomes.values()), ran.output
