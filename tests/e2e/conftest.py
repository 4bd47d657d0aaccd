"""A control plane, an sshd and a connected machine, all of them real processes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

import pytest

from running import Agent, Connection, ControlPlane, Sshd, short_folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything here, and give it the time that processes take."""
    for item in items:
        if "tests/e2e/" in item.path.as_posix():
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.timeout(600))
        if item.path.name == "test_sign_in_matrix.py" and _left_to_soak(item):
            item.add_marker(pytest.mark.soak)
        if item.path.name == "test_directory_with_az.py" and _told_by_the_newest(item):
            item.add_marker(pytest.mark.soak)


DIAGONAL = {("aad", "2.91"), ("adfs", "2.66")}
EVERY_DAY = {
    "test_a_second_factor_keeps_passwords_out_and_lets_pages_in": {("aad", "2.91"), ("adfs", "2.91")},
    "test_what_is_wrong_is_said_in_words": {("aad", "2.91")},
}
"""The styles and versions of az that ``./test`` runs: every way, style and version is among them."""


def _left_to_soak(item: pytest.Item) -> bool:
    """Say whether a cell of the matrix is left to ``./test soak``."""
    parameters = item.callspec.params if isinstance(item, pytest.Function) else {}
    if "prepared" not in parameters:
        return False
    # test_managed_identity.py has the machine of every day.
    cells = EVERY_DAY.get(getattr(item, "originalname", ""), DIAGONAL)
    cell = (parameters["style"], parameters["prepared"])
    return cell not in cells or parameters.get("way") == "managed identity"


def _told_by_the_newest(item: pytest.Item) -> bool:
    """Say whether the newest az tells a story of the directory in ``./test`` already.

    The two versions differ in roles and in sign-in; what their ``az ad`` sends is the same.
    """
    parameters = item.callspec.params if isinstance(item, pytest.Function) else {}
    stories = ("test_users", "test_groups", "test_applications_and_their_service_principals")
    return parameters.get("version") == "2.66" and getattr(item, "originalname", "") in stories


@pytest.fixture(scope="module")
def cloud() -> Iterator[ControlPlane]:
    """A control plane with a resource group and Microsoft.HybridConnectivity."""
    folder = short_folder()
    control_plane = ControlPlane(folder)
    try:
        control_plane.prepare()
        yield control_plane
    finally:
        control_plane.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def sshd() -> Iterator[Sshd]:
    """A real sshd on loopback."""
    server = Sshd()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def make_agent(cloud: ControlPlane) -> Iterator[Callable[[str], Agent]]:
    """Makes agents, not connected and without their daemon; all end with the test."""
    made: list[Agent] = []

    def make(name: str) -> Agent:
        made.append(Agent(cloud, name))
        return made[-1]

    yield make
    for agent in made:
        agent.stop()


@pytest.fixture(scope="module")
def connection(cloud: ControlPlane, sshd: Sshd) -> Iterator[Connection]:
    """A machine that is Connected and lets the relay reach the sshd."""
    agent = Agent(cloud, "shore")
    try:
        agent.start_daemon()
        assert agent.run("config", "set", "incomingconnections.ports", str(sshd.port)).returncode == 0
        done = agent.connect()
        assert done.returncode == 0, done.stdout
        agent.wait_connected()
        yield Connection(agent, sshd)
    finally:
        agent.stop()
