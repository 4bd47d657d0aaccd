"""``himdsd`` as a process of its own, against a small real cloud over TLS."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
from pathlib import Path
from typing import ClassVar

import pytest

from landbridge_agent.local_socket import STATUS, NotAnswering, ask
from landbridge_wire.websocket import BINARY, CLOSE, Control, FrameReader, Piece, encode

SETTLE = 20.0
MIB = 1024 * 1024


@contextlib.asynccontextmanager
async def himdsd(paths):
    environment = {**os.environ, "LANDBRIDGE_AGENT_ROOT": str(paths.root)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-m", "landbridge_agent.daemon.main", "-v",
        env=environment,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        process._transport.close()


async def until(condition, seconds=SETTLE):
    """Wait until ``condition()`` is true; fail after ``seconds``."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


async def text(cloud, name, seconds=SETTLE):
    """Return the next control message of a kind."""
    async with asyncio.timeout(seconds):
        while True:
            message = await cloud.texts.get()
            if name in message:
                return message[name]


def status(paths):
    try:
        return ask(paths.socket, STATUS)
    except NotAnswering:
        return {}


async def shown(paths, wanted, seconds=SETTLE):
    async with asyncio.timeout(seconds):
        while (await asyncio.to_thread(status, paths)).get("status") != wanted:
            await asyncio.sleep(0.05)


def resident_mib(process):
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
    return int(found.group(1)) / 1024


async def test_a_connected_machine_listens_beats_and_reports_its_facts(cloud, azcmagent):
    async with cloud.serving():
        await azcmagent.connect()
        async with himdsd(azcmagent.paths) as process:
            beat = await text(cloud, "heartbeat")
            assert beat["sequence"] == 1 and beat["agentVersion"].count(".") == 3
            await until(lambda: cloud.facts is not None)
            await shown(azcmagent.paths, "Connected")
            ran = await azcmagent("show", "status", "lastHeartbeat")
            assert "Agent Status                            : Connected" in ran.out
            assert resident_mib(process) <= 32
    assert cloud.facts["osType"] == "linux"
    assert all(isinstance(value, str) for value in cloud.facts["detectedProperties"].values())


async def test_a_machine_that_connects_later_is_noticed_at_once(cloud, azcmagent):
    async with cloud.serving(), himdsd(azcmagent.paths):
        await until(lambda: azcmagent.paths.socket.exists())
        ran = await azcmagent.connect()
        assert ran.err == ""
        assert await text(cloud, "heartbeat", 4.0)


async def test_sigterm_closes_the_channel_cleanly(cloud, azcmagent):
    async with cloud.serving():
        await azcmagent.connect()
        async with himdsd(azcmagent.paths) as process:
            await text(cloud, "heartbeat")
            process.terminate()
            assert await text(cloud, "close") == 1001
            assert await asyncio.wait_for(process.wait(), SETTLE) == 0
    assert not azcmagent.paths.socket.exists()
    ran = await azcmagent("show", "status")
    assert "Disconnected" in ran.out


async def test_a_killed_daemon_is_back_after_its_start(cloud, azcmagent):
    async with cloud.serving():
        await azcmagent.connect()
        async with himdsd(azcmagent.paths) as process:
            await text(cloud, "heartbeat")
            process.kill()
            await process.wait()
        assert (await azcmagent("show", "status")).out.endswith("Disconnected\n")
        async with himdsd(azcmagent.paths):
            assert await text(cloud, "heartbeat")


async def test_a_control_plane_that_comes_back_is_found_within_ten_seconds(cloud, azcmagent):
    async with cloud.serving() as url:
        await azcmagent.connect()
        port = int(url.rpartition(":")[2])
        running = contextlib.AsyncExitStack()
        await running.enter_async_context(himdsd(azcmagent.paths))
        await text(cloud, "heartbeat")
    async with running:
        await shown(azcmagent.paths, "Disconnected")
        await asyncio.sleep(3)
        async with cloud.serving(port):
            assert await text(cloud, "heartbeat", 10.0)


async def test_without_the_relay_the_heartbeat_goes_over_https(cloud, azcmagent):
    cloud.relay_open = False
    async with cloud.serving():
        await azcmagent.connect()
        async with himdsd(azcmagent.paths):
            await until(lambda: cloud.said("POST", "/agent/v1/heartbeat"))


async def test_disconnect_ends_the_channel(cloud, azcmagent):
    async with cloud.serving():
        await azcmagent.connect()
        async with himdsd(azcmagent.paths):
            await text(cloud, "heartbeat")
            ran = await azcmagent("disconnect", "-i", "x", "-p", "s3cret")
            assert ran.code == 0, ran.err
            assert await text(cloud, "close") == 1001
            assert cloud.machines == {}


async def test_a_second_daemon_on_the_same_state_refuses_to_start(cloud, azcmagent):
    async with himdsd(azcmagent.paths) as first:
        await until(lambda: azcmagent.paths.socket.exists())
        async with himdsd(azcmagent.paths) as second:
            assert await asyncio.wait_for(second.wait(), SETTLE) == 1
        assert first.returncode is None


async def test_a_certificate_past_half_its_life_is_renewed(cloud, azcmagent):
    cloud.certificate_days, cloud.certificate_age = 44.0, 46.0
    async with cloud.serving():
        await azcmagent.connect()
        before = azcmagent.paths.identity.read_bytes()
        cloud.certificate_days, cloud.certificate_age = 90.0, 0.01
        async with himdsd(azcmagent.paths):
            await until(lambda: azcmagent.paths.identity.read_bytes() != before)
            assert await text(cloud, "heartbeat")
    assert len(cloud.said("POST", "/agent/v1/certificates")) == 1
    key = b"-----END PRIVATE KEY-----"
    assert before.split(key)[0] != azcmagent.paths.identity.read_bytes().split(key)[0]


async def test_settings_reach_the_cloud_without_a_restart(cloud, azcmagent):
    async with cloud.serving():
        await azcmagent.connect()
        async with himdsd(azcmagent.paths):
            await until(lambda: cloud.facts is not None)
            await azcmagent("config", "set", "incomingconnections.ports", "2222")
            wanted = ["2222"]
            await until(lambda: cloud.facts["agentConfiguration"]["incomingConnectionsPorts"] == wanted)


# -- sessions ------------------------------------------------------------------------------


class Echo(asyncio.Protocol):
    """Says hello, then echoes; ends after ``bye``."""

    made: ClassVar = []

    def connection_made(self, transport):
        self.transport = transport
        self.made.append(transport)
        transport.write(b"hello")

    def data_received(self, data):
        self.transport.write(data)
        if data.endswith(b"bye"):
            self.transport.close()


@contextlib.asynccontextmanager
async def echo_port():
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await turns()  # who looks for host keys may just have been accepted
        for transport in Echo.made:
            transport.abort()
        Echo.made.clear()
        await turns()


async def turns():
    """Let the loop do what is due, however late it is: a time would end at once where it is late."""
    for _ in range(50):
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def listening(cloud, azcmagent):
    async with cloud.serving():
        await azcmagent.connect()
        async with himdsd(azcmagent.paths):
            await text(cloud, "heartbeat")
            yield


async def arrival(cloud):
    return await asyncio.wait_for(cloud.rendezvous.get(), SETTLE)


async def received(reader, frames, enough):
    """Return data and close code that came until ``enough(data)``."""
    data, code = bytearray(), None
    async with asyncio.timeout(SETTLE * 3):
        while code is None and not enough(data) and (chunk := await reader.read(1 << 18)):
            for event in frames.feed(chunk):
                if isinstance(event, Piece):
                    data += event.data
                elif isinstance(event, Control) and event.opcode == CLOSE:
                    code = int.from_bytes(event.payload[:2], "big")
    return bytes(data), code


async def test_a_session_is_spliced_to_the_allowed_port(cloud, azcmagent):
    async with listening(cloud, azcmagent), echo_port() as port:
        await azcmagent("config", "set", "incomingconnections.ports", str(port))
        cloud.invite({"Microsoft-Guestgateway-Target": f"localhost:{port}"})
        target, reader, writer = await arrival(cloud)
        assert "sb-hc-statusCode" not in target
        writer.write(encode(BINARY, b"over the relay, bye"))
        data, code = await received(reader, FrameReader(masked=True), lambda data: False)
        assert data == b"helloover the relay, bye"
        assert code == 1000


async def test_bulk_data_survives_back_pressure_in_both_directions(cloud, azcmagent):
    block = os.urandom(1 << 16)
    async with listening(cloud, azcmagent), echo_port() as port:
        await azcmagent("config", "set", "incomingconnections.ports", str(port))
        cloud.invite({"Microsoft-Guestgateway-Target": f"localhost:{port}"})
        _, reader, writer = await arrival(cloud)
        count = 16 * MIB // len(block)

        async def send():
            for _ in range(count):
                writer.write(encode(BINARY, block))
                await writer.drain()

        sending = asyncio.ensure_future(send())
        await asyncio.sleep(1.0)  # nobody reads: everything must stand still, and nothing get lost
        data, _ = await received(reader, FrameReader(masked=True), lambda data: len(data) >= 5 + 16 * MIB)
        await sending
        assert data == b"hello" + block * count


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"Microsoft-Guestgateway-Target": "localhost:2222"}, "incomingconnections.ports%202222"),
        ({}, "Port%2022%20is%20not%20allowed"),
        ({"Microsoft-Guestgateway-Target": "10.0.0.1:22"}, "connects%20to%20itself%20only"),
    ],
)
async def test_a_sender_that_is_not_allowed_is_told_why(cloud, azcmagent, headers, words):
    async with listening(cloud, azcmagent):
        cloud.invite(headers)
        target, _, _ = await arrival(cloud)
        assert "sb-hc-statusCode=403" in target and words in target


async def test_a_closed_port_is_told_to_the_sender(cloud, azcmagent, closed_port):
    async with listening(cloud, azcmagent):
        await azcmagent("config", "set", "incomingconnections.ports", str(closed_port))
        cloud.invite({"Microsoft-Guestgateway-Target": f"localhost:{closed_port}"})
        target, _, _ = await arrival(cloud)
        assert "sb-hc-statusCode=502" in target and "refused%20the%20connection" in target


async def test_switching_off_works_without_a_restart(cloud, azcmagent, make_service_token):
    async with listening(cloud, azcmagent), echo_port() as port:
        token = make_service_token({"aud": "machine", "port": port, "exp": 9_999_999_999})
        headers = {
            "Microsoft-Guestgateway-Target": f"localhost:{port}", "Service-Configuration-Token": token
        }  # fmt: skip
        cloud.invite(headers)
        target, reader, _ = await arrival(cloud)
        data, _ = await received(reader, FrameReader(masked=True), lambda data: data == b"hello")
        assert "statusCode" not in target and data == b"hello"
        await azcmagent("config", "set", "incomingconnections.enabled", "false")
        cloud.invite(headers)
        target, _, _ = await arrival(cloud)
        assert "sb-hc-statusCode=403" in target and "incomingconnections.enabled" in target
