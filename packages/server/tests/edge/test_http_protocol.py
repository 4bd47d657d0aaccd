"""One connection: requests that come together, in pieces, or wait for something."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from landbridge_server.edge.connections import Connections, Room
from landbridge_server.edge.http_protocol import AT_ONCE
from landbridge_server.edge.listener import Deadlines, listening
from landbridge_server.relay.broker import Broker


@pytest.fixture(scope="module", params=[True, False], ids=["uvloop", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


class Echo:
    """Answers with path and body; ``/wait`` once somebody has opened the gate."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.gate = asyncio.Event()
        self.cancelled = 0

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        self.asked.append(scope["path"])
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        if scope["path"] == "/wait":
            try:
                await self.gate.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        content = scope["path"].encode() + b":" + body + b"\n"
        headers = [(b"content-length", b"%d" % len(content))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})


@asynccontextmanager
async def connected(app: Echo, deadlines: Deadlines | None = None) -> AsyncIterator[tuple[Any, Any]]:
    broker = Broker(None, b"m" * 32, lambda: 0.0)  # type: ignore[arg-type]
    async with listening(app, broker, None, "127.0.0.1", 0, lambda: 0.0, deadlines) as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        try:
            yield reader, writer
        finally:
            writer.close()


def get(path: str, more: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: h\r\n{more}\r\n".encode()


async def bodies(reader: asyncio.StreamReader, count: int) -> list[str]:
    found = []
    for _ in range(count):
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        assert head.startswith(b"HTTP/1.1 200 ")
        found.append((await asyncio.wait_for(reader.readuntil(b"\n"), 10)).decode().strip())
    return found


async def test_requests_that_come_in_one_read_are_answered_in_order():
    count = AT_ONCE * 5
    async with connected(Echo()) as (reader, writer):
        writer.write(b"".join(get(f"/{number}") for number in range(count)))
        assert await bodies(reader, count) == [f"/{number}:" for number in range(count)]


async def test_thousands_of_requests_in_a_row_are_answered():
    async with connected(Echo()) as (reader, writer):
        writer.write(get("/a") * 3000)
        assert set(await bodies(reader, 3000)) == {"/a:"}


async def test_a_request_in_single_bytes_is_answered():
    async with connected(Echo()) as (reader, writer):
        text = b"POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
        for number in range(len(text)):
            writer.write(text[number : number + 1])
            await writer.drain()
            await asyncio.sleep(0)
        assert await bodies(reader, 1) == ["/p:abc"]


async def test_a_body_may_follow_its_head_later():
    async with connected(Echo()) as (reader, writer):
        writer.write(b"POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nabc")
        await asyncio.sleep(0.02)
        writer.write(b"def" + get("/next"))
        assert await bodies(reader, 2) == ["/p:abcdef", "/next:"]


async def test_a_request_that_waits_holds_up_those_behind_it_and_nobody_else():
    app = Echo()
    async with connected(app) as (reader, writer):
        writer.write(get("/wait") + get("/behind"))
        while app.asked != ["/wait"]:
            await asyncio.sleep(0)
        app.gate.set()
        assert await bodies(reader, 2) == ["/wait:", "/behind:"]


async def test_a_client_that_asks_to_be_told_to_continue_is_told():
    async with connected(Echo()) as (reader, writer):
        writer.write(b"POST /p HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"ok")
        assert await bodies(reader, 1) == ["/p:ok"]


async def test_what_came_before_garbage_is_not_carried_out():
    app = Echo()
    async with connected(app) as (reader, writer):
        writer.write(get("/a") + b"\x00 garbage\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(), 10)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1
    assert app.asked == []


async def test_heads_that_are_small_each_may_be_many_in_one_read():
    async with connected(Echo(), Deadlines(head_size=2048)) as (reader, writer):
        writer.write(get("/a", "X: " + "x" * 500 + "\r\n") * 20)
        assert await bodies(reader, 20) == ["/a:"] * 20


@pytest.mark.parametrize("size", [1000, 4096, 65_536, 200_000])
async def test_heads_that_are_small_each_may_come_in_reads_of_any_size(size):
    """However much comes in one read, and wherever it is cut: only the head that has not ended counts."""
    count = 300
    data = b"".join(get("/a", "X: " + "x" * (number * 37 % 3000) + "\r\n") for number in range(count))
    async with connected(Echo(), Deadlines(head_size=4096)) as (reader, writer):

        async def send() -> None:
            for at in range(0, len(data), size):
                writer.write(data[at : at + size])
                await writer.drain()
                await asyncio.sleep(0)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(send())
            assert await bodies(reader, count) == ["/a:"] * count


async def test_an_idle_connection_ends_after_its_time():
    async with connected(Echo(), Deadlines(keep_alive=0.1)) as (reader, writer):  # type: ignore[arg-type]
        writer.write(get("/a"))
        assert await bodies(reader, 1) == ["/a:"]
        assert await asyncio.wait_for(reader.read(), 10) == b""


async def test_an_answer_that_takes_longer_than_any_deadline_is_waited_for():
    app = Echo()
    short = Deadlines(head=0.05, body=0.05, keep_alive=0.05)  # type: ignore[arg-type]
    async with connected(app, short) as (reader, writer):
        writer.write(get("/wait"))
        await asyncio.sleep(0.2)
        app.gate.set()
        assert await bodies(reader, 1) == ["/wait:"]


async def test_the_last_answer_is_whole_when_the_connection_is_to_close():
    async with connected(Echo()) as (reader, writer):
        writer.write(get("/a", "Connection: close\r\n"))
        answer = await asyncio.wait_for(reader.read(), 10)
    assert answer.endswith(b"\r\n\r\n/a:\n")


async def test_small_answers_do_not_wait_for_the_peers_acknowledgement():
    broker = Broker(None, b"m" * 32, lambda: 0.0)  # type: ignore[arg-type]
    counted = Connections(Room(), asyncio.get_running_loop().time)
    async with listening(Echo(), broker, None, "127.0.0.1", 0, lambda: 0.0, connections=counted) as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(get("/a"))
        await bodies(reader, 1)
        (accepted,) = counted._open.values()
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        writer.close()
    counted.close()
