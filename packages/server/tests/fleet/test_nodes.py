"""Two nodes in one process, on one PostgreSQL, each with a TLS port of its own."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import shutil
import socket
import ssl
import sys
import time
import uuid
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

import postgresql_server
from landbridge_server.ca.keyring import new_key
from landbridge_server.ca.profiles import name as distinguished_name
from landbridge_server.config import Address
from landbridge_server.fleet.node import LEASE
from landbridge_server.relay.limits import Limits
from landbridge_server.relay.names import hybrid_connection_path
from landbridge_server.store import machines, nodes, notices
from landbridge_server.store.machines import Seen
from landbridge_server.testing import ControlPlane
from landbridge_wire import agent_api

SOON = 2.0
"""Within so many seconds news must have travelled."""


def _harness():
    name, file = "relay_rehearsal", Path(__file__).parents[1] / "relay" / "rehearsal.py"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, file)
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


rehearsal = _harness()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def until(condition, seconds=SOON):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


class Node:
    """One control plane; ``relay`` dials its port."""

    def __init__(self, folder, url, external_url):
        self.port = free_port()
        self.cloud = ControlPlane(
            folder,
            clock=time.time,
            store=url,
            listen=Address("127.0.0.1", self.port),
            external_url=external_url,
            node_url=f"https://127.0.0.1:{self.port}",
        )
        self.cloud.clock.now = time.time()
        self.plane = self.cloud.plane
        self.broker, self.presence = self.plane.broker, self.plane.presence
        ca_file = self.plane.authority.root_file
        context = ssl.create_default_context(cafile=ca_file)
        self.relay = rehearsal.Relay(
            self.broker, self.plane.relay, None, time.time, self.port, ca_file, context
        )
        self.life = AsyncExitStack()

    async def start(self):
        await self.life.enter_async_context(self.cloud)
        await self.life.enter_async_context(self.cloud.serving())

    async def stop(self):
        await self.relay.hang_up()
        await self.life.aclose()


class Pair:
    def __init__(self, one, two, machine_id, principal_id, sender):
        self.one, self.two = one, two
        self.machine_id, self.key = machine_id, machine_id.lower()
        self.path = hybrid_connection_path(principal_id)
        self.sender = sender

    async def status(self, node):
        answer = await node.cloud.arm("GET", self.machine_id, version="2024-07-10")
        return answer.json()["properties"]["status"]

    async def until_status(self, node, status, seconds=SOON):
        async with asyncio.timeout(seconds):
            while await self.status(node) != status:
                await asyncio.sleep(0.05)

    def connecting(self, node):
        """Begin to connect as a caller; the task ends with the joined socket."""
        token = node.relay.send_token(self.path, who=self.sender)
        return asyncio.ensure_future(node.relay.connect(self.path, token))

    async def accepted(self, control):
        _, text = await control.message()
        return json.loads(text)["accept"]


@pytest.fixture
async def pair(tmp_path, postgresql):
    with postgresql.database(postgresql_server.TEMPLATE) as url:
        one = Node(tmp_path / "one", url, "")
        for name in ("ca", "keys"):
            shutil.copytree(tmp_path / "one" / name, tmp_path / "two" / name)
        shutil.copy(tmp_path / "one" / "admin.json", tmp_path / "two" / "admin.json")
        two = Node(tmp_path / "two", url, one.cloud.config.endpoints.resource_manager)
        await one.start()
        await two.start()
        group = f"{one.cloud.subscription}/resourceGroups/servers"
        machine_id = f"{group}/providers/Microsoft.HybridCompute/machines/web1"
        await one.cloud.arm("PUT", group, {"location": "local"})
        body = {
            "location": "local",
            "identity": {"type": "SystemAssigned"},
            "properties": {"vmId": str(uuid.uuid4())},
        }
        made = await two.cloud.arm("PUT", machine_id, body, version="2024-07-10")
        sender = one.cloud.create_service_principal("caller", "Owner")[0]
        try:
            yield Pair(one, two, machine_id, made.json()["identity"]["principalId"], sender)
        finally:
            await one.stop()
            await two.stop()


async def test_a_request_may_reach_either_node(pair):
    token = await pair.one.cloud.token()
    for node in (pair.one, pair.two):
        answer = await node.cloud.arm("GET", pair.machine_id, token=token, version="2024-07-10")
        assert (answer.status_code, answer.json()["properties"]["status"]) == (200, "AwaitingConnection")
    path = f"{pair.one.cloud.subscription}/resourceGroups/both"
    made = await asyncio.gather(
        *(
            node.cloud.arm("PUT", path, {"location": "local"}, headers={"if-none-match": "*"})
            for node in (pair.one, pair.two)
            for _ in range(3)
        )
    )
    assert sorted(answer.status_code for answer in made) == [201, 412, 412, 412, 412, 412]


async def test_a_role_that_was_taken_away_counts_no_more_at_the_other_node(pair):
    object_id, client_id, secret = pair.one.cloud.create_service_principal("reader")
    role = f"{pair.one.cloud.subscription}/providers/Microsoft.Authorization"
    assignment = f"{role}/roleAssignments/{uuid.uuid4()}"
    reader = f"{role}/roleDefinitions/acdd72a7-3385-48ef-bd42-f606fba81ae7"
    body = {"properties": {"roleDefinitionId": reader, "principalId": object_id}}
    assert (await pair.one.cloud.arm("PUT", assignment, body, version="2022-04-01")).status_code == 201
    token = await pair.two.cloud.token(client_id, secret)
    seen = await pair.two.cloud.arm("GET", pair.machine_id, token=token, version="2024-07-10")
    assert seen.status_code == 200
    await pair.one.cloud.arm("DELETE", assignment, version="2022-04-01")
    refused = await pair.two.cloud.arm("GET", pair.machine_id, token=token, version="2024-07-10")
    assert refused.status_code == 403


async def test_presence_travels(pair):
    control = await pair.one.relay.listen(pair.path)
    await pair.until_status(pair.two, "Connected")
    assert await pair.status(pair.one) == "Connected"
    since = [node.presence.status(pair.key, time.time())[1] for node in (pair.one, pair.two)]
    assert since[0] == since[1]
    control.drop()
    await until(lambda: pair.two.presence.holder(pair.key) is None)
    assert pair.two.presence.departed_at(pair.key) == pair.one.presence.departed_at(pair.key) > 0


async def test_a_caller_at_one_node_meets_a_machine_at_the_other(pair):
    control = await pair.one.relay.listen(pair.path)
    await until(lambda: pair.two.presence.holder(pair.key))
    caller = pair.connecting(pair.two)
    accept = await pair.accepted(control)
    assert accept["address"].startswith(f"wss://127.0.0.1:{pair.two.port}/$hc/")
    machine = await pair.two.relay.dial(accept["address"])
    sender = await caller
    await sender.send(b"there")
    assert await machine.message() == (2, b"there")
    await machine.send(b"back")
    assert await sender.message() == (2, b"back")
    assert (pair.one.broker.sessions(pair.path), pair.two.broker.sessions(pair.path)) == (0, 1)


async def test_large_headers_of_a_caller_cross_too(pair):
    control = await pair.one.relay.listen(pair.path)
    await until(lambda: pair.two.presence.holder(pair.key))
    token = pair.two.relay.send_token(pair.path, who=pair.sender)
    caller = asyncio.ensure_future(pair.two.relay.connect(pair.path, token, {"X-Large": "x" * 20_000}))
    accept = await pair.accepted(control)
    assert accept["connectHeaders"]["x-large"] == "x" * 20_000
    await pair.two.relay.dial(accept["address"])
    await caller


async def test_a_right_that_is_taken_away_at_one_node_ends_the_session_at_the_other(pair):
    control = await pair.one.relay.listen(pair.path)
    caller = pair.connecting(pair.one)
    machine = await pair.one.relay.dial((await pair.accepted(control))["address"])
    sender = await caller
    assert machine
    token = await pair.two.cloud.token()
    listed = await pair.two.cloud.arm(
        "GET",
        "/providers/Microsoft.Authorization/roleAssignments",
        token=token,
        version="2022-04-01",
    )
    (held,) = [one for one in listed.json()["value"] if one["properties"]["principalId"] == pair.sender]
    await pair.two.cloud.arm("DELETE", held["id"], token=token, version="2022-04-01")
    async with asyncio.timeout(SOON):
        await sender.until_closed()


async def test_a_machine_that_is_removed_at_one_node_is_cut_off_at_the_other(pair):
    control = await pair.one.relay.listen(pair.path)
    await until(lambda: pair.two.presence.holder(pair.key))
    assert (await pair.two.cloud.arm("DELETE", pair.machine_id, version="2024-07-10")).status_code < 300
    async with asyncio.timeout(SOON):
        await control.until_closed()
    assert pair.one.presence.last_seen(pair.key) is None


async def test_the_channel_of_a_machines_old_key_ends_at_every_node(pair):
    control = await pair.one.relay.listen(pair.path)
    await until(lambda: pair.two.presence.holder(pair.key))
    csr = x509.CertificateSigningRequestBuilder().subject_name(distinguished_name("m"))
    signed = csr.sign(new_key(), hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
    message = agent_api.EnrollmentRequest(pair.machine_id, signed, "1").to_json()
    headers = {"authorization": f"Bearer {await pair.two.cloud.token()}"}
    answer = await pair.two.cloud.client.post(agent_api.RECONNECTS, json=message, headers=headers)
    assert answer.status_code == 201, answer.text
    async with asyncio.timeout(SOON):
        await control.until_closed()


async def told_the_facts(node, key):
    """Have a node remember that it holds the machine's facts."""
    facts = {"osName": "linux"}
    digest = agent_api.facts_digest(facts)
    await node.plane.db.write(
        lambda connection: machines.set_facts(connection, key, json.dumps(facts), digest)
    )
    beat = agent_api.Heartbeat(agentVersion="1", sequence=1, factsDigest=digest)
    assert not node.plane.fleet.beat(key, beat).factsWanted
    return beat


async def put_again(pair, node):
    body = {"location": "local", "identity": {"type": "SystemAssigned"}, "properties": {}}
    made = await node.cloud.arm("PUT", pair.machine_id, body, version="2024-07-10")
    assert made.json()["properties"]["status"] == "AwaitingConnection"


async def test_the_facts_of_a_machine_that_another_node_removed_are_wanted_again(pair):
    beat = await told_the_facts(pair.one, pair.key)
    await pair.two.cloud.arm("DELETE", pair.machine_id, version="2024-07-10")
    await until(lambda: pair.one.presence.last_seen(pair.key) is None)
    await put_again(pair, pair.two)
    assert pair.one.plane.fleet.beat(pair.key, beat).factsWanted


async def test_a_removal_whose_notice_was_missed_is_forgotten_in_full_too(pair, monkeypatch):
    beat = await told_the_facts(pair.one, pair.key)
    monkeypatch.setattr(pair.one.plane.node, "_removed", lambda machine_key, principal_id: None)
    await pair.two.cloud.arm("DELETE", pair.machine_id, version="2024-07-10")
    pair.one.plane.node._on_notice({"kind": notices.REREAD})
    await until(lambda: pair.one.presence.last_seen(pair.key) is None)
    await put_again(pair, pair.two)
    assert pair.one.plane.fleet.beat(pair.key, beat).factsWanted


async def test_a_node_that_stops_leaves_its_machines_to_the_other(pair):
    control = await pair.one.relay.listen(pair.path)
    await until(lambda: pair.two.presence.holder(pair.key))
    await pair.one.stop()
    assert control
    await until(lambda: pair.two.presence.holder(pair.key) is None)
    caller = pair.connecting(pair.two)  # held: the machine should come back soon
    await asyncio.sleep(0.1)
    again = await pair.two.relay.listen(pair.path)
    await pair.two.relay.dial((await pair.accepted(again))["address"])
    await caller
    assert await pair.status(pair.two) == "Connected"


async def test_a_node_that_no_longer_beats_is_buried_and_comes_back_if_it_lives(pair):
    await pair.one.relay.listen(pair.path)
    await until(lambda: pair.two.presence.holder(pair.key))
    with pair.two.plane.db.writing() as connection:
        nodes.bury(connection, lease=-1.0)
    await until(lambda: pair.two.presence.holder(pair.key) is None)
    await until(lambda: pair.two.presence.holder(pair.key), 5)  # it claims its machine
    await until(lambda: len(pair.two.plane.db.read(nodes.alive)) == 2, 5)


async def test_a_caller_waits_when_the_machine_is_no_longer_where_it_was(pair):
    control = await pair.one.relay.listen(pair.path)
    await until(lambda: pair.two.presence.holder(pair.key))
    control.drop()
    caller = pair.connecting(pair.two)
    again = await pair.two.relay.listen(pair.path)
    await pair.two.relay.dial((await pair.accepted(again))["address"])
    await caller


async def test_work_that_one_node_has_taken_reaches_a_machine_at_the_other(pair):
    control = await pair.one.relay.listen(pair.path)
    command = f"{pair.machine_id}/runCommands/hello"
    body = {"location": "local", "properties": {"source": {"script": "date"}}}
    made = await pair.two.cloud.arm("PUT", command, body, version="2024-07-10")
    assert made.status_code == 201
    async with asyncio.timeout(SOON):
        _, text = await control.message()
    assert json.loads(text)["heartbeatReply"]["workWanted"] is True


async def held_by(pair, node_id):
    """Have the table say that a node holds the machine, and wait until the second node knows."""
    now = time.time()
    row = Seen(pair.key, now, None, now, "1", node_id)
    await pair.two.plane.db.write(lambda connection: machines.save_seen(connection, [row]))
    await until(lambda: pair.two.presence.holder(pair.key) == node_id)


async def test_a_caller_whose_machine_left_a_dead_node_for_a_third_is_served(pair):
    await held_by(pair, "dead")
    caller = pair.connecting(pair.two)
    await until(lambda: pair.two.broker._pending)  # it was offered, and nobody will answer
    control = await pair.one.relay.listen(pair.path)
    async with asyncio.timeout(5):
        await pair.two.relay.dial((await pair.accepted(control))["address"])
        await caller


async def test_a_caller_whose_machine_was_at_a_dead_node_is_404_when_it_stays_away(pair):
    pair.two.broker.limits = Limits(hold=0.2)
    await held_by(pair, "dead")
    caller = pair.connecting(pair.two)
    await until(lambda: pair.two.broker._pending)
    await held_by(pair, None)
    with pytest.raises(rehearsal.Refused) as refused:
        async with asyncio.timeout(5):
            await caller
    assert refused.value.status == 404


async def test_a_node_that_could_not_beat_itself_buries_nobody(pair):
    def age(connection):
        connection.exec_driver_sql("UPDATE nodes SET beat_at = beat_at - 60 WHERE node_id = 'late'")

    await pair.two.plane.db.write(lambda connection: nodes.beat(connection, "late", "wss://late", 0.0))
    node = pair.one.plane.node
    node._beaten_at = node._beating_since = float("-inf")  # as after an outage
    await pair.two.plane.db.write(age)
    await node.beat()
    assert "late" in pair.one.plane.db.read(nodes.alive)
    node._beating_since -= LEASE
    await node.beat()
    assert "late" not in pair.one.plane.db.read(nodes.alive)


async def test_a_machine_that_stays_away_is_404_at_the_other_node(pair):
    pair.two.broker.limits = Limits(hold=0.2)
    control = await pair.one.relay.listen(pair.path)
    await until(lambda: pair.two.presence.holder(pair.key))
    control.drop()
    with pytest.raises(rehearsal.Refused) as refused:
        await pair.connecting(pair.two)
    assert refused.value.status == 404


async def test_what_happened_while_nothing_was_heard_is_read_again(pair, postgresql):
    control = await pair.one.relay.listen(pair.path)
    postgresql.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
    await pair.two.cloud.arm("DELETE", pair.machine_id, version="2024-07-10")
    async with asyncio.timeout(5):
        await control.until_closed()


async def test_a_machine_that_is_moved_at_one_node_goes_on_at_the_other(pair):
    control = await pair.one.relay.listen(pair.path)
    await until(lambda: pair.two.presence.holder(pair.key))
    target = f"{pair.one.cloud.subscription}/resourceGroups/elsewhere"
    await pair.two.cloud.arm("PUT", target, {"location": "local"})
    body = {"resources": [pair.machine_id], "targetResourceGroup": target}
    source = pair.machine_id.partition("/providers/")[0]
    moved = await pair.two.cloud.arm("POST", f"{source}/moveResources", body)
    assert moved.status_code == 202
    pair.machine_id = pair.machine_id.replace("/servers/", "/elsewhere/")
    for node in (pair.one, pair.two):
        await pair.until_status(node, "Connected")
    caller = pair.connecting(pair.two)
    accept = await pair.accepted(control)
    machine = await pair.two.relay.dial(accept["address"])
    sender = await caller
    await sender.send(b"there")
    assert await machine.message() == (2, b"there")
    control.drop()
    await until(lambda: pair.two.presence.holder(pair.machine_id.lower()) is None)
