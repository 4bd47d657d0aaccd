"""How many connections may be open, who gives way, and that each one is counted until it is gone."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from landbridge_server.ca.authority import CertificateAuthority
from landbridge_server.ca.keyring import key_pem, new_key
from landbridge_server.edge import connections as module
from landbridge_server.edge.connections import Connections, Room
from landbridge_server.edge.http_protocol import Deadlines
from landbridge_server.edge.listener import listening, server_context
from landbridge_server.relay.broker import Broker

GET = b"GET /now HTTP/1.1\r\nHost: h\r\n\r\n"
WAIT = b"GET /wait HTTP/1.1\r\nHost: h\r\n\r\n"
UPGRADE = (
    b"GET /$hc/x?sb-hc-action=listen HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@pytest.fixture(scope="module", params=[True, False], ids=["uvloop", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


class Served:
    """A listener with little room, and the clients of a test."""

    def __init__(self, counted: Connections, port: int, trust: ssl.SSLContext | None) -> None:
        self.counted, self.port, self.trust = counted, port, trust
        self.gate = asyncio.Event()
        self.writers: list[asyncio.StreamWriter] = []

    async def open(
        self, first: bytes = b"", plain: bool = False
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        trust = None if plain else self.trust
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=trust)
        self.writers.append(writer)
        writer.write(first)
        return reader, writer

    async def counts(self, connections: int) -> None:
        async with asyncio.timeout(10):
            while self.counted.open != connections:
                await asyncio.sleep(0.01)


async def read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await asyncio.wait_for(reader.read(), 10)
    except (ConnectionError, ssl.SSLError):
        return b"cut"


@contextlib.asynccontextmanager
async def serving(room: Room, folder: Path | None = None) -> AsyncIterator[Served]:
    """Serve with TLS if there is a folder for its files."""
    counted = Connections(room, time.monotonic)
    context = trust = None
    if folder is not None:
        authority, key = CertificateAuthority.open(folder / "ca", time.time()), new_key()
        folder.joinpath("tls.key").write_bytes(key_pem(key))
        pem = authority.server_certificate(["127.0.0.1"], key.public_key(), time.time())
        folder.joinpath("tls.pem").write_bytes(pem)
        context = server_context(folder / "tls.pem", folder / "tls.key")
        trust = ssl.create_default_context(cafile=authority.root_file)
    served = Served(counted, 0, trust)

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["path"] == "/wait":
            await served.gate.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    broker = Broker(None, b"m" * 32, time.time)  # type: ignore[arg-type]
    short = Deadlines(grace=0.05)
    async with listening(app, broker, context, "127.0.0.1", 0, time.time, short, counted) as listener:
        served.port = listener.port
        try:
            yield served
        finally:
            for writer in served.writers:
                writer.transport.abort()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    counted.close()


async def test_the_oldest_that_says_nothing_gives_way_and_is_told_to_come_again(tmp_path):
    async with serving(Room(10, 2), tmp_path) as served:
        oldest, _ = await served.open()
        await served.counts(1)
        await served.open()
        await served.counts(2)
        newest, _ = await served.open(GET)
        assert (await read(oldest)).startswith(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\n")
        assert (await newest.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
        await served.counts(2)


async def test_one_that_idles_between_two_requests_gives_way():
    async with serving(Room(10, 1)) as served:
        oldest, _ = await served.open(GET)
        await oldest.readuntil(b"ok")
        newest, _ = await served.open(GET)
        assert await read(oldest) == b""
        assert (await newest.readuntil(b"ok")).startswith(b"HTTP/1.1 200")


async def test_an_unfinished_handshake_gives_way(tmp_path):
    async with serving(Room(10, 1), tmp_path) as served:
        oldest, _ = await served.open(b"\x16", plain=True)
        await served.counts(1)
        newest, _ = await served.open(GET)
        assert (await newest.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
        assert await read(oldest) in (b"", b"cut")
        await served.counts(1)


async def test_while_all_are_being_answered_a_newcomer_gets_503_and_nobody_is_cut(tmp_path):
    async with serving(Room(10, 2), tmp_path) as served:
        first, _ = await served.open(WAIT)
        second, _ = await served.open(WAIT)
        await served.counts(2)
        await asyncio.sleep(0.05)
        late, _ = await served.open(GET)
        assert (await read(late)).startswith(b"HTTP/1.1 503 ")
        served.gate.set()
        for reader in (first, second):
            assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")


async def test_beyond_the_slack_a_newcomer_is_closed_at_once(monkeypatch, caplog):
    monkeypatch.setattr(module, "SLACK", 0)
    async with serving(Room(10, 1)) as served:
        first, _ = await served.open(WAIT)
        await served.counts(1)
        await asyncio.sleep(0.05)
        for _ in range(3):
            late, _ = await served.open(GET)
            assert await read(late) in (b"", b"cut")
        assert served.counted.refused == 3
        served.gate.set()
        assert (await first.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
    said = [record.getMessage() for record in caplog.records if "too many connections" in record.getMessage()]
    assert said == ["too many connections: new connections are refused"]


async def test_what_the_relay_has_taken_over_is_not_unproven(tmp_path):
    async with serving(Room(10, 5), tmp_path) as served:
        _, writer = await served.open(UPGRADE)  # held before it is refused: it has no token
        async with asyncio.timeout(10):
            while (served.counted.open, served.counted.unproven) != (1, 0):
                await asyncio.sleep(0.01)
        writer.transport.abort()
        await served.counts(0)


@pytest.mark.parametrize("first", [b"", b"\x16\x03\x01", b"garbage\r\n\r\n", GET])
async def test_every_connection_is_counted_until_it_is_gone(tmp_path, first):
    async with serving(Room(10, 5), tmp_path) as served:
        for _ in range(3):
            _, writer = await served.open(first, plain=True)  # no handshake ends well
            await asyncio.sleep(0.02)
            writer.transport.abort()
            await served.counts(0)
        assert served.counted.unproven == 0


async def test_a_flood_leaves_no_more_open_than_there_is_room():
    async with serving(Room(20, 10)) as served:
        for _ in range(100):
            await served.open()
        await served.counts(10)
        reader, _ = await served.open(GET)
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")


async def test_without_descriptors_one_is_turned_away_and_the_next_is_served(monkeypatch):
    accept = socket.socket.accept
    async with serving(Room(10, 5)) as served:
        failures = [OSError(errno.EMFILE, os.strerror(errno.EMFILE))]

        def failing(self):
            if failures and isinstance(self, module._Listening):
                raise failures.pop()
            return accept(self)

        monkeypatch.setattr(socket.socket, "accept", failing)
        late, _ = await served.open(GET)
        assert await read(late) in (b"", b"cut")
        served_again, _ = await served.open(GET)
        assert (await served_again.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
        assert served.counted.refused == 1
