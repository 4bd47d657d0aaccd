"""RFC 6455's frames without I/O: headers, masks, and a reader that streams.

The handshake that comes before them is ``landbridge_wire.upgrade``.

The reader never holds a frame: a payload leaves as ``Piece``s, in the chunks in which it
came, so that memory does not depend on what a peer announces and a relay can pass each
piece on as a frame of its own. A piece keeps what a fragment must keep: the type on the
first of a message, ``fin`` on the last.

``sshProxy`` carries this module in its one file and starts for every session, so it
imports nothing at load time and uses plain classes: no dataclasses, enum, re or typing.

Not checked here: that text is UTF-8 (a relay passes it on, the ends judge it), and what
sub-protocols and extensions mean; a set RSV bit is refused, as no extension is offered.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
"""Opcodes, RFC 6455 section 5.2."""

NORMAL, GOING_AWAY, PROTOCOL_ERROR, NO_STATUS = 1000, 1001, 1002, 1005
ABNORMAL, POLICY_VIOLATION, TOO_BIG, INTERNAL_ERROR = 1006, 1008, 1009, 1011
"""Close codes, RFC 6455 section 7.4.1."""

MAX_CONTROL = 125
ZERO_MASK = b"\0\0\0\0"


class ProtocolError(Exception):
    """The peer broke RFC 6455. ``code`` is the close code that says so."""

    def __init__(self, reason: str, code: int = PROTOCOL_ERROR) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def frame_header(opcode: int, length: int, fin: bool = True, mask: bytes | None = None) -> bytes:
    """Return the header of a frame whose payload of ``length`` bytes follows.

    With ``mask`` (4 bytes, from a client) the caller applies it to the payload;
    ``ZERO_MASK`` leaves the payload as it is.
    """
    first = opcode | 0x80 if fin else opcode
    second = 0 if mask is None else 0x80
    if length < 126:
        head = bytes((first, second | length))
    elif length < 65536:
        head = bytes((first, second | 126)) + length.to_bytes(2, "big")
    else:
        head = bytes((first, second | 127)) + length.to_bytes(8, "big")
    return head if mask is None else head + mask


def xor_mask(data: bytes | memoryview, mask: bytes) -> bytes:
    """Apply a mask (section 5.3) with one big integer: some 0.3 GB/s, no import.

    A server that talks to many masking clients gives ``FrameReader`` one written in C.
    """
    length = len(data)
    if not length:
        return b""
    pattern = mask * (length // 4 + 1)
    return (int.from_bytes(data, "little") ^ int.from_bytes(pattern[:length], "little")).to_bytes(
        length, "little"
    )


def encode(opcode: int, payload: bytes, mask: bytes | None = None) -> bytes:
    """Return one whole frame, its payload masked with ``mask`` if given."""
    header = frame_header(opcode, len(payload), True, mask)
    return header + (payload if mask is None or mask == ZERO_MASK else xor_mask(payload, mask))


def close_payload(code: int, reason: str = "") -> bytes:
    """Return the body of a close frame; a long reason is cut to fit (section 5.5.1)."""
    if code in (NO_STATUS, ABNORMAL):
        return b""
    text = reason.encode()[: MAX_CONTROL - 2]
    return code.to_bytes(2, "big") + text.decode("utf-8", "ignore").encode()


def parse_close(payload: bytes) -> tuple[int, str]:
    """Return code and reason of a close frame's body; 1005 for an empty one.

    Raises:
        ProtocolError: one byte, a code that must not be sent, or a reason not in UTF-8.
    """
    if not payload:
        return NO_STATUS, ""
    code = int.from_bytes(payload[:2], "big")
    if len(payload) < 2 or not (1000 <= code < 5000) or code in (1004, NO_STATUS, ABNORMAL, 1015):
        raise ProtocolError("A close frame carries no valid code.")
    try:
        return code, payload[2:].decode()
    except UnicodeDecodeError:
        raise ProtocolError("The reason of a close frame is not UTF-8.", 1007) from None


class Piece:
    """A part of a data message, as it came.

    ``opcode`` is TEXT or BINARY on the first piece of a message and CONT after it; ``fin``
    marks the last. ``data`` may be a view of what was fed: write or copy it before the
    buffer is used again.
    """

    __slots__ = ("data", "fin", "opcode")

    def __init__(self, opcode: int, data: bytes | memoryview, fin: bool) -> None:
        self.opcode = opcode
        self.data = data
        self.fin = fin


class Control:
    """A whole control frame: CLOSE, PING or PONG with at most 125 bytes."""

    __slots__ = ("opcode", "payload")

    def __init__(self, opcode: int, payload: bytes) -> None:
        self.opcode = opcode
        self.payload = payload


class FrameReader:
    """Reads the frames of one direction; holds at most one header and one control frame.

    ``masked`` is what the peer must do: True when a client sends, False when a server does
    (section 5.1). ``apply_mask(data, mask)`` may be a faster one than ``xor_mask``.
    """

    __slots__ = ("_control", "_fin", "_head", "_left", "_mask", "_masked", "_opcode", "_open", "_unmask")

    def __init__(
        self, masked: bool, apply_mask: Callable[[bytes | memoryview, bytes], bytes] = xor_mask
    ) -> None:
        self._masked = masked
        self._unmask = apply_mask
        self._head = b""  # an unfinished header
        self._left: int = -1  # payload bytes still to come; -1 between frames
        self._opcode = CONT
        self._fin = True
        self._mask = ZERO_MASK
        self._control = b""  # an unfinished control payload
        self._open = False  # a data message has begun and not ended

    @property
    def buffered(self) -> int:
        """How many bytes are held back: never more than 14 + 125."""
        return len(self._head) + len(self._control)

    def feed(self, data: bytes | memoryview) -> list[Piece | Control]:
        """Take the next bytes; return what they complete, in order.

        Raises:
            ProtocolError: the peer broke the framing; nothing more can be read.
        """
        events: list[Piece | Control] = []
        if self._head:
            data = self._head + bytes(data)
            self._head = b""
        view = memoryview(data)
        position, end = 0, len(view)
        while position < end or self._left == 0:
            if self._left < 0:
                size = self._header(view, position, end)
                if not size:
                    self._head = bytes(view[position:])
                    break
                position += size
                continue
            take = min(self._left, end - position)
            if take or not self._left:
                self._payload(view[position : position + take], events)
                position += take
        return events

    def _header(self, view: memoryview, at: int, end: int) -> int:
        """Read a header; return its size, or 0 if it is not whole yet."""
        if end - at < 2:
            return 0
        first, second = view[at], view[at + 1]
        length = second & 0x7F
        self._check_header(first, second, length)
        size = 2 + (0 if length < 126 else 2 if length == 126 else 8)
        total = size + (4 if self._masked else 0)
        if end - at < total:
            return 0
        if length >= 126:
            length = int.from_bytes(view[at + 2 : at + size], "big")
            if length >> 63:
                raise ProtocolError("A frame announces a length with its highest bit set.")
        self._mask = bytes(view[at + size : at + total]) if self._masked else ZERO_MASK
        self._begin(first, length)
        return total

    def _check_header(self, first: int, second: int, length: int) -> None:
        opcode = first & 0x0F
        if first & 0x70:
            raise ProtocolError("A frame sets a reserved bit; no extension was agreed.")
        if bool(second & 0x80) != self._masked:
            raise ProtocolError("A client must mask its frames, and a server must not.")
        if opcode >= CLOSE:
            if opcode > PONG or not first & 0x80 or length > MAX_CONTROL:
                raise ProtocolError("A control frame is unknown, fragmented or longer than 125 bytes.")
        elif opcode > BINARY:
            raise ProtocolError(f"Opcode {opcode} is reserved.")
        elif (opcode == CONT) != self._open:
            raise ProtocolError("A message was continued that had not begun, or begun within another.")

    def _begin(self, first: int, length: int) -> None:
        self._opcode = first & 0x0F
        self._fin = bool(first & 0x80)
        self._left = length
        if self._opcode < CLOSE:
            self._open = not self._fin

    def _payload(self, part: memoryview, events: list[Piece | Control]) -> None:
        """Take a part of the current payload, which may be its last and may be empty."""
        size = len(part)
        self._left -= size
        done = self._left == 0
        data: bytes | memoryview = part
        mask = self._mask
        if mask != ZERO_MASK and size:
            data = self._unmask(part, mask)
            turn = size & 3
            self._mask = mask[turn:] + mask[:turn]
        if self._opcode >= CLOSE:
            self._control += bytes(data)
            if done:
                events.append(Control(self._opcode, self._control))
                self._control = b""
        else:
            events.append(Piece(self._opcode, data, done and self._fin))
            self._opcode = CONT
        if done:
            self._left = -1


class MessageBuffer:
    """Joins pieces into whole messages where a caller wants those: the control channel."""

    __slots__ = ("_limit", "_opcode", "_parts", "_size")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._opcode = CONT
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, piece: Piece) -> tuple[int, bytes] | None:
        """Return opcode and payload of the message that ``piece`` completes, or None.

        Raises:
            ProtocolError: the message is larger than the limit (close code 1009).
        """
        if piece.opcode != CONT:
            self._opcode = piece.opcode
        self._size += len(piece.data)
        if self._size > self._limit:
            raise ProtocolError(f"A message is larger than {self._limit} bytes.", TOO_BIG)
        if len(piece.data):  # empty fragments cost the peer nothing: they must cost us nothing
            self._parts.append(bytes(piece.data))
        if not piece.fin:
            return None
        payload = b"".join(self._parts)
        self._parts, self._size = [], 0
        return self._opcode, payload
