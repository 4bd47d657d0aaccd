"""``az resource`` installs CustomScript on a machine, sees it fail and why, updates and deletes it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from page_blocks import read
from real_az import Az
from running import CLONE, GROUP, PROGRAMS, Agent, ControlPlane, short_folder
from warm_az import Server, WarmAz

pytestmark = [pytest.mark.az]


@pytest.fixture(scope="module")
def cloud() -> Iterator[ControlPlane]:
    folder = short_folder()
    control_plane = ControlPlane(folder)
    try:
        control_plane.prepare()
        yield control_plane
    finally:
        control_plane.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def machine(cloud: ControlPlane) -> Iterator[Agent]:
    """A connected machine with ``himdsd`` and ``extd``, as they are installed."""
    agent = Agent(cloud, "shore")
    try:
        agent.start_daemon()
        done = agent.connect()
        assert done.returncode == 0, done.stdout
        agent._children.start("extd", [PROGRAMS / "extd"], agent.root / "extd.log", agent.environment)
        agent.wait_connected()
        yield agent
    finally:
        agent.stop()


@pytest.fixture(scope="module")
def az(cloud: ControlPlane) -> Iterator[WarmAz]:
    server = Server("2.91", cloud.admin.ca_file)
    try:
        made, admin = WarmAz(server, "admin"), cloud.admin
        made("config", "set", "core.instance_discovery=false", "core.login_experience_v2=off")
        made("cloud", "register", "-n", "Mine", "--endpoint-resource-manager", admin.url)
        made("cloud", "set", "-n", "Mine")
        app = ("login", "--service-principal", "-u", admin.client_id, "-p", admin.client_secret)
        made(*app, "--tenant", admin.tenant)
        yield made
    finally:
        server.stop()


def paste(az: WarmAz, machine: Agent, script: str) -> str:
    """Run a block of the page as a reader does, signed in as the administrator; return what it printed."""
    programs = machine.root / "programs"
    programs.mkdir(exist_ok=True)
    sudo = programs / "sudo"
    sudo.write_text('#!/bin/sh\nexec "$@"\n')
    sudo.chmod(0o755)
    cold = Az(az.version, machine.root, machine.cloud.admin.ca_file)
    path = [str(programs), str(cold.program.parent), str(PROGRAMS), cold.environment["PATH"]]
    environment = cold.environment | {
        "AZURE_CONFIG_DIR": str(az.home),
        "LANDBRIDGE_AGENT_ROOT": str(machine.root),
        "MACHINE": resource(machine.cloud).removesuffix("/extensions/setup"),
        "PATH": ":".join(path),
    }
    done = subprocess.run(
        ["bash", "-euc", script],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr[-3000:]}"
    return done.stdout


def wanted(cloud: ControlPlane, command: str, **more: Any) -> list[str]:
    """The words that ask for a custom script and wait for its end."""
    properties = {
        "publisher": "Microsoft.Azure.Extensions",
        "type": "CustomScript",
        "typeHandlerVersion": "2.1",
        "settings": {"commandToExecute": command},
        **more,
    }
    body = json.dumps({"location": "local", "properties": properties})
    return ["resource", "create", "--id", resource(cloud), "--is-full-object", "-p", body]


def resource(cloud: ControlPlane) -> str:
    group = f"/subscriptions/{cloud.admin.subscription}/resourceGroups/{GROUP}"
    return f"{group}/providers/Microsoft.HybridCompute/machines/shore/extensions/setup"


def test_a_custom_script_of_az_succeeds_fails_is_changed_and_deleted(
    cloud: ControlPlane, machine: Agent, az: WarmAz
) -> None:
    made = az(*wanted(cloud, "echo from az; id -u"))["properties"]
    assert made["provisioningState"] == "Succeeded"
    status = az("resource", "show", "--ids", resource(cloud))["properties"]["instanceView"]["status"]
    assert status["message"].startswith("Extension Message: Enable succeeded: \n[stdout]\nfrom az\n")
    listed = machine.run("extension", "list").stdout.splitlines()
    assert listed[1].split() == ["Microsoft.Azure.Extensions", "CustomScript", "2.1.13", "setup", "Succeeded"]

    failed = az.call(*wanted(cloud, "echo no disk >&2; exit 5"))
    assert failed.returncode != 0 and "Traceback" not in failed.stderr
    assert "HCRP400" in failed.stderr and "exit status=5" in failed.stderr and "no disk" in failed.stderr

    mended = az(*wanted(cloud, "", settings={}, protectedSettings={"commandToExecute": ": hunter2; echo ok"}))
    assert mended["properties"]["provisioningState"] == "Succeeded"
    assert "hunter2" not in json.dumps(mended)

    az("resource", "delete", "--ids", resource(cloud))
    assert az.call("resource", "show", "--ids", resource(cloud)).returncode == 3
    assert machine.run("extension", "list").stdout == "No extensions are installed.\n"


@pytest.mark.slow
def test_the_commands_of_the_page_do_what_it_says(cloud: ControlPlane, machine: Agent, az: WarmAz) -> None:
    blocks, _ = read((CLONE / "docs/how-to/extensions.md").read_text(), az.version)
    create, again, delete, local = (block.text for block in blocks)
    assert "Enable succeeded: \\n[stdout]\\nhello\\nroot" in paste(az, machine, create)
    assert "[stdout]\\nagain" in paste(az, machine, again)
    told = paste(az, machine, local)
    assert "setup: 2" in told and "Removed setup: " in told
    assert machine.run("extension", "list").stdout == "No extensions are installed.\n"
    paste(az, machine, delete)
    assert az.call("resource", "show", "--ids", resource(cloud)).returncode == 3
