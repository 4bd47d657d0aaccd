"""``azcmagent genkey`` and ``connect existing``: the resource comes first, no credential is here."""

from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from landbridge_agent.machine import Machine
from landbridge_wire import agent_api

SUBSCRIPTION = "22222222-2222-4222-8222-222222222222"
ID = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.HybridCompute/machines/m1"
WHERE = ("-s", SUBSCRIPTION, "-g", "rg", "-n", "m1", "-l", "local")


async def existing(cloud, azcmagent, *more):
    return await azcmagent(
        "connect", "existing", "--cloud", cloud.url, "--ca-file", str(cloud.ca_file), *WHERE, *more
    )


async def test_genkey_prints_the_public_half_and_keeps_the_private_one(azcmagent):
    ran = await azcmagent("genkey")
    assert ran.code == 0, ran.err
    public = load_der_public_key(base64.b64decode(ran.out.strip()))
    assert isinstance(public, rsa.RSAPublicKey) and public.key_size == 2048
    assert ran.out.startswith("MIIBCgK")
    assert azcmagent.paths.onboarding_key.stat().st_mode & 0o777 == 0o600


async def test_the_machine_becomes_the_resource_without_a_token(cloud, azcmagent):
    cloud.machines[ID] = {"properties": {"vmId": "v"}}
    async with cloud.serving():
        await azcmagent("genkey")
        ran = await existing(cloud, azcmagent)
    assert ran.code == 0, ran.err
    assert [asked.path for asked in cloud.asked if asked.headers.get("authorization")] == []
    assert len(cloud.said("POST", agent_api.REJOINS)) == 1
    config = Machine(azcmagent.paths).config()
    assert config is not None and config.resourceId == ID and config.vmId == "v"
    assert not azcmagent.paths.onboarding_key.exists()


async def test_a_key_may_be_given_on_the_command_line(cloud, azcmagent):
    cloud.machines[ID] = {"properties": {"vmId": "v"}}
    await azcmagent("genkey")
    key = Machine(azcmagent.paths).onboarding_key()
    azcmagent.paths.onboarding_key.unlink()
    async with cloud.serving():
        ran = await existing(cloud, azcmagent, "--private-key", key, "--vmid", "v")
        again = await existing(cloud, azcmagent)
    assert ran.code == 0, ran.err
    assert again.code == 0 and "already connected" in again.out


async def test_without_a_key_genkey_is_named(cloud, azcmagent):
    async with cloud.serving():
        ran = await existing(cloud, azcmagent)
    assert ran.code == 104
    assert "azcmagent genkey" in ran.err


@pytest.mark.parametrize("key", ["!", "AAAA", "-----BEGIN PRIVATE KEY-----"])
async def test_what_is_no_key_is_refused(cloud, azcmagent, key):
    async with cloud.serving():
        ran = await existing(cloud, azcmagent, "--private-key", key)
    assert ran.code == 104


async def test_a_resource_with_another_key_stays_as_it_is(cloud, azcmagent):
    answer = {"error": {"code": "AuthenticationFailed", "message": "no machine of that id has this key."}}
    cloud.answers[("POST", agent_api.REJOINS)] = (401, answer)
    async with cloud.serving():
        await azcmagent("genkey")
        ran = await existing(cloud, azcmagent, "--json")
    assert ran.code == 81
    assert json.loads(ran.out)["errorCode"] == "AZCM0081"
    assert Machine(azcmagent.paths).config() is None
    assert azcmagent.paths.onboarding_key.exists()
