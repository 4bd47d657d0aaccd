"""One session: a WebSocket to the relay and a TCP connection to this machine, spliced.

Bytes are copied once in each direction and never piled up: when one side cannot write, the
other is not read. ``bytes`` are handed to the transports, as they may keep what they queue.
"""

from __future__ import annotations

import asyncio

from landbridge_agent.daemon.link import Link
from landbridge_wire.websocket import BINARY, INTERNAL_ERROR, NORMAL, PING, ZERO_MASK, Piece, frame_header

READ_SIZE = 256 * 1024
HEADROOM = 14
"""The longest frame header; it is written in front of the payload, so both leave in one write."""

SILENCE_SECONDS = 90.0
FLUSH_SECONDS = 5.0
"""How long the local side may take to read what is left after the relay's side has ended."""


class Session:
    """Both sides and their end. The relay's side is a link's ``Sink``.

    What the local side says is read into ``buffer`` and passed on before anything else is
    read, so sessions may share one.
    """

    def __init__(self, buffer: bytearray | None = None) -> None:
        loop = asyncio.get_running_loop()
        self.local = Local(self, buffer or bytearray(HEADROOM + READ_SIZE))
        self.link: Link | None = None
        self._heard_at = loop.time()
        self._deaf = False  # we do not read the relay: the local side does not keep up
        self._done: asyncio.Future[str] = loop.create_future()

    def start(self, link: Link) -> None:
        """Both sides stand: let the bytes flow."""
        self.link = link
        self.local.resume_reading()

    async def run(self) -> str:
        """Return, once both sides are closed, why the session ended."""
        loop = asyncio.get_running_loop()
        while not self._done.done():
            await asyncio.wait({self._done}, timeout=SILENCE_SECONDS / 3)
            if self._done.done() or self.link is None:
                break
            if not self._deaf and loop.time() - self._heard_at > SILENCE_SECONDS:
                self.stop("the relay fell silent")
            else:
                self.link.send(PING, b"")
        return self._done.result() if self._done.done() else ""

    def stop(self, why: str) -> None:
        """End both sides at once."""
        if self.link is not None:
            self.link.abort()
        self.local.abort()
        self._finish(why)

    def _finish(self, why: str) -> None:
        if not self._done.done():
            self._done.set_result(why)

    def local_ended(self, error: Exception | None) -> None:
        """The local side has ended: say so to the relay."""
        if self.link is not None:
            code = NORMAL if error is None else INTERNAL_ERROR
            self.link.close(code, "" if error is None else f"The local connection broke: {error}")
        self._finish("the local side closed")

    def listen(self, yes: bool) -> None:
        """Take what the relay sends, or nothing for now; silence that we ask for is not counted."""
        self._deaf = not yes
        if self.link is None:
            return
        if yes:
            self.heard()
            self.link.resume_reading()
        else:
            self.link.pause_reading()

    # -- the link's sink -----------------------------------------------------------------------

    def piece(self, piece: Piece) -> None:
        """Pass bytes on to the local side."""
        self.local.write(bytes(piece.data))

    def heard(self) -> None:
        """Note that the relay lives."""
        self._heard_at = asyncio.get_running_loop().time()

    def ended(self, code: int, reason: str) -> None:
        """The relay's side has ended: let the local side read what is left."""
        self.local.finish()
        self._finish(f"the sender closed with {code}")

    def pause(self) -> None:
        """The relay does not keep up."""
        self.local.pause_reading()

    def resume(self) -> None:
        """The relay keeps up again."""
        self.local.resume_reading()


class Local(asyncio.BufferedProtocol):
    """The TCP side; it does not read before the session starts."""

    def __init__(self, session: Session, buffer: bytearray) -> None:
        self._session = session
        self._buffer = buffer
        self._view = memoryview(buffer)
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, and wait for the relay's side."""
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("A session needs a stream transport.")
        self._transport = transport
        # Not at once: before Python 3.11.4 asyncio begins to read after this method whatever it asked.
        asyncio.get_running_loop().call_soon(self._await_start)

    def _await_start(self) -> None:
        if self._session.link is None:
            self.pause_reading()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the buffer behind the room for a header."""
        return self._view[HEADROOM:]

    def buffer_updated(self, nbytes: int) -> None:
        """Pass bytes on as one binary frame."""
        header = frame_header(BINARY, nbytes, True, ZERO_MASK)
        start = HEADROOM - len(header)
        self._buffer[start:HEADROOM] = header
        if self._session.link is not None:
            self._session.link.send_frame(bytes(self._view[start : HEADROOM + nbytes]))

    def eof_received(self) -> bool:
        """The local side has no more: the session is over."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the session, and give the buffer back."""
        self._session.local_ended(exc)
        if self._timer is not None:
            self._timer.cancel()
        self._transport = None
        self._view = memoryview(b"")
        self._buffer = bytearray()

    def pause_writing(self) -> None:
        """The local side does not keep up."""
        self._session.listen(False)

    def resume_writing(self) -> None:
        """The local side keeps up again."""
        self._session.listen(True)

    def write(self, data: bytes) -> None:
        """Send bytes to the local side."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def pause_reading(self) -> None:
        """Take nothing more from the local side for now."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Go on taking."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def finish(self) -> None:
        """Close once everything is written, or after a while."""
        if self._transport is not None:
            self._transport.close()
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.abort)

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()
