"""A machine's life, told by both sides: the agent's processes and the control plane's ARM."""

from __future__ import annotations

import asyncio
import re
import signal

from landbridge_agent.keys import certificate_request, leaf, public_key
from landbridge_agent.machine import Machine

ONBOARDING = "Azure Connected Machine Onboarding"


async def test_a_connected_machine_shows_its_facts_in_arm(agent):
    ran = await agent.connect()
    assert ran.code == 0, ran.err
    async with agent.himdsd():
        await agent.until("Connected")
        async with asyncio.timeout(20):
            while "detectedProperties" not in (await agent.resource()).json()["properties"]:
                await asyncio.sleep(0.1)
        properties = (await agent.resource()).json()["properties"]
        assert properties["agentVersion"] == (await agent.show())["agentVersion"]
        assert properties["agentConfiguration"]["incomingConnectionsPorts"] == []
        assert (await agent.show())["status"] == "Connected"


async def test_a_stopped_daemon_is_seen_within_seconds(agent):
    await agent.connect()
    async with agent.himdsd() as process:
        await agent.until("Connected")
        process.terminate()
        assert await process.wait() == 0
        await agent.until("Disconnected")


async def test_a_killed_daemon_is_connected_again_within_ten_seconds(agent):
    await agent.connect()
    async with agent.himdsd() as process:
        await agent.until("Connected")
        process.kill()
        await process.wait()
    async with agent.himdsd():
        async with asyncio.timeout(10):
            while (await agent.show())["status"] != "Connected":
                await asyncio.sleep(0.1)
        await agent.until("Connected")


async def test_a_name_that_is_taken_stays_its_owners(agent, other_agent):
    assert (await agent.connect()).code == 0
    before = (await agent.resource()).json()
    ran = await other_agent.connect()
    assert ran.code == 44, ran.err
    assert (await agent.resource()).json()["properties"]["vmId"] == before["properties"]["vmId"]
    assert other_agent.leftovers() == []


async def test_a_wrong_secret_leaves_nothing_on_either_side(agent):
    ran = await agent.connect("-i", agent.cloud.admin["clientId"], "-p", "wrong")
    assert ran.code == 41, ran.err
    assert agent.leftovers() == []
    assert (await agent.resource()).status_code == 404


async def test_a_principal_without_rights_is_told_which_are_missing(agent):
    _, client, secret = agent.cloud.create_service_principal("nobody")
    ran = await agent.connect("-i", client, "-p", secret)
    assert ran.code == 42, ran.err
    assert "AuthorizationFailed" in ran.err and "Onboarding" in ran.err
    assert agent.leftovers() == []


async def test_onboarding_may_connect_but_not_disconnect(agent):
    group = f"{agent.cloud.subscription}/resourceGroups/machines"
    assert (await agent.cloud.arm("PUT", group, {"location": "local"})).status_code == 201
    _, client, secret = agent.cloud.create_service_principal("onboarder", ONBOARDING, group)
    ran = await agent.connect("-i", client, "-p", secret)
    assert ran.code == 0, ran.err
    refused = await agent.run("disconnect", "-i", client, "-p", secret)
    assert refused.code == 43, refused.err
    assert "Azure Connected Machine Resource Administrator" in refused.err
    assert (await agent.resource()).status_code == 200


async def test_a_connect_killed_at_any_moment_can_be_repeated(agent):
    for moment in ("pending.json", "PUT", "later"):
        process = await agent.start(*agent.connecting())
        async with asyncio.timeout(20):
            while not agent.paths.pending.exists() and process.returncode is None:
                await asyncio.sleep(0.001)
            while moment != "pending.json" and (await agent.resource()).status_code == 404:
                await asyncio.sleep(0.001)
            if moment == "later":
                await asyncio.sleep(0.02)
        if process.returncode is None:
            process.kill()
        await process.communicate()
        if agent.paths.agent_config.exists():
            break  # it was faster than the kill
    ran = await agent.connect()
    assert ran.code in (0, 67), ran.err
    config = Machine(agent.paths).config()
    assert config is not None
    assert config.vmId == (await agent.resource()).json()["properties"]["vmId"]
    async with agent.himdsd():
        await agent.until("Connected")


async def test_a_machine_deleted_in_the_cloud_is_explained_here(agent):
    await agent.connect()
    async with agent.himdsd():
        await agent.until("Connected")
        assert (await agent.cloud.arm("DELETE", agent.id, version="2024-07-10")).status_code in (
            200,
            202,
            204,
        )
        async with asyncio.timeout(20):
            while "refused" not in (shown := await agent.show())["agentErrorDetails"]:
                await asyncio.sleep(0.1)
        assert shown["status"] == "Disconnected"
        ran = await agent.run("disconnect", "--force-local-only")
        assert ran.code == 0
        assert (await agent.connect()).code == 0
        await agent.until("Connected")


async def test_a_device_code_names_the_page_and_ctrl_c_leaves_nothing(agent):
    process = await agent.start(*agent.connecting("--use-device-code"))
    line = b""
    async with asyncio.timeout(20):
        while b"enter the code" not in line:
            line = await process.stdout.readline()
            assert line, (await process.stderr.read()).decode()
    assert re.search(rb"https://\S+ and enter the code \S+", line)
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    assert process.returncode == 11 and b"AZCM0011" in err
    assert agent.leftovers() == []


async def test_renewal_gives_a_certificate_for_the_new_key(agent):
    await agent.connect()
    config = Machine(agent.paths).config()
    identity = Machine(agent.paths).identity()
    from landbridge_agent.daemon.control_plane import ControlPlane
    from landbridge_agent.dial import Dialer, trust
    from landbridge_agent.https import Client
    from landbridge_agent.keys import new_private_key

    client = Client(Dialer(trust(config.caFile)), "test")
    loop = asyncio.get_running_loop()
    api = ControlPlane(client, config, str(agent.paths.identity), loop.time)
    key = new_private_key()
    chain = await api.renew(certificate_request(key, config.clientId))
    assert leaf(chain).serial_number != leaf(identity).serial_number
    assert public_key(key) != public_key(identity.decode())
    Machine(agent.paths).replace_identity(key, chain)
    fresh = ControlPlane(client, config, str(agent.paths.identity), loop.time)
    assert (await fresh.session()).resourceId == config.resourceId
