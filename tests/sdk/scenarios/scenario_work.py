"""azure-mgmt-hybridcompute with a machine that carries out what it is asked: extensions and run commands.

``LANDBRIDGE_MACHINE`` is the id of a connected machine.
"""

from __future__ import annotations

import os

import pytest
from azure.core.exceptions import HttpResponseError
from azure.mgmt.hybridcompute import HybridComputeManagementClient
from scenario_hybrid import state_of

PLACE = os.environ["LANDBRIDGE_MACHINE"].split("/")
GROUP, MACHINE = PLACE[4], PLACE[8]
SECONDS = 90


@pytest.fixture
def compute(cloud):
    return cloud.client(HybridComputeManagementClient)


def script(command, **more):
    """The body of an extension that runs a command."""
    properties = {
        "publisher": "Microsoft.Azure.Extensions",
        "type": "CustomScript",
        "typeHandlerVersion": "2.1",
        "settings": {"commandToExecute": command},
        **more,
    }
    return {"location": "local", "properties": properties}


def put(compute, body):
    """Ask for the extension, and return its properties when the machine has ended it."""
    compute.machine_extensions.begin_create_or_update(GROUP, MACHINE, "sdk", body).result(SECONDS)
    shown = compute.machine_extensions.get(GROUP, MACHINE, "sdk").as_dict()
    return shown, shown.get("properties", shown)


def test_custom_script_succeeds_fails_with_its_message_is_updated_and_deleted(compute):
    made, properties = put(compute, script("echo from the SDK"))
    assert state_of(made) == "Succeeded"
    view = properties.get("instanceView") or properties.get("instance_view")
    assert "\n[stdout]\nfrom the SDK\n" in view["status"]["message"]
    with pytest.raises(HttpResponseError, match="exit status=5") as caught:
        put(compute, script("echo no disk >&2; exit 5"))
    assert "no disk" in str(caught.value)
    mended, _ = put(compute, script("", settings={}, protectedSettings={"commandToExecute": "echo hunter2"}))
    assert state_of(mended) == "Succeeded"
    compute.machine_extensions.begin_delete(GROUP, MACHINE, "sdk").result(SECONDS)
    assert list(compute.machine_extensions.list(GROUP, MACHINE)) == []


def test_a_run_command_runs_and_is_deleted(compute):
    if not hasattr(compute, "machine_run_commands"):
        pytest.skip("this version of the SDK knows no run commands")
    body = {"location": "local", "properties": {"source": {"script": "echo ran; exit 4"}}}
    commands = compute.machine_run_commands
    commands.begin_create_or_update(GROUP, MACHINE, "sdk", body).result(SECONDS)
    shown = commands.get(GROUP, MACHINE, "sdk").as_dict()
    properties = shown.get("properties", shown)
    view = properties.get("instanceView") or properties.get("instance_view")
    assert view["output"] == "ran\n" and (view.get("exitCode") or view.get("exit_code")) == 4
    commands.begin_delete(GROUP, MACHINE, "sdk").result(SECONDS)
