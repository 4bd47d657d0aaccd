"""The pump between standard input and output and the relay: one poll loop, no threads.

Every direction holds at most one read's worth of bytes: a side that does not take what it
was given is waited for, and its source is not read meanwhile.
"""

from __future__ import annotations

import os
import select
import ssl

from landbridge_client.dialling import READ, Channel
from landbridge_client.relay_info import COPYING, ProxyError
from landbridge_wire.websocket import (
    BINARY,
    CLOSE,
    NO_STATUS,
    NORMAL,
    PING,
    PONG,
    ZERO_MASK,
    FrameReader,
    Piece,
    ProtocolError,
    close_payload,
    encode,
    frame_header,
    parse_close,
)

PIPE = 1 << 20
"""The size that pipes are grown to where the system lets us."""

RECORD = 16 * 1024
"""The largest TLS record's payload; it is read whole."""

HEADROOM = 14
"""The longest frame header; it is written in front of the payload, so both are one TLS write."""

SMALL = 4096
"""Payloads up to this size get a random mask; see docs/adr/0004-websocket-masks.md."""


def grow(descriptor: int) -> None:
    """Let a pipe hold more, so that fewer and larger reads and writes do."""
    try:
        import fcntl

        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE)
    except (ImportError, AttributeError, OSError):
        pass  # not Linux, not a pipe, or beyond the user's allowance


class Pump:
    """Carries bytes until either side ends; ``run`` returns when the relay closed normally."""

    def __init__(self, channel: Channel, source: int, sink: int) -> None:
        self._channel = channel
        self._source, self._sink = source, sink
        self._frames = FrameReader(masked=False)
        # Both are used again for each read, and only once all that was read has gone on.
        self._plain = memoryview(bytearray(READ + 2 * RECORD))
        self._frame = memoryview(bytearray(HEADROOM + READ))
        self._to_sink: list[bytes | memoryview] = []
        self._to_relay = memoryview(b"")
        self._reading_source = True
        self._closed: tuple[int, str] | None = None
        self._poll = select.poll()
        self._masks: dict[int, int] = {}

    def run(self, early: bytes) -> None:
        """Pump until the end; ``early`` is what came with the 101.

        Raises:
            ProxyError: the connection broke, or the relay closed with a reason.
        """
        channel = self._channel
        channel.socket.setblocking(False)
        for descriptor in (self._source, self._sink):
            grow(descriptor)
            os.set_blocking(descriptor, False)
        try:
            self._loop(early)
        except ssl.SSLError as error:
            raise ProxyError(COPYING + f"TLS: {error.reason or error}") from None
        except ProtocolError as error:
            raise ProxyError(COPYING + error.reason) from None
        except OSError as error:
            raise ProxyError(COPYING + (error.strerror or str(error))) from None
        finally:
            for descriptor in (self._source, self._sink):
                os.set_blocking(descriptor, True)  # it may be a terminal that others go on using
        self._judge()

    def _loop(self, early: bytes) -> None:
        wire = self._channel.socket.fileno()
        self._receive(early)
        self._decrypt()
        while True:
            self._send()
            if not self._write_sink():
                self._say_goodbye()
                return
            if self._closed and not self._to_sink and not self._to_relay:
                return
            busy = bool(self._to_sink)
            self._watch(wire, (0 if busy else select.POLLIN) | (select.POLLOUT if self._to_relay else 0))
            self._watch(self._source, select.POLLIN if self._reading_source and not self._to_relay else 0)
            # Watched always: POLLERR tells that the reader is gone.
            self._watch(self._sink, select.POLLOUT if busy else 0, always=True)
            ready = dict(self._poll.poll())
            if ready.get(self._sink, 0) & (select.POLLERR | select.POLLNVAL):
                self._say_goodbye()
                return
            if ready.get(wire, 0) & (select.POLLIN | select.POLLHUP | select.POLLERR):
                self._read_wire()
            if ready.get(self._source, 0):
                self._read_source()

    def _watch(self, descriptor: int, events: int, always: bool = False) -> None:
        """Register what is waited for; a descriptor that is not waited for is taken out.

        A closed pipe reports POLLHUP whatever was asked, which would spin the loop.
        """
        wanted = events if events or always else -1
        if self._masks.get(descriptor, -1) == wanted:
            return
        self._masks[descriptor] = wanted
        if wanted >= 0:
            self._poll.register(descriptor, wanted)
        else:
            self._poll.unregister(descriptor)

    # -- from the relay

    def _read_wire(self) -> None:
        try:
            alive = self._channel.receive()
        except (BlockingIOError, InterruptedError):
            return
        self._decrypt()
        if not alive and self._closed is None:
            raise ConnectionResetError("the relay closed the connection")

    def _decrypt(self) -> None:
        """Decrypt all that was received and take its frames.

        Nothing may wait for the sink: its pieces lie where this writes. One ``receive`` and
        the rest of a record always fit, and there is nothing to decrypt once ``incoming`` is
        empty: OpenSSL takes no more from it than the record that it gives.
        """
        tls, incoming, plain = self._channel.tls, self._channel.incoming, self._plain
        filled = 0
        try:
            while incoming.pending and filled <= len(plain) - RECORD:
                size = int(tls.read(RECORD, plain[filled:]))  # given a buffer, it returns a size
                if not size:
                    raise ssl.SSLEOFError
                filled += size
        except ssl.SSLWantReadError:
            pass
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            self._receive(plain[:filled])
            if self._closed is None:
                raise ConnectionResetError("the relay closed the connection without a word") from None
            return
        if filled:
            self._receive(plain[:filled])

    def _receive(self, data: bytes | memoryview) -> None:
        if self._closed is not None:
            return  # RFC 6455 section 5.5.1: nothing counts after a close frame
        for event in self._frames.feed(data):
            if isinstance(event, Piece):
                if len(event.data):
                    self._to_sink.append(event.data)
            elif event.opcode == PING:
                self._queue(encode(PONG, event.payload, os.urandom(4)))
            elif event.opcode == CLOSE:
                self._closed = parse_close(event.payload)
                self._queue(encode(CLOSE, event.payload[:2], os.urandom(4)))
                return

    def _write_sink(self) -> bool:
        """Write what came to standard output; return False if nobody reads it any more."""
        pending = self._to_sink
        while pending:
            try:
                written = os.writev(self._sink, pending[:64])
            except (BlockingIOError, InterruptedError):
                return True
            except BrokenPipeError:
                return False
            while pending and written >= len(pending[0]):
                written -= len(pending[0])
                del pending[0]
            if written:
                pending[0] = memoryview(pending[0])[written:]
        return True

    # -- to the relay

    def _read_source(self) -> None:
        frame = self._frame
        try:
            size = os.readv(self._source, (frame[HEADROOM:],))
        except (BlockingIOError, InterruptedError):
            return
        if not size:
            # An empty binary message: our agent closes its half towards sshd, others ignore it.
            self._reading_source = False
        if size <= SMALL:
            self._queue(encode(BINARY, bytes(frame[HEADROOM : HEADROOM + size]), os.urandom(4)))
            return
        header = frame_header(BINARY, size, True, ZERO_MASK)
        start = HEADROOM - len(header)
        frame[start:HEADROOM] = header
        self._queue(frame[start : HEADROOM + size])

    def _queue(self, data: bytes | memoryview) -> None:
        """Encrypt; ``outgoing`` takes all of it at once."""
        self._channel.tls.write(data)

    def _send(self) -> None:
        """Send what is encrypted, as far as the socket takes it."""
        while True:
            if not self._to_relay:
                if not self._channel.outgoing.pending:
                    return
                self._to_relay = memoryview(self._channel.outgoing.read())
            try:
                sent = self._channel.socket.send(self._to_relay)
            except (BlockingIOError, InterruptedError):
                return
            self._to_relay = self._to_relay[sent:]

    def _say_goodbye(self) -> None:
        """Tell the relay that our reader is gone, as far as it listens, without waiting."""
        self._closed = (NORMAL, "")
        self._queue(encode(CLOSE, close_payload(NORMAL), os.urandom(4)))
        self._send()

    def _judge(self) -> None:
        code, reason = self._closed or (NO_STATUS, "")
        if code not in (NORMAL, NO_STATUS):
            raise ProxyError(COPYING + (reason or f"the relay closed the connection with code {code}"))
