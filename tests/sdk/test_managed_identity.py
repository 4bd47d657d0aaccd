"""Unmodified programs on a machine sign in as that machine, on a machine of its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from own_machine import HIMDS_GROUP, IDENTITY, OwnMachine, unavailable
from running import ENVIRONMENT, PROGRAMS, ControlPlane, short_folder
from tests.sdk import suites

FILE = "scenario_managed_identity.py"
NODE_FILE = "scenario_node_machine.cjs"
ENVIRONMENTS = ("sdk-newest", "sdk-pinned")
NOBODY = "65534"

pytestmark = pytest.mark.skipif(bool(unavailable()), reason=unavailable() or "-")


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    folder = short_folder()
    control_plane = ControlPlane(folder)
    try:
        control_plane.prepare()
        yield control_plane
    finally:
        control_plane.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def machine(plane: ControlPlane) -> Iterator[OwnMachine]:
    """A connected machine whose identity may read the subscription."""
    own = OwnMachine(plane)
    try:
        own.connect()
        own.allow()
        own.run("mkdir", "-p", "/opt/azcmagent/bin")
        own.run("touch", "/opt/azcmagent/bin/himds")
        yield own
    finally:
        own.stop()


@pytest.fixture(scope="module")
def ran(machine: OwnMachine, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], suites.Ran]:
    """Runs the scenarios in an environment the first time that it is asked for."""

    @cache
    def run(environment: str) -> suites.Ran:
        report = tmp_path_factory.mktemp("reports") / f"{environment}.xml"
        argv: list[str | Path] = [*machine.inside, suites.python_of(environment), "-m", "pytest", "-q"]
        # The machine's /var/opt is its own, but not this folder.
        argv += ["-c", str(suites.SCENARIOS / "pytest.ini"), str(suites.SCENARIOS / FILE)]
        argv += [f"--junitxml={report}"]
        return suites.run(argv, report, machine.plane, _environment(machine))

    return run


def _environment(machine: OwnMachine) -> dict[str, str]:
    return {
        **IDENTITY,
        "LANDBRIDGE_MACHINE": machine.resource_id,
        "PYTHONPATH": str(suites.SCENARIOS),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


@pytest.fixture(scope="module")
def node(machine: OwnMachine, tmp_path_factory: pytest.TempPathFactory) -> suites.Ran:
    """What the scenarios on Node came to."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("there is no node and npm here (Debian: apt-get install nodejs npm)")
    folder = tmp_path_factory.mktemp("node")
    return suites.run_node(NODE_FILE, machine.plane, folder, machine.inside, _environment(machine))


@pytest.mark.parametrize("scenario", suites.names_in(FILE))
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_scenario(ran: Callable[[str], suites.Ran], environment: str, scenario: str) -> None:
    suite = ran(environment)
    assert scenario in suite.outcomes, suite.output
    outcome = suite.outcomes[scenario]
    assert not outcome.fault, outcome.fault
    if outcome.left_out:
        pytest.skip(outcome.left_out)


@pytest.mark.parametrize("scenario", suites.node_names_in(NODE_FILE))
def test_node(node: suites.Ran, scenario: str) -> None:
    assert scenario in node.outcomes, node.output
    assert not node.outcomes[scenario].fault, node.outcomes[scenario].fault


@pytest.mark.parametrize(
    ("words", "given"), [(("--groups", str(HIMDS_GROUP)), True), (("--clear-groups",), False)]
)
def test_who_is_not_in_the_group_gets_no_token(
    machine: OwnMachine, words: tuple[str, ...], given: bool
) -> None:
    """The interpreter of the tests lies where nobody but root may look: a program of the system is used."""
    script = (
        "p=$(curl -si -H Metadata:true \"$1\" | grep Www-Authenticate | cut -d = -f 2 | tr -d '[:cntrl:]'); "
        'k=$(cat "$p") && curl -s -H Metadata:true -H "Authorization: Basic $k" "$1"'
    )
    url = f"{IDENTITY['IDENTITY_ENDPOINT']}?api-version=2019-11-01&resource={machine.plane.admin.url}"
    done = machine.run(
        *("setpriv", "--reuid", NOBODY, "--regid", NOBODY, *words, "--"), *("sh", "-c", script, "sh", url)
    )
    assert ("access_token" in done.stdout) is given, done.stdout
    assert ("Permission denied" in done.stdout) is not given, done.stdout


def test_challenge_files_are_the_groups_to_read(machine: OwnMachine) -> None:
    url = f"{IDENTITY['IDENTITY_ENDPOINT']}?api-version=2020-06-01&resource=x"
    machine.run("curl", "-s", "-H", "Metadata:true", url)
    state = "/var/opt/azcmagent"
    script = "stat -c '%a %u %g' $0/tokens/*.key; stat -c '%a %u %g' $0 $0/tokens $0/certs $0/socks $0/log"
    lines = machine.run("sh", "-c", script, state).stdout.split("\n")[:-1]
    *keys, whole, tokens, certs, sockets, logs = lines
    assert set(keys) == {f"440 0 {HIMDS_GROUP}"}
    assert (whole, tokens) == (f"750 0 {HIMDS_GROUP}", f"750 0 {HIMDS_GROUP}")
    assert {line.split(" ")[0] for line in (certs, sockets, logs)} == {"700"}


def test_a_full_disk_is_said_and_is_over_when_there_is_room(machine: OwnMachine) -> None:
    url = f"{IDENTITY['IDENTITY_ENDPOINT']}?api-version=2020-06-01&resource=x"
    ask = ("curl", "-s", "-i", "-H", "Metadata:true", url)
    tokens = "/var/opt/azcmagent/tokens"
    assert machine.run("mount", "-t", "tmpfs", "-o", "nr_inodes=1", "tmpfs", tokens).returncode == 0
    full = machine.run(*ask).stdout
    machine.run("umount", tokens)
    assert "HTTP/1.1 503 " in full and "No space left on device" in full
    assert "HTTP/1.1 401 " in machine.run(*ask).stdout


def test_a_second_daemon_on_the_machine_leaves_the_first_alone(machine: OwnMachine) -> None:
    second = machine.run(PROGRAMS / "himdsd")
    assert second.returncode == 1
    assert "another himdsd runs on this state folder" in second.stdout
    shown = json.loads(machine.azcmagent("show", "-j").stdout)
    assert (shown["identityEndpoint"], shown["identityProblem"]) == ("http://localhost:40342", "")


def test_a_second_agent_whose_port_is_free_serves_its_own(machine: OwnMachine) -> None:
    """Port 40342 is the first one's: an agent with a tree of its own takes another."""
    script = "timeout 5 $0 2>&1 | grep -m1 'are served at'"
    environment = {**ENVIRONMENT, "LANDBRIDGE_AGENT_ROOT": str(machine.folder / "second")}
    said = machine.run("sh", "-c", script, PROGRAMS / "himdsd", environment=environment).stdout
    assert "127.0.0.1:" in said and ":40342" not in said


def test_the_audit_names_the_program(machine: OwnMachine, ran: Callable[[str], suites.Ran]) -> None:
    ran(ENVIRONMENTS[0])
    log = machine.run("cat", "/var/opt/azcmagent/log/himds.log").stdout
    program = str(suites.python_of(ENVIRONMENTS[0]).resolve())
    assert any("given to process" in line and program in line for line in log.splitlines())
