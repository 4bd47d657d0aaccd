"""What flows after a 101: the listener's control channel, and the data sockets in pairs.

The data path does per read: one pass of the frame reader, one header per piece, one
``writelines`` to the other side. A frame that comes in parts leaves in parts, as fragments
of its message: so no frame is ever half-written, and pings fit between any two pieces.
Back-pressure: while one side's buffer is full, the other side is not read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from landbridge_server.relay.limits import Limits
from landbridge_wire import websocket
from landbridge_wire.hybrid_connections import MAX_CONTROL_TEXT
from landbridge_wire.websocket import Control, FrameReader, MessageBuffer, Piece, ProtocolError

_JOIN = 8 * 1024
"""Writes up to this size are joined: a copy is cheaper than one more TLS record."""


class Socket(asyncio.Protocol):
    """One WebSocket, server side: keepalive, the close handshake, silence.

    A subclass takes pieces in ``receive`` and learns of the end, once, in ``ended``.
    """

    __slots__ = (
        "_beats",
        "_closing",
        "_end",
        "_limits",
        "_loop",
        "_missed",
        "_reader",
        "_reading_paused",
        "_timer",
        "_transport",
        "_unsent",
        "_writing_paused",
    )

    def __init__(self, transport: asyncio.Transport, limits: Limits, beats: int) -> None:
        self._transport = transport
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._reader = FrameReader(masked=True)
        self._beats = beats
        self._missed = 0
        self._closing = False
        self._end = (websocket.ABNORMAL, "")
        self._reading_paused = False
        self._writing_paused = False
        self._unsent = 0
        self._timer = self._loop.call_later(limits.ping, self._beat)

    # -- for subclasses

    def receive(self, piece: Piece) -> None:
        """Take a piece of a data message; ``piece.data`` is valid until this returns."""
        raise NotImplementedError

    def ended(self, code: int, reason: str) -> None:
        """Learn that the socket is gone, with what the peer's close frame said (1006: none)."""
        raise NotImplementedError

    def next_beat(self) -> float:
        """Return the seconds until the next beat; may close the socket."""
        return self._limits.ping

    # -- asyncio.Protocol

    def data_received(self, data: bytes) -> None:
        """Read frames and act on them."""
        self._missed = 0
        try:
            for event in self._reader.feed(data):
                if type(event) is Piece:
                    if not self._closing:
                        self.receive(event)
                elif self._control(cast(Control, event)):
                    return
        except ProtocolError as error:
            self._end = (error.code, error.reason)
            self.close(error.code, error.reason)
            self.pause_reading(True)  # nothing after it can be read

    def eof_received(self) -> bool:
        """Close: a WebSocket has no half-closed state."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the subclass, once."""
        self._timer.cancel()
        self._closing = True
        self.ended(*self._end)

    def pause_writing(self) -> None:
        """Note that the peer does not keep up."""
        self._writing_paused = True

    def resume_writing(self) -> None:
        """Note that the peer reads again."""
        self._writing_paused = False

    # -- sending

    def close(self, code: int, reason: str = "") -> None:
        """Send a close frame and give the peer ``linger`` seconds to answer; idempotent."""
        if self._closing:
            return
        self._closing = True
        self._transport.write(websocket.encode(websocket.CLOSE, websocket.close_payload(code, reason)))
        self._timer.cancel()
        self.pause_reading(False)
        self._unsent = self._transport.get_write_buffer_size()
        self._timer = self._loop.call_later(self._limits.linger, self._linger)

    async def answers(self, seconds: float) -> bool:
        """Ping, and say whether anything comes from the peer within ``seconds``."""
        self._missed = max(self._missed, 1)
        self._transport.write(websocket.encode(websocket.PING, b""))
        ends = self._loop.time() + seconds
        # Looked at now and then: the data path must not pay for telling who waits.
        while self._missed and not self._closing and self._loop.time() < ends:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        return not self._missed and not self._closing

    def pause_reading(self, paused: bool) -> None:
        """Stop or resume reading from the peer."""
        if paused != self._reading_paused and not self._transport.is_closing():
            self._reading_paused = paused
            if paused:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def _linger(self) -> None:
        """Abort, unless what was written before the close frame is still draining."""
        unsent = self._transport.get_write_buffer_size()
        if 0 < unsent < self._unsent:
            self._unsent = unsent
            self._timer = self._loop.call_later(self._limits.linger, self._linger)
        else:
            self._transport.abort()

    def _control(self, frame: Control) -> bool:
        """Act on a control frame; return True if nothing more is to be read."""
        if frame.opcode == websocket.PING:
            # A peer that pings without reading would fill our memory with pongs.
            if not self._writing_paused and not self._closing:
                self._transport.write(websocket.encode(websocket.PONG, frame.payload))
        elif frame.opcode == websocket.CLOSE:
            self._end = websocket.parse_close(frame.payload)
            self.close(*self._end)
            self._transport.close()
            return True
        return False

    def _beat(self) -> None:
        """Ping, and drop a peer that has been silent for too many pings.

        A peer that we do not read, or that has not read what it got, cannot answer: TCP
        finds out whether it lives. One that we do not read is pinged all the same, so that
        it knows that we live.
        """
        if not self._writing_paused:
            self._missed += not self._reading_paused
            if self._missed > self._beats:
                self._end = (websocket.ABNORMAL, "The peer is silent.")
                self._transport.abort()
                return
            self._transport.write(websocket.encode(websocket.PING, b""))
        wait = self.next_beat()
        if not self._closing:
            self._timer = self._loop.call_later(wait, self._beat)


class DataSocket(Socket):
    """One half of a session; ``splice`` joins two. ``listens`` marks the machine's half."""

    __slots__ = ("_ended", "_listens", "_out", "_peer", "_size", "taken")

    def __init__(
        self, transport: asyncio.Transport, limits: Limits, listens: bool, ended: Callable[[], None]
    ) -> None:
        super().__init__(transport, limits, limits.data_beats)
        transport.set_write_buffer_limits(limits.high_water, limits.low_water)
        self._listens = listens
        self._ended = ended
        self._peer: DataSocket = self
        self._out: list[bytes | memoryview] = []
        self._size = 0
        self.taken = 0  # bytes that came from the peer

    @staticmethod
    def splice(one: DataSocket, other: DataSocket) -> None:
        """Join two sockets; call it before either has read anything."""
        one._peer, other._peer = other, one

    def data_received(self, data: bytes) -> None:
        """Pass on what came, in one write."""
        self.taken += len(data)
        super().data_received(data)
        out = self._out
        if out:
            peer = self._peer._transport
            if self._size <= _JOIN:
                peer.write(b"".join(out))
            else:
                peer.writelines(out)
            out.clear()
            self._size = 0

    def receive(self, piece: Piece) -> None:
        """Give the piece a header of its own; ``data_received`` writes both."""
        if self._peer._closing:
            return
        length = len(piece.data)
        self._out.append(websocket.frame_header(piece.opcode, length, piece.fin))
        self._out.append(piece.data)
        self._size += length

    def close(self, code: int, reason: str = "") -> None:
        """Close this half; what its peer has sent is written first."""
        if self._peer._out:
            self._transport.writelines(self._peer._out)
            self._peer._out.clear()
            self._peer._size = 0
        super().close(code, reason)
        self._peer.pause_reading(False)

    def pause_writing(self) -> None:
        """Stop reading from the other half."""
        super().pause_writing()
        self._peer.pause_reading(True)

    def resume_writing(self) -> None:
        """Read from the other half again."""
        super().resume_writing()
        self._peer.pause_reading(False)

    def _control(self, frame: Control) -> bool:
        done = super()._control(frame)
        if done:
            self._peer.close(*self._farewell(*self._end))
        return done

    def ended(self, code: int, reason: str) -> None:
        """End the other half too, and tell the broker."""
        self._peer.close(*self._farewell(code, reason))
        self._ended()

    def _farewell(self, code: int, reason: str) -> tuple[int, str]:
        """Translate how this half ended for the other (contract B3)."""
        if not self._listens:
            return websocket.GOING_AWAY, reason or "The sender has closed the connection."
        if code in (websocket.NORMAL, websocket.GOING_AWAY, websocket.NO_STATUS):
            return websocket.NORMAL, reason
        if code == websocket.ABNORMAL:
            return websocket.INTERNAL_ERROR, reason or "The connection to the machine was lost."
        return code, reason


class ControlSocket(Socket):
    """A listener's control channel: texts both ways, until its token ends.

    ``handle(socket, text)`` takes a whole message and may raise ``ValueError`` to have the
    channel closed with 1008; ``ended(socket)`` is called once.
    """

    __slots__ = ("_clock", "_ended", "_handle", "_messages", "_texts", "base", "began", "expires_on", "path")

    def __init__(
        self,
        transport: asyncio.Transport,
        limits: Limits,
        path: str,
        base: str,
        expires_on: float,
        clock: Callable[[], float],
        handle: Callable[[ControlSocket, str], None],
        ended: Callable[[ControlSocket], None],
    ) -> None:
        super().__init__(transport, limits, limits.control_beats)
        self.path = path
        self.base = base  # wss://host:port, as the listener knows this relay
        self.expires_on = expires_on
        self.began = self._loop.time()
        self._clock = clock
        self._handle = handle
        self._ended = ended
        self._messages = MessageBuffer(MAX_CONTROL_TEXT)
        self._texts = 0  # since the last beat
        self._schedule()

    def _schedule(self) -> None:
        """Let the next beat come no later than the token's end."""
        self._timer.cancel()
        self._timer = self._loop.call_later(self.next_beat(), self._beat)

    def renew(self, expires_on: float) -> None:
        """Take over a later end."""
        self.expires_on = expires_on
        self._schedule()

    def next_beat(self) -> float:
        """Close with 1008 once the token has ended (contract B2)."""
        left = self.expires_on - self._clock()
        if left <= 0:
            self.close(websocket.POLICY_VIOLATION, "The token has expired.")
        return max(0.05, min(self._limits.ping, left))

    def _beat(self) -> None:
        self._texts = 0
        super()._beat()

    def send(self, text: str) -> bool:
        """Send a text message; return False if the listener does not keep up or is leaving."""
        if self._closing or self._writing_paused or self._transport.is_closing():
            return False
        self._transport.write(websocket.encode(websocket.TEXT, text.encode()))
        return True

    def receive(self, piece: Piece) -> None:
        """Collect a message; binary ones (bodies of foreign responses) are ignored."""
        message = self._messages.add(piece)
        if message is None or message[0] != websocket.TEXT:
            return
        self._texts += 1
        if self._texts > self._limits.control_texts:
            self.close(websocket.POLICY_VIOLATION, "Too many messages.")
            return
        try:
            self._handle(self, message[1].decode())
        except ValueError as error:  # also what decode() raises
            self.close(websocket.POLICY_VIOLATION, str(error)[:120])

    def ended(self, code: int, reason: str) -> None:
        """Tell the broker."""
        self._ended(self)


def peer_of(transport: asyncio.Transport) -> tuple[str, int]:
    """Return the peer's address and port; empty if it is already gone."""
    peer: Any = transport.get_extra_info("peername")
    return (str(peer[0]), int(peer[1])) if isinstance(peer, tuple) and len(peer) >= 2 else ("", 0)
