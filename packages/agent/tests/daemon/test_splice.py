"""A session between a local service and the relay's side."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from landbridge_agent.daemon import splice
from landbridge_agent.daemon.link import Link
from landbridge_agent.daemon.splice import Session
from landbridge_wire.websocket import FrameReader, Piece

BANNER = b"SSH-2.0-OpenSSH_9.2\r\n"


class RecordingLink:
    """Stands for the relay's side: keeps what it is given."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.came = asyncio.Event()
        self.reading = True
        self.aborted = False

    def send_frame(self, frame: bytes) -> None:
        self.frames.append(frame)
        self.came.set()

    def close(self, code: int, reason: str = "") -> None:
        pass

    def send(self, opcode: int, payload: bytes) -> None:
        pass

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def abort(self) -> None:
        self.aborted = True


async def test_what_a_service_says_before_the_relay_answers_is_not_lost():
    spoken = asyncio.Event()

    async def speak_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(BANNER)
        await writer.drain()
        spoken.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(speak_first, "127.0.0.1", 0) as server:
        session = Session()
        port = server.sockets[0].getsockname()[1]
        await asyncio.get_running_loop().create_connection(lambda: session.local, "127.0.0.1", port)
        await spoken.wait()
        for _ in range(10):  # turns of the loop in which a reader would have read
            await asyncio.sleep(0.001)
        link = RecordingLink()
        session.start(cast(Link, link))
        await asyncio.wait_for(link.came.wait(), 5)
        session.local.finish()
        await asyncio.sleep(0)

    pieces = [event for event in FrameReader(masked=True).feed(link.frames[0]) if isinstance(event, Piece)]
    assert b"".join(bytes(piece.data) for piece in pieces) == BANNER


async def test_a_relay_that_we_do_not_read_may_be_silent(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(splice, "SILENCE_SECONDS", 0.15)
    session, link = Session(), RecordingLink()
    session.start(cast(Link, link))
    running = asyncio.ensure_future(session.run())
    session.local.pause_writing()  # the local service reads nothing
    await asyncio.sleep(0.5)
    assert not link.reading
    assert not running.done()
    session.local.resume_writing()
    assert link.reading
    assert await asyncio.wait_for(running, 5) == "the relay fell silent"
    assert link.aborted
