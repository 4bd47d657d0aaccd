"""A WebSocket client on asyncio: large reads, streamed pieces, back-pressure both ways."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable
from typing import Protocol

from landbridge_agent.dial import Dialer, Unreachable, split_https
from landbridge_wire.upgrade import (
    HandshakeError,
    Head,
    check_response,
    head_length,
    key_for,
    parse_head,
    request_head,
)
from landbridge_wire.websocket import (
    ABNORMAL,
    CLOSE,
    NORMAL,
    PING,
    PONG,
    ZERO_MASK,
    Control,
    FrameReader,
    Piece,
    ProtocolError,
    close_payload,
    encode,
    parse_close,
)

HANDSHAKE_SECONDS = 15.0
CLOSING_SECONDS = 10.0
"""How long the peer may take to answer our close frame, once what precedes it is written."""


class LinkRefused(Exception):
    """The peer answered the upgrade with another status than 101."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Sink(Protocol):
    """Takes what a link brings. No method may raise."""

    def piece(self, piece: Piece) -> None:
        """Take a piece of a message; its data is valid within this call."""

    def heard(self) -> None:
        """Note that bytes came in."""

    def ended(self, code: int, reason: str) -> None:
        """Note the end, once: the peer's close code, or 1006."""

    def pause(self) -> None:
        """Send nothing more for now."""

    def resume(self) -> None:
        """Go on sending."""


class Link(asyncio.BufferedProtocol):
    """One connection. Frames go out with a zero mask: TLS hides them already, and it costs nothing.

    What is read into ``buffer`` is used up before anything else is read, so links may share one.
    """

    def __init__(self, sink: Sink, buffer: bytearray) -> None:
        self._sink = sink
        self._view = memoryview(buffer)
        self._head = bytearray()
        self._key = key_for(secrets.token_bytes(16))
        self._reader: FrameReader | None = None
        self._transport: asyncio.Transport | None = None
        self._closing = False
        self.end: tuple[int, str] | None = None  # how it ended: close code and reason
        self._paused = False
        self._timer: asyncio.TimerHandle | None = None
        self._opened: asyncio.Future[Head] = asyncio.get_running_loop().create_future()

    # -- the handshake -----------------------------------------------------------------------

    async def open(self, url: str, headers: Iterable[tuple[str, str]]) -> None:
        """Upgrade; the connection is made.

        Raises:
            LinkRefused: another status than 101 came back.
            Unreachable: no answer, or none that can be read.
        """
        parts = split_https(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._write(request_head(target, parts.netloc, self._key, headers))
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                head = await self._opened
            if head.status != 101:
                raise LinkRefused(head.status, head.reason or f"HTTP {head.status}")
        except TimeoutError:
            raise Unreachable(f"{parts.netloc} did not answer the WebSocket handshake.") from None
        except HandshakeError as error:
            raise Unreachable(f"{parts.netloc}: {error}") from error

    def _handshake(self, data: bytes) -> bytes:
        """Take bytes of the answer; return what follows its head."""
        self._head += data
        length = head_length(self._head)
        if not length:
            return b""
        head = parse_head(bytes(self._head[:length]))
        if head.status == 101:
            check_response(head, self._key)
            self._reader = FrameReader(masked=False)
        rest = bytes(self._head[length:])
        self._head.clear()
        if not self._opened.done():
            self._opened.set_result(head)
        return rest if self._reader is not None else b""

    # -- asyncio's side ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("A link needs a stream transport.")
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the buffer; pieces are views of it."""
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        """Take bytes."""
        self._sink.heard()
        data: memoryview | bytes = self._view[:nbytes]
        try:
            if self._reader is None:
                if self._opened.done():
                    return  # the body of a refusal
                data = self._handshake(bytes(data))
            if self._reader is not None and len(data):
                for event in self._reader.feed(data):
                    self._take(event)
        except HandshakeError as error:
            if not self._opened.done():
                self._opened.set_exception(error)
            self.abort()
        except ProtocolError as error:
            self.close(error.code, error.reason)
            self._end(error.code, error.reason)

    def _take(self, event: Piece | Control) -> None:
        if isinstance(event, Piece):
            if self.end is None:
                self._sink.piece(event)
        elif event.opcode == PING:
            if not self._closing and not self._paused:
                self._write(encode(PONG, event.payload, ZERO_MASK))
        elif event.opcode == CLOSE:
            code, reason = parse_close(event.payload)
            if not self._closing:
                self._closing = True
                self._write(encode(CLOSE, event.payload[:2], ZERO_MASK))
            self._end(code, reason)
            if self._transport is not None:
                self._transport.close()

    def eof_received(self) -> bool:
        """The peer left without a close frame; the transport closes itself."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Report the end if nothing else has."""
        if not self._opened.done():
            self._opened.set_exception(HandshakeError("the connection ended during the handshake"))
            self._opened.exception()  # an attempt that was cancelled does not look at it
        self._end(ABNORMAL, str(exc) if exc else "the connection broke")
        # What a timer or a cycle holds would stay in memory, and the buffer is large.
        if self._timer is not None:
            self._timer.cancel()
        self._transport = None
        self._view = memoryview(b"")

    def pause_writing(self) -> None:
        """The send buffer is full."""
        self._paused = True
        self._sink.pause()

    def resume_writing(self) -> None:
        """The send buffer has room."""
        self._paused = False
        self._sink.resume()

    def _end(self, code: int, reason: str) -> None:
        if self.end is None:
            self.end = (code, reason)
            self._sink.ended(code, reason)

    # -- our side ------------------------------------------------------------------------------

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def send(self, opcode: int, payload: bytes) -> None:
        """Send a whole message or a ping."""
        if not self._closing:
            self._write(encode(opcode, payload, ZERO_MASK))

    def send_frame(self, frame: bytes) -> None:
        """Send a frame that has its header already."""
        if not self._closing:
            self._write(frame)

    def pause_reading(self) -> None:
        """Take nothing more from the peer for now."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Go on taking."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def close(self, code: int = NORMAL, reason: str = "") -> None:
        """Send a close frame; the peer has a moment to answer it."""
        if self._closing or self._transport is None:
            return
        self._write(encode(CLOSE, close_payload(code, reason), ZERO_MASK))
        self._closing = True
        self.resume_reading()
        self._timer = asyncio.get_running_loop().call_later(CLOSING_SECONDS, self._give_up)

    def _give_up(self) -> None:
        """A slow peer may still be taking what we wrote before the close frame."""
        if self._transport is not None and self._transport.get_write_buffer_size():
            self._timer = asyncio.get_running_loop().call_later(CLOSING_SECONDS, self._give_up)
        else:
            self.abort()

    def abort(self) -> None:
        """End the connection at once."""
        self._closing = True
        if self._transport is not None:
            self._transport.abort()


async def open_link(
    dialer: Dialer, url: str, headers: Iterable[tuple[str, str]], sink: Sink, buffer: bytearray
) -> Link:
    """Dial a ``wss://`` URL and upgrade; what comes is read into ``buffer``.

    Raises:
        LinkRefused: the peer does not want us; ``status`` and ``reason`` say why.
        Unreachable: no connection, no answer, or one that is no WebSocket's.
        ValueError: the URL is no ``wss://``.
    """
    _, link = await dialer.open(url, lambda: Link(sink, buffer))
    try:
        await link.open(url, headers)
    except BaseException:
        link.abort()
        raise
    return link
