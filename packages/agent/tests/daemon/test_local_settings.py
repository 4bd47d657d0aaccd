"""A running daemon follows the local configuration; a damaged state allows nothing and is explained."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path

from landbridge_agent.local_socket import RELOAD, STATUS, NotAnswering, ask

SETTLE = 25.0


@contextlib.asynccontextmanager
async def himdsd(paths):
    environment = {**os.environ, "LANDBRIDGE_AGENT_ROOT": str(paths.root)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-m", "landbridge_agent.daemon.main", "-v", env=environment
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        process._transport.close()


async def until(condition):
    async with asyncio.timeout(SETTLE):
        while not condition():
            await asyncio.sleep(0.02)


def status(paths):
    try:
        return ask(paths.socket, STATUS)
    except NotAnswering:
        return {}


async def shown(paths, member, wanted):
    """Wait until a member of the daemon's status holds a text; return the status."""
    async with asyncio.timeout(SETTLE):
        while wanted not in str((found := await asyncio.to_thread(status, paths)).get(member, "")):
            await asyncio.sleep(0.05)
    return found


def reported(cloud):
    return cloud.facts["agentConfiguration"] if cloud.facts else {}


async def test_every_setting_reaches_the_cloud_without_a_restart(cloud, azcmagent):
    async with cloud.serving():
        await azcmagent.connect()
        async with himdsd(azcmagent.paths):
            await until(lambda: cloud.facts is not None)
            for name, value, member, shown_as in (
                ("extensions.blocklist", "A.B/C", "extensionsBlockList", [{"publisher": "A.B", "type": "C"}]),
                ("extensions.enabled", "false", "extensionsEnabled", "false"),
                ("guestconfiguration.enabled", "false", "guestConfigurationEnabled", "false"),
                ("proxy.bypass", "Arc,.corp", "proxyBypass", ["Arc", ".corp"]),
                ("config.mode", "monitor", "configMode", "monitor"),
            ):
                ran = await azcmagent("config", "set", name, value)
                assert ran.code == 0, ran.err
                await until(lambda member=member, wanted=shown_as: reported(cloud).get(member) == wanted)
            assert reported(cloud)["incomingConnectionsEnabled"] == "false"
            assert len(reported(cloud)["extensionsAllowList"]) > 3


async def test_the_mode_monitor_lets_no_session_in(cloud, azcmagent):
    async with cloud.serving():
        await azcmagent.connect()
        await azcmagent("config", "set", "incomingconnections.ports", "22")
        async with himdsd(azcmagent.paths):
            await until(lambda: cloud.channels)
            await azcmagent("config", "set", "config.mode", "monitor")
            cloud.invite({"Microsoft-Guestgateway-Target": "localhost:22"})
            target, _, _ = await asyncio.wait_for(cloud.rendezvous.get(), SETTLE)
            assert "sb-hc-statusCode=403" in target


async def test_a_damaged_configuration_allows_nothing_until_it_is_repaired(cloud, azcmagent):
    async with cloud.serving():
        await azcmagent.connect()
        async with himdsd(azcmagent.paths):
            await until(lambda: cloud.channels and cloud.facts)
            azcmagent.paths.local_config.write_text('{"extensions.enabled": tru')
            await asyncio.to_thread(
                ask, azcmagent.paths.socket, RELOAD
            )  # an editor does not; within seconds it is seen all the same
            await until(lambda: reported(cloud)["extensionsEnabled"] == "false")
            assert reported(cloud)["incomingConnectionsEnabled"] == "false"
            cloud.invite({"Microsoft-Guestgateway-Target": "localhost:22"})
            target, _, _ = await asyncio.wait_for(cloud.rendezvous.get(), SETTLE)
            assert "sb-hc-statusCode=403" in target and "damaged" in target
            azcmagent.paths.local_config.write_text("{}")
            await asyncio.to_thread(ask, azcmagent.paths.socket, RELOAD)
            await until(lambda: reported(cloud)["extensionsEnabled"] == "true")


def token(url):
    """Ask for a token as a script does; return status and text."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    where = f"{url}/metadata/identity/oauth2/token?api-version=2020-06-01&resource=x"

    def get(**headers):
        request = urllib.request.Request(where, headers={"Metadata": "true", **headers})
        try:
            with opener.open(request, timeout=30) as reply:
                return reply.status, reply.read().decode(), reply.headers
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode(), error.headers

    _, _, headers = get()
    key = Path(headers["Www-Authenticate"].partition("=")[2]).read_text()
    return get(Authorization=f"Basic {key}")[:2]


async def test_half_a_certificate_on_disk_is_explained(cloud, azcmagent):
    async with cloud.serving():
        await azcmagent.connect()
        whole = azcmagent.paths.identity.read_bytes()
        azcmagent.paths.identity.write_bytes(whole[: len(whole) // 3])
        async with himdsd(azcmagent.paths) as process:
            found = await shown(azcmagent.paths, "errorDetails", "cannot sign")
            assert "The certificate cannot be read" in found["errorDetails"]
            code, text = await asyncio.to_thread(token, found["identityEndpoint"])
            assert code == 400 and "cannot sign" in text
            assert process.returncode is None
            azcmagent.paths.identity.write_bytes(whole)
            await shown(azcmagent.paths, "status", "Connected")


async def test_a_state_folder_that_is_no_folder_is_named_at_the_start(azcmagent):
    azcmagent.paths.state.parent.mkdir(parents=True)
    azcmagent.paths.state.write_text("a file")
    environment = {**os.environ, "LANDBRIDGE_AGENT_ROOT": str(azcmagent.paths.root)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-m", "landbridge_agent.daemon.main",
        env=environment, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, said = await asyncio.wait_for(process.communicate(), SETTLE)
    assert process.returncode == 1
    assert str(azcmagent.paths.state) in said.decode() and "Traceback" not in said.decode()
