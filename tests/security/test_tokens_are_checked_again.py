"""A token or SAS is checked again at each step to the data channel, and while it is open.

listCredentials -> connect -> accept at the machine -> rendezvous -> bytes: a right that is taken
away between any two of them ends the way there.
"""

from __future__ import annotations

import asyncio
import json
import uuid

import pytest
from relay_rehearsal import Refused

from landbridge_server.identity import directory
from landbridge_server.relay import sas
from landbridge_server.store import groups, principals, role_assignments
from landbridge_server.store.groups import Group

ROLE = "Virtual Machine Local User Login"
ENDPOINT = "providers/Microsoft.HybridConnectivity/endpoints/default"


class Way:
    """A machine with its channel, and a user who may reach it."""

    def __init__(self, cloud, machine, object_id, token):
        self.cloud, self.machine, self.object_id, self.token = cloud, machine, object_id, token

    async def lose(self, how):
        db, now = self.cloud.plane.plane.db, self.cloud.plane.plane.clock()
        work = {
            "role": lambda connection: role_assignments.remove_of_principal(connection, self.object_id),
            "disabled": lambda connection: directory.set_enabled(connection, self.object_id, False, now),
            "deleted": lambda connection: directory.delete_principal(connection, self.object_id),
            "group": lambda connection: groups.remove_member(connection, self.inner, self.object_id),
        }[how]
        await db.write(work)

    async def by_groups(self):
        """Hold the role by a group in a group from now on, and no longer by oneself."""
        outer, self.inner = str(uuid.uuid4()), str(uuid.uuid4())
        plane, tenant = self.cloud.plane.plane, self.cloud.admin["tenantId"]
        with plane.db.writing() as connection:
            for object_id in (outer, self.inner):
                groups.add(connection, Group(object_id, tenant, object_id, object_id, object_id, "{}", 0.0))
            groups.add_member(connection, outer, self.inner)
            groups.add_member(connection, self.inner, self.object_id)
            role_assignments.remove_of_principal(connection, self.object_id)
            plane.assign_role(connection, outer, "Group", ROLE, self.machine.id)

    async def credentials(self):
        path = f"{self.machine.id}/{ENDPOINT}/listCredentials"
        return await self.cloud.arm("POST", path, {}, self.token)

    async def key(self):
        answer = await self.credentials()
        assert answer.status_code == 200, answer.text
        return answer.json()["relay"]["accessKey"]

    async def call(self, key):
        """Dial as the user; return the dial and the address that the machine is told."""
        dialling = asyncio.ensure_future(self.cloud.relay.connect(self.machine.path, key))
        message = json.loads((await self.channel.message())[1])["accept"]
        return dialling, message["address"]


@pytest.fixture
async def way(cloud, request):
    machine = await cloud.machine()
    made = Way(cloud, machine, *await cloud.principal("user", ROLE))
    if "how" in request.fixturenames and request.getfixturevalue("how") == "group":
        await made.by_groups()
    made.channel = await machine.listen()
    return made


LOSSES = ["role", "disabled", "deleted", "group"]


@pytest.mark.parametrize("how", LOSSES)
async def test_no_credentials_are_given_once_the_right_is_gone(way, how):
    assert (await way.credentials()).status_code == 200
    await way.lose(how)
    assert (await way.credentials()).status_code == (403 if how in ("role", "group") else 401)


@pytest.mark.parametrize("how", LOSSES)
async def test_credentials_of_before_open_nothing_once_the_right_is_gone(way, how):
    key = await way.key()
    await way.lose(how)
    with pytest.raises(Refused, match=r"403 Unauthorized access\. 'Send'"):
        await way.cloud.relay.connect(way.machine.path, key)


@pytest.mark.parametrize("how", LOSSES)
async def test_who_waits_for_the_machine_to_accept_is_refused_once_the_right_is_gone(way, how):
    dialling, address = await way.call(await way.key())
    await way.lose(how)
    with pytest.raises(Refused, match="403"):
        await asyncio.wait_for(dialling, 10)
    with pytest.raises(Refused, match="404"):  # the machine comes too late: the address is void
        await way.cloud.relay.dial(address)


@pytest.mark.parametrize("how", LOSSES)
async def test_an_open_channel_ends_within_seconds_once_the_right_is_gone(way, how):
    dialling, address = await way.call(await way.key())
    machine = await way.cloud.relay.dial(address)
    sender = await dialling
    await sender.send(b"before")
    assert await machine.receive_bytes(6) == b"before"
    await way.lose(how)
    assert (await asyncio.wait_for(sender.until_closed(), 10))[0] == 1008
    assert (await asyncio.wait_for(machine.until_closed(), 10))[0] == 1001


async def test_a_rendezvous_address_works_once_and_only_for_its_own_machine(way):
    other = await way.cloud.machine("web2")
    dialling, address = await way.call(await way.key())
    with pytest.raises(Refused, match="404"):
        await way.cloud.relay.dial(address.replace(way.machine.path, other.path))
    await way.cloud.relay.dial(address)
    await dialling
    with pytest.raises(Refused, match="404"):
        await way.cloud.relay.dial(address)


async def test_a_key_for_one_machine_opens_no_other(way):
    other = await way.cloud.machine("web2")
    await other.listen()
    with pytest.raises(Refused, match="401 InvalidSignature"):
        await way.cloud.relay.connect(other.path, await way.key())


async def test_a_key_cannot_be_made_anybody_elses_or_longer_lived(way):
    key = await way.key()
    for changed in (
        key.replace(way.object_id, way.machine.enrollment.principalId),
        key.replace("se=1", "se=2"),
        key.replace("send.", "listen."),
        key + "&skn=listen",
    ):
        if changed == key + "&skn=listen":  # of two parameters the first counts
            (await way.call(changed))[0].cancel()
            continue
        with pytest.raises(Refused, match="401"):
            await way.cloud.relay.connect(way.machine.path, changed)


async def test_a_send_key_does_not_listen_and_a_listen_key_does_not_send(way):
    with pytest.raises(Refused, match="403"):
        await way.cloud.relay.listen(way.machine.path, await way.key())
    with pytest.raises(Refused, match="403"):
        await way.cloud.relay.connect(way.machine.path, await way.machine.session())


async def test_an_expired_key_opens_nothing(way):
    relay = way.cloud.plane.plane.relay
    expired = relay.send_credentials(way.machine.path, way.object_id, -1, way.cloud.plane.plane.clock())
    with pytest.raises(Refused, match="401 ExpiredToken"):
        await way.cloud.relay.connect(way.machine.path, expired.access_key)
    assert sas.parse(expired.access_key).rule == f"send.{way.object_id}"


async def test_a_removed_machine_loses_its_channel_and_cannot_come_back(way):
    key = await way.machine.session()
    assert (await way.cloud.arm("DELETE", way.machine.id)).status_code in (200, 204)
    assert (await asyncio.wait_for(way.channel.until_closed(), 10))[0] == 1001
    with pytest.raises(Refused, match="404"):
        await way.cloud.relay.listen(way.machine.path, key)
    with pytest.raises(Refused, match="404"):
        await way.cloud.relay.connect(way.machine.path, await _old_key(way))


async def _old_key(way):
    relay = way.cloud.plane.plane.relay
    now = way.cloud.plane.plane.clock()
    return relay.send_credentials(way.machine.path, way.object_id, 600, now).access_key


async def test_a_machine_whose_identity_is_disabled_cannot_listen(way):
    key, db = await way.machine.session(), way.cloud.plane.plane.db
    identity = way.machine.enrollment.principalId
    await db.write(lambda connection: directory.set_enabled(connection, identity, False, 0.0))
    with pytest.raises(Refused, match="404"):
        await way.cloud.relay.listen(way.machine.path, key)
    assert not db.read(lambda connection: principals.get(connection, identity)).enabled
