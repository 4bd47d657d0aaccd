"""Slow TLS handshakes, slow request heads and slow bodies are cut, and others are served meanwhile.

The deadlines are shortened through ``Deadlines``; what is checked is who is cut, not when.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ssl

import pytest

from landbridge_server.edge.connections import Room, _Counted
from landbridge_server.edge.http_protocol import Deadlines

SHORT = Deadlines(handshake=0.3, head=0.3, body=0.3, keep_alive=1, grace=0.2)
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"


async def ended(reader: asyncio.StreamReader) -> bytes:
    """Return what still comes before the end; the test fails if there is none."""
    try:
        return await asyncio.wait_for(reader.read(), 10)
    except (ConnectionError, ssl.SSLError):
        return b""


async def healthy(cloud) -> None:
    reader, writer = await cloud.raw()
    writer.write(HEALTH)
    assert (await ended(reader)).startswith(b"HTTP/1.1 200")


async def trickle(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Send byte by byte, never silent for long, until the peer has had enough."""
    with contextlib.suppress(OSError, ssl.SSLError):
        for number in range(len(data)):
            writer.write(data[number : number + 1])
            await writer.drain()
            await asyncio.sleep(0.05)


def client_hello() -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("said", ["nothing", "a part", "all but the end", "in single bytes"])
async def test_a_slow_tls_handshake_is_cut(serve, said):
    async with serve(SHORT) as cloud:
        reader, writer = await asyncio.open_connection("127.0.0.1", cloud.port)
        hello = client_hello()
        assert len(hello) > 100
        trickling = None
        if said == "in single bytes":
            trickling = asyncio.ensure_future(trickle(writer, hello))
        else:
            writer.write({"nothing": b"", "a part": hello[:20], "all but the end": hello[:-1]}[said])
        await healthy(cloud)
        await ended(reader)
        if trickling:
            await trickling
        writer.close()


async def test_a_handshake_that_stops_after_the_servers_half_is_cut(serve):
    async with serve(SHORT) as cloud:
        reader, writer = await asyncio.open_connection("127.0.0.1", cloud.port)
        writer.write(client_hello())
        assert len(await ended(reader)) > 500  # certificates came, and then the end
        writer.close()


@pytest.mark.parametrize("head", [b"", b"GET ", b"GET /healthz HTTP/1.1\r\nHost: h\r\n", b"\r\n\r\n"])
async def test_a_head_that_does_not_end_is_cut_with_408(serve, head):
    async with serve(SHORT) as cloud:
        reader, writer = await cloud.raw()
        writer.write(head)
        await healthy(cloud)
        assert (await ended(reader)).startswith(b"HTTP/1.1 408 ")


async def test_a_head_in_single_bytes_is_cut_though_it_is_never_silent(serve):
    async with serve(SHORT) as cloud:
        reader, writer = await cloud.raw()
        trickling = asyncio.ensure_future(trickle(writer, b"GET /healthz HTTP/1.1\r\nX: " + b"x" * 200))
        assert (await ended(reader)).startswith(b"HTTP/1.1 408 ")
        await trickling


async def test_a_second_head_on_a_connection_is_no_less_bounded(serve):
    async with serve(SHORT) as cloud:
        reader, writer = await cloud.raw()
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
        await reader.readuntil(b"Healthy")
        trickling = asyncio.ensure_future(trickle(writer, b"GET /healthz HTTP/1.1\r\nX: " + b"x" * 200))
        assert b"HTTP/1.1 408 " in await ended(reader)
        await trickling


async def test_the_head_of_an_upgrade_is_no_less_bounded(serve):
    async with serve(SHORT) as cloud:
        reader, writer = await cloud.raw()
        writer.write(
            b"GET /$hc/x?sb-hc-action=listen HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        )
        assert (await ended(reader)).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("kind", [b"Content-Length: 1000", b"Transfer-Encoding: chunked"])
async def test_a_body_that_does_not_come_ends_its_connection(serve, kind):
    async with serve(SHORT) as cloud:
        reader, writer = await cloud.raw()
        form = b"Content-Type: application/x-www-form-urlencoded\r\n"
        writer.write(b"POST /common/oauth2/v2.0/token HTTP/1.1\r\nHost: h\r\n" + form + kind + b"\r\n\r\n")
        await healthy(cloud)
        assert not (await ended(reader)).startswith(b"HTTP/1.1 200")


async def test_many_slow_ones_at_once_keep_nobody_out(serve):
    async with serve(Deadlines(), Room(60, 40)) as cloud:  # their deadlines are far away
        slow = [await asyncio.open_connection("127.0.0.1", cloud.port) for _ in range(100)]
        for _ in range(5):
            await healthy(cloud)
        for _, writer in slow:
            writer.transport.abort()


async def test_no_connection_is_left_after_all_that(serve):
    async with serve(SHORT) as cloud:
        held = []
        for first in (b"", b"\x16\x03\x01", client_hello()):
            held.append((await asyncio.open_connection("127.0.0.1", cloud.port))[1])
            held[-1].write(first)
        for head in (b"", b"GET ", b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n"):
            held.append((await cloud.raw())[1])
            held[-1].write(head)
        assert accepted()
        async with asyncio.timeout(10):
            while accepted():
                await asyncio.sleep(0.05)
        for writer in held:
            writer.transport.abort()


def accepted() -> list[object]:
    """Return the connections of this process that were accepted and are open."""
    return [one for one in gc.get_objects() if type(one) is _Counted and one.fileno() >= 0]
