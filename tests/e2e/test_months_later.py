"""Months pass for control plane and machine alike: certificates renew, end, and come back."""

from __future__ import annotations

import shutil
import ssl
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from quickstart.programs import Children, wait_until
from running import Agent, ControlPlane, short_folder

NO_CHECK_TIME = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME."""
LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not LIBRARIES, reason="libfaketime is not installed"),
]


def later(days: int) -> dict[str, str]:
    """What puts a program some days into the future."""
    if not days:
        return {}
    shift = {"FAKETIME": f"+{days}d", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    return {"LD_PRELOAD": str(LIBRARIES[0]), **shift}


@pytest.fixture
def cloud() -> Iterator[ControlPlane]:
    """A control plane that takes machines back within thirty days of their certificate's end."""
    folder = short_folder()
    control_plane = ControlPlane(folder, "--return-grace-days", "30")
    # This program stays in the present, where the server's next certificate has not begun.
    context = ssl.create_default_context(cafile=str(control_plane.admin.ca_file))
    context.verify_flags |= ssl.VerifyFlags(NO_CHECK_TIME)
    handlers = (urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    control_plane.opener = urllib.request.build_opener(*handlers)
    try:
        control_plane.prepare()
        yield control_plane
    finally:
        control_plane.stop()
        shutil.rmtree(folder)


def pass_days(cloud: ControlPlane, machine: Agent, days: int) -> None:
    """Start the control plane that many days later; whatever runs on the machine is there, too."""
    cloud.stop()
    cloud.start(later(days))
    cloud._token = ""  # it is of another time
    machine.environment = {**machine.environment, **later(days)}


@pytest.fixture
def machine(cloud: ControlPlane, request: pytest.FixtureRequest) -> Iterator[Agent]:
    """A machine that was connected today and has been switched off."""
    agent = Agent(cloud, f"sleeper{len(request.node.name)}")
    try:
        agent.start_daemon()
        assert agent.connect().returncode == 0
        agent.wait_connected()
        agent.kill_daemon()
        yield agent
    finally:
        agent.stop()


def log_of(machine: Agent) -> str:
    return (machine.root / "var/opt/azcmagent/log/himds.log").read_text()


@pytest.mark.soak
def test_after_forty_six_days_the_certificate_is_renewed(cloud: ControlPlane, machine: Agent) -> None:
    identity = machine.root / "var/opt/azcmagent/certs/identity.pem"
    before = identity.read_bytes()
    pass_days(cloud, machine, 46)
    machine.start_daemon()
    machine.wait_connected()
    wait_until("the renewal", lambda: identity.read_bytes() != before or None, Children(), 30)
    assert "certificate was renewed" in log_of(machine)


def test_after_ninety_one_days_it_is_expired_and_comes_back_by_itself(
    cloud: ControlPlane, machine: Agent
) -> None:
    pass_days(cloud, machine, 91)
    assert cloud.machine(machine.name).body["properties"]["status"] == "Expired"
    machine.start_daemon()
    machine.wait_connected()
    assert "its key brought a new one" in log_of(machine)


@pytest.mark.soak
def test_after_ninety_one_days_reconnect_brings_it_back(cloud: ControlPlane, machine: Agent) -> None:
    pass_days(cloud, machine, 91)
    done = machine.run("reconnect")
    assert done.returncode == 0, done.stdout
    machine.start_daemon()
    machine.wait_connected()


@pytest.mark.soak
def test_beyond_the_grace_a_sign_in_brings_it_back(cloud: ControlPlane, machine: Agent) -> None:
    pass_days(cloud, machine, 90 + 31)
    machine.start_daemon()
    wait_until("the agent to say why", lambda: machine.show()["agentErrorCode"] or None, Children(), 30)
    assert machine.show()["status"] == "Expired"
    done = machine.run("reconnect", "--config", machine.credentials())
    assert done.returncode == 0, done.stdout
    machine.wait_connected()
