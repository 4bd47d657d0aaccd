"""``azcmagent reconnect``: by the machine's own key first, then by a sign-in."""

from __future__ import annotations

import base64
import json

import pytest

from landbridge_agent.machine import Machine
from landbridge_wire import agent_api

REFUSED = {"error": {"code": "AuthenticationFailed", "message": "The certificate ended 400 days ago."}}
FORBIDDEN = {"error": {"code": "AuthorizationFailed", "message": "The client 'x' may not."}}


def claims_of(proof: str) -> dict:
    part = proof.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


async def test_the_old_key_brings_a_new_one_without_a_sign_in(cloud, azcmagent):
    async with cloud.serving():
        await azcmagent.connect()
        before = Machine(azcmagent.paths).identity()
        cloud.certificate_days, cloud.certificate_age = 90, 0.01
        ran = await azcmagent("reconnect")
    assert ran.code == 0, ran.err
    asked = cloud.said("POST", agent_api.REJOINS)[0]
    assert "authorization" not in asked.headers
    claims = claims_of(asked.json()["proof"])
    assert claims["iss"] == asked.json()["resourceId"] and claims["aud"] == cloud.url
    after = Machine(azcmagent.paths).identity()
    assert after is not None and after != before
    assert cloud.said("POST", agent_api.RECONNECTS) == []


async def test_a_refused_key_needs_a_sign_in(cloud, azcmagent):
    async with cloud.serving():
        await azcmagent.connect()
        cloud.answers[("POST", agent_api.REJOINS)] = (401, REFUSED)
        ran = await azcmagent("reconnect", "-i", "id", "-p", "s3cret")
    assert ran.code == 0, ran.err
    assert len(cloud.said("POST", agent_api.RECONNECTS)) == 1


async def test_a_lost_identity_is_replaced_after_a_sign_in(cloud, azcmagent):
    async with cloud.serving():
        await azcmagent.connect()
        azcmagent.paths.identity.unlink()
        ran = await azcmagent("reconnect", "-i", "id", "-p", "s3cret")
    assert ran.code == 0, ran.err
    assert azcmagent.paths.identity.exists()


async def test_half_a_certificate_on_disk_is_repaired(cloud, azcmagent):
    async with cloud.serving():
        await azcmagent.connect()
        identity = azcmagent.paths.identity
        identity.write_bytes(identity.read_bytes()[: -len(identity.read_bytes()) // 2])
        ran = await azcmagent("reconnect", "--access-token", "token")
    assert ran.code == 0, ran.err


async def test_a_caller_who_may_not_changes_nothing(cloud, azcmagent):
    async with cloud.serving():
        await azcmagent.connect()
        before = Machine(azcmagent.paths).identity()
        cloud.answers[("POST", agent_api.RECONNECTS)] = (403, FORBIDDEN)
        ran = await azcmagent("reconnect", "--access-token", "token")
    assert ran.code == 45
    assert "Resource Administrator" in ran.err
    assert Machine(azcmagent.paths).identity() == before


async def test_after_a_disconnect_connect_is_what_helps(azcmagent):
    ran = await azcmagent("reconnect")
    assert ran.code == 65
    assert "azcmagent connect" in ran.err


@pytest.mark.parametrize(("flag", "value"), [("-g", "other"), ("-n", "other"), ("-s", "x"), ("-l", "other")])
async def test_flags_that_name_another_resource_are_refused(cloud, azcmagent, flag, value):
    async with cloud.serving():
        await azcmagent.connect()
        ran = await azcmagent("reconnect", flag, value)
    assert ran.code == 23
