"""The whole of a run on the server's side, with a true control channel: asked, told, fetched, seen."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import ssl
import sys
import time
from pathlib import Path

import pytest

from landbridge_server.relay.names import hybrid_connection_path
from landbridge_server.store import machine_news
from landbridge_server.store.database import Database
from landbridge_server.testing import ControlPlane
from landbridge_wire.agent_api import HeartbeatReply
from working_machine import WorkingMachine

SOON = 5.0
SCRIPT = {"location": "local", "properties": {"source": {"script": "echo hello"}}}


def _harness():
    name, file = "relay_rehearsal", Path(__file__).parents[1] / "relay" / "rehearsal.py"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, file)
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


rehearsal = _harness()


class Channel:
    """The control channel of a machine."""

    def __init__(self, socket):
        self.socket = socket

    async def told(self):
        """Wait until the machine is told that there is something for it."""
        async with asyncio.timeout(SOON):
            while True:
                _, text = await self.socket.message()
                reply = json.loads(text).get("heartbeatReply")
                if reply is not None and HeartbeatReply.from_json(reply).workWanted:
                    return


@pytest.fixture
async def served(tmp_path, store_url):
    async with ControlPlane(tmp_path / "cloud", clock=time.time, store=store_url) as cloud:
        cloud.clock.now = time.time()
        async with cloud.serving():
            yield cloud


@pytest.fixture
async def machine(served):
    made = WorkingMachine(served)
    await made.enrol()
    return made


@pytest.fixture
async def channel(served, machine):
    plane = served.plane
    root = plane.authority.root_file
    port = int(served.config.endpoints.relay.rpartition(":")[2])
    context = ssl.create_default_context(cafile=root)
    relay = rehearsal.Relay(plane.broker, plane.relay, None, time.time, port, root, context)
    yield Channel(await relay.listen(hybrid_connection_path(machine.enrollment.principalId)))
    await relay.hang_up()


async def test_a_run_from_the_request_to_its_output(served, speaking_to, machine, channel):
    arm, command = speaking_to(served), f"{machine.id}/runCommands/hello"
    accepted = await arm("PUT", command, SCRIPT)
    await channel.told()
    (item,) = await machine.fetch()
    await machine.report(item, ended=False, executionState="Running")
    await machine.output(item, b"hello\n")
    page = (await arm("POST", f"{command}/readOutput", {})).json()
    assert (page["content"], page["complete"]) == ("hello\n", False)
    await arm("POST", f"{command}/cancel")
    await channel.told()
    kinds = [one.kind for one in await machine.fetch()]
    assert kinds == ["apply", "cancel"]
    await machine.report(item, executionState="Canceled", output="hello\n")
    await arm("DELETE", command)
    await channel.told()
    removal = (await machine.fetch())[-1]
    await machine.report(removal)
    assert (await arm("GET", command)).status_code == 404
    status = await arm("GET", accepted.headers["azure-asyncoperation"], version="")
    assert status.json()["status"] == "Succeeded"


async def test_what_a_process_on_the_command_line_asks_reaches_the_machine(served, machine, channel):
    other = Database(served.plane.db.url)
    try:
        with other.writing() as connection:
            machine_news.mark(connection, machine.id.lower(), machine_news.WORK)
    finally:
        other.close()
    await channel.told()
