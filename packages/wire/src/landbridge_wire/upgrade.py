"""RFC 6455's opening handshake without I/O: building, reading and checking HTTP/1.1 heads.

Frames are ``landbridge_wire.websocket``'s. As ``sshProxy`` carries this module in its one
file and starts for every session, nothing is imported at load time.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
MAX_HEAD = 64 * 1024
"""The longest request or response head that is read, in bytes."""


class HandshakeError(Exception):
    """A head cannot be read, or does not answer our upgrade; the text says why."""


def key_for(nonce: bytes) -> str:
    """Return the ``Sec-WebSocket-Key`` for 16 random bytes."""
    from binascii import b2a_base64

    return b2a_base64(nonce, newline=False).decode()


def accept_for(key: str) -> str:
    """Return the ``Sec-WebSocket-Accept`` that answers ``key`` (section 4.2.2)."""
    from binascii import b2a_base64
    from hashlib import sha1

    digest = sha1(key.encode("latin-1") + GUID, usedforsecurity=False).digest()
    return b2a_base64(digest, newline=False).decode()


class Head:
    """A request or response head: its start line and its headers, in order.

    Values are decoded as latin-1, names keep their case; ``get`` ignores it.
    """

    __slots__ = ("headers", "start")

    def __init__(self, start: str, headers: list[tuple[str, str]]) -> None:
        self.start = start
        self.headers = headers

    def get(self, name: str, default: str = "") -> str:
        """Return the first value of a header, or ``default``."""
        name = name.lower()
        for key, value in self.headers:
            if key.lower() == name:
                return value
        return default

    def tokens(self, name: str) -> list[str]:
        """Return the comma-separated words of a header over all its lines, lower-case."""
        name = name.lower()
        lines = [value for key, value in self.headers if key.lower() == name]
        return [word.strip().lower() for word in ",".join(lines).split(",") if word.strip()]

    @property
    def status(self) -> int:
        """The status of a response head.

        Raises:
            HandshakeError: the start line is not one of HTTP/1.x.
        """
        parts = self.start.split(" ", 2)
        if len(parts) < 2 or not parts[0].startswith("HTTP/1.") or not parts[1].isdigit():
            raise HandshakeError("The peer does not answer with HTTP/1.1.")
        return int(parts[1])

    @property
    def reason(self) -> str:
        """The reason phrase of a response head; may be empty."""
        return self.start.split(" ", 2)[2] if self.start.count(" ") > 1 else ""


def head_length(data: bytes | bytearray, limit: int = MAX_HEAD) -> int:
    """Return the length of the head at the front of ``data``, or 0 if it has not ended yet.

    Raises:
        HandshakeError: it is longer than ``limit``.
    """
    end = data.find(b"\r\n\r\n")
    length = end + 4 if end >= 0 else 0
    if (length or len(data)) > limit:
        raise HandshakeError(f"The head is longer than {limit} bytes.")
    return length


def parse_head(data: bytes) -> Head:
    """Read a whole head, with or without its final empty line.

    Raises:
        HandshakeError: a line has no colon, a name has spaces, or a line is continued.
    """
    lines = data.decode("latin-1").rstrip("\r\n").split("\r\n")
    headers = []
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip() or " " in name:
            raise HandshakeError("A header line is not 'name: value'.")
        headers.append((name, value.strip()))
    return Head(lines[0], headers)


def _field(text: str) -> bytes:
    """Encode a header part so that it cannot end its line: the guard against injection."""
    return text.replace("\r", " ").replace("\n", " ").encode("latin-1", "replace")


def build_head(start: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """Return a head; line breaks within start line or headers become spaces."""
    lines = [_field(start)]
    lines += [_field(name) + b": " + _field(value) for name, value in headers]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def request_head(target: str, host: str, key: str, headers: Iterable[tuple[str, str]] = ()) -> bytes:
    """Return the client's upgrade request (section 4.1)."""
    fixed = [
        ("Host", host),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", key),
        ("Sec-WebSocket-Version", "13"),
    ]
    return build_head(f"GET {target} HTTP/1.1", [*fixed, *headers])


def check_request(head: Head) -> str:
    """Return the ``Sec-WebSocket-Key`` of a valid upgrade request.

    Raises:
        HandshakeError: it is not one (section 4.2.1).
    """
    if not head.start.startswith("GET ") or not head.start.endswith(" HTTP/1.1"):
        raise HandshakeError("A WebSocket begins with 'GET ... HTTP/1.1'.")
    if "websocket" not in head.tokens("Upgrade") or "upgrade" not in head.tokens("Connection"):
        raise HandshakeError("This address speaks WebSocket only: send 'Upgrade: websocket'.")
    if head.get("Sec-WebSocket-Version") != "13":
        raise HandshakeError("Only Sec-WebSocket-Version 13 is spoken here.")
    key = head.get("Sec-WebSocket-Key")
    if not 1 <= len(key) <= 64:
        raise HandshakeError("Sec-WebSocket-Key is missing or malformed.")
    return key


def accept_head(key: str, headers: Iterable[tuple[str, str]] = ()) -> bytes:
    """Return the server's 101 for a request with ``key``."""
    fixed = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept_for(key))]
    return build_head("HTTP/1.1 101 Switching Protocols", [*fixed, *headers])


def check_response(head: Head, key: str) -> None:
    """Check a 101 against our request's key; look at ``head.status`` before.

    Raises:
        HandshakeError: it is not a 101 that answers ``key`` (section 4.1).
    """
    if head.status != 101 or "websocket" not in head.tokens("Upgrade"):
        raise HandshakeError(f"The server did not switch to WebSocket: {head.status} {head.reason}.")
    if head.get("Sec-WebSocket-Accept") != accept_for(key):
        raise HandshakeError("The server's Sec-WebSocket-Accept does not answer our key.")
