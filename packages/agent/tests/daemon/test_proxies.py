"""Everything that the agent sends goes through the proxy, a real one; its password shows up nowhere.

The cloud's name resolves for the proxy alone: what would go past it reaches nothing.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import sys
from pathlib import Path

import pytest

from landbridge_agent.local_socket import STATUS, NotAnswering, ask
from landbridge_wire.websocket import BINARY, FrameReader, Piece, encode

SETTLE = 25.0
PASSWORD = "pa:ss@word"
CREDENTIALS = "Basic " + base64.b64encode(f"user:{PASSWORD}".encode()).decode()


class ConnectProxy:
    """An HTTP proxy that takes CONNECT with one user's password."""

    def __init__(self) -> None:
        self.targets: list[str] = []
        self.refused: list[str] = []
        self.answer = b""  # instead of a tunnel
        self._writers: list[asyncio.StreamWriter] = []

    @contextlib.asynccontextmanager
    async def serving(self):
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for writer in self._writers:
                writer.transport.abort()
            await asyncio.sleep(0.05)

    @property
    def url(self) -> str:
        return f"http://user:pa%3Ass%40word@127.0.0.1:{self.port}"

    async def _serve(self, reader, writer):
        self._writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            target = head.split(" ")[1]
            if self.answer or f"Proxy-Authorization: {CREDENTIALS}\r\n" not in head:
                self.refused.append(target)
                writer.write(self.answer or b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
                await writer.drain()
                writer.close()
                return
            self.targets.append(target)
            there, back = await asyncio.open_connection("127.0.0.1", int(target.rpartition(":")[2]))
            self._writers.append(back)
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await asyncio.gather(self._pipe(reader, back), self._pipe(there, writer))

    async def _pipe(self, reader, writer):
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.transport.abort()


@contextlib.asynccontextmanager
async def far_cloud(cloud):
    """The cloud under a name that only the proxy knows."""
    async with cloud.serving() as url:
        cloud.url = url.replace("127.0.0.1", "cloud.test")
        yield f"cloud.test:{url.rpartition(':')[2]}"


@contextlib.asynccontextmanager
async def himdsd(paths, **more):
    environment = {**os.environ, "LANDBRIDGE_AGENT_ROOT": str(paths.root), **more}
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


async def until(condition, seconds=SETTLE):
    async with asyncio.timeout(seconds):
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


def command_lines():
    """What ``ps`` shows of every process."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                yield (folder / "cmdline").read_bytes()


async def test_connect_and_daemon_go_through_the_proxy_and_nowhere_else(cloud, azcmagent):
    async with ConnectProxy().serving() as proxy, far_cloud(cloud) as where:
        await azcmagent("config", "set", "proxy.url", proxy.url)
        ran = await azcmagent.connect()
        assert ran.code == 0, ran.err
        assert set(proxy.targets) == {where}
        before = len(proxy.targets)
        async with himdsd(azcmagent.paths):
            await until(lambda: cloud.channels and cloud.facts is not None)
            found = await shown(azcmagent.paths, "status", "Connected")
            lines = b"".join(command_lines())
        assert len(proxy.targets) > before
        assert set(proxy.targets) == {where} and not proxy.refused
        assert found["httpsProxy"] == f"http://127.0.0.1:{proxy.port}"
        assert cloud.facts["agentConfiguration"]["proxyUrl"] == f"http://127.0.0.1:{proxy.port}"
        log = azcmagent.paths.daemon_log.read_text()
        for secret in (PASSWORD, "pa%3Ass%40word", CREDENTIALS.partition(" ")[2]):
            assert secret not in log and secret.encode() not in lines
            assert secret not in json.dumps(cloud.facts)


async def test_sessions_go_through_the_proxy_and_outlive_its_change(cloud, azcmagent):
    taken = []

    async def echo(reader, writer):
        taken.append(writer)
        while data := await reader.read(1000):
            writer.write(data)

    async def said(reader):
        frames, data = FrameReader(masked=True), b""
        while not data:
            for event in frames.feed(await asyncio.wait_for(reader.read(1000), SETTLE)):
                data += bytes(event.data) if isinstance(event, Piece) else b""
        return data

    async with ConnectProxy().serving() as proxy, far_cloud(cloud):
        await azcmagent("config", "set", "proxy.url", proxy.url)
        await azcmagent.connect()
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        await azcmagent("config", "set", "incomingconnections.ports", str(port))
        async with himdsd(azcmagent.paths):
            await until(lambda: cloud.channels)
            before = len(proxy.targets)
            cloud.invite({"Microsoft-Guestgateway-Target": f"localhost:{port}"})
            target, reader, writer = await asyncio.wait_for(cloud.rendezvous.get(), SETTLE)
            assert "statusCode" not in target and len(proxy.targets) == before + 1
            writer.write(encode(BINARY, b"one"))
            assert await said(reader) == b"one"
            channels = len(cloud.channels)
            await azcmagent("config", "set", "proxy.bypass", "other.example")
            await until(lambda: len(cloud.channels) > channels)
            writer.write(encode(BINARY, b"two"))
            assert await said(reader) == b"two"
        server.close()
        for writer in taken:
            writer.transport.abort()


async def test_a_proxy_is_set_mended_and_kept_over_a_restart_without_one(cloud, azcmagent):
    async with ConnectProxy().serving() as proxy, far_cloud(cloud):
        await azcmagent("config", "set", "proxy.url", proxy.url)
        await azcmagent.connect()
        wrong = proxy.url.replace("user:pa", "user:wrong")
        await azcmagent("config", "set", "proxy.url", wrong)
        async with himdsd(azcmagent.paths):
            found = await shown(azcmagent.paths, "errorDetails", "407")
            assert found["errorCode"] == "AZCM0026"
            assert f"The proxy 127.0.0.1:{proxy.port} refused" in found["errorDetails"]
            await azcmagent("config", "set", "proxy.url", proxy.url)
            await until(lambda: cloud.channels)
            await shown(azcmagent.paths, "status", "Connected")
        cloud.channels.clear()
        async with himdsd(azcmagent.paths):  # as after ``service himds restart``
            await until(lambda: cloud.channels)


async def test_a_proxy_that_is_taken_away_ends_the_channel_through_it(cloud, azcmagent):
    async with ConnectProxy().serving() as proxy, far_cloud(cloud):
        await azcmagent("config", "set", "proxy.url", proxy.url)
        await azcmagent.connect()
        async with himdsd(azcmagent.paths):
            await until(lambda: cloud.channels)
            await azcmagent("config", "set", "proxy.bypass", "cloud.test")
            found = await shown(azcmagent.paths, "errorDetails", "cannot be resolved")
            assert "cloud.test" in found["errorDetails"]
            await azcmagent("config", "clear", "proxy.bypass")
            await shown(azcmagent.paths, "status", "Connected")


@pytest.mark.parametrize("words", ["ARM", "AAD", "Arc"])
async def test_a_word_for_a_service_means_this_cloud(cloud, azcmagent, words):
    async with ConnectProxy().serving() as proxy, far_cloud(cloud):
        await azcmagent("config", "set", "proxy.url", proxy.url)
        await azcmagent.connect()
        await azcmagent("config", "set", "proxy.bypass", words)
        before = len(proxy.targets)
        async with himdsd(azcmagent.paths):
            await shown(azcmagent.paths, "errorDetails", "cannot be resolved")
        assert len(proxy.targets) == before


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "proxy.url http://USER:PASSWORD@"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "proxy.bypass"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "proxy.url"),
        (b"\r\n\r\n", "proxy.url"),
    ],
)
async def test_a_proxy_that_refuses_is_explained_by_connect(cloud, azcmagent, answer, words):
    async with ConnectProxy().serving() as proxy, far_cloud(cloud):
        proxy.answer = answer
        await azcmagent("config", "set", "proxy.url", proxy.url)
        ran = await azcmagent.connect()
        assert ran.code == 26
        assert "AZCM0026" in ran.err and words in ran.err
        assert PASSWORD not in ran.err and "pa%3Ass" not in ran.err
        assert cloud.machines == {}


async def test_a_proxy_that_is_not_there_is_named(cloud, azcmagent, closed_port):
    async with far_cloud(cloud):
        await azcmagent("config", "set", "proxy.url", f"http://127.0.0.1:{closed_port}")
        ran = await azcmagent.connect()
        assert ran.code == 26
        assert f"127.0.0.1:{closed_port} refused the connection" in ran.err
        assert "azcmagent config clear proxy.url" in ran.err


async def test_the_environments_proxy_is_used_where_none_is_configured(cloud, azcmagent):
    async with ConnectProxy().serving() as proxy, far_cloud(cloud):
        azcmagent.environment["https_proxy"] = proxy.url
        ran = await azcmagent.connect()
        assert ran.code == 0, ran.err
        async with himdsd(azcmagent.paths, https_proxy=proxy.url):
            await until(lambda: cloud.channels)
            log = azcmagent.paths.daemon_log.read_text()
        assert "pa%3Ass" not in log
