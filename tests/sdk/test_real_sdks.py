"""The real SDKs, newest and pinned, for Python and Node, against a control plane with true TLS."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from running import ControlPlane, short_folder
from tests.sdk import suites

NODE, NEWEST, PINNED = "sdk-node", "sdk-newest", "sdk-pinned"
SUITES = {
    "scenario_identity.py": (NEWEST, PINNED),
    "scenario_async.py": (NEWEST,),
    "scenario_resources.py": (NEWEST, PINNED),
    "scenario_locks.py": (NEWEST, PINNED),
    "scenario_hybrid.py": (NEWEST, PINNED),
    "scenario_hybrid_newest.py": (NEWEST,),
    "scenario_authorization.py": (NEWEST, PINNED),
    "scenario_graph.py": (NEWEST,),
    "scenario_profiles.py": (PINNED,),
    "scenario_node.cjs": (NODE,),
}


def scenarios() -> Iterator[object]:
    """Yield each scenario of each suite: the scenarios of a suite follow one another."""
    for file, environments in SUITES.items():
        names = suites.node_names_in(file) if file.endswith(".cjs") else suites.names_in(file)
        for environment in environments:
            for name in names:
                short = name.removeprefix("test_").replace(" ", "_").replace(",", "")
                yield pytest.param(environment, file, name, id=f"{environment}-{short}")


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """A control plane as it is after its first start."""
    folder = short_folder()
    control_plane = ControlPlane(folder, "--locations", "local,eastus")
    try:
        yield control_plane
    finally:
        control_plane.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def ran(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], suites.Ran]:
    """Runs a suite the first time that it is asked for, for all the scenarios in it."""

    @cache
    def run(environment: str, file: str) -> suites.Ran:
        folder = tmp_path_factory.mktemp("reports")
        if environment == NODE:
            return suites.run_node(file, plane, folder)
        return suites.run_python(environment, file, plane, folder)

    return run


@pytest.mark.parametrize(("environment", "file", "scenario"), list(scenarios()))
def test_scenario(ran: Callable[[str, str], suites.Ran], environment: str, file: str, scenario: str) -> None:
    if environment == NODE and not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("there is no node and npm here (Debian: apt-get install nodejs npm)")
    suite = ran(environment, file)
    assert scenario in suite.outcomes, suite.output
    outcome = suite.outcomes[scenario]
    assert not outcome.fault, outcome.fault
    if outcome.left_out:
        pytest.skip(outcome.left_out)


def test_a_suite_that_fails_is_seen_to_fail(plane: ControlPlane, tmp_path: Path) -> None:
    """The way from a fault in another interpreter to a fault here."""
    wrong = tmp_path / "scenario_wrong.py"
    wrong.write_text("def test_a():\n    assert 1 == 2\n\n\ndef test_b():\n    pass\n")
    outcomes = suites.run_python(PINNED, str(wrong), plane, tmp_path).outcomes
    assert "assert 1 == 2" in outcomes["test_a"].fault
    assert not outcomes["test_b"].fault
