"""A small HTTP/1.1 server for loopback, bounded in every way. One request for each connection.

It reads a head of at most ``MAX_HEAD`` bytes within ``HEAD_SECONDS``, lets a handler answer,
and closes. Bodies are not read: nothing here takes one. With ``MAX_CONNECTIONS`` open, the one
that has said nothing for longest gives way; where all are being answered, the newest gets 503.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote

from landbridge_wire.upgrade import HandshakeError, Head, build_head, head_length, parse_head

MAX_HEAD = 16 * 1024
HEAD_SECONDS = 10.0
MAX_CONNECTIONS = 64
MAX_PARAMETERS = 32

REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


class Request(NamedTuple):
    """A request: nothing in it is verified but its form. ``peer`` and ``local`` are both socket ends."""

    method: str
    path: str
    parameters: Mapping[str, str]
    head: Head
    peer: tuple[str, int]
    local: tuple[str, int]

    def headers(self, name: str) -> list[str]:
        """Return every value of a header."""
        return [value for key, value in self.head.headers if key.lower() == name.lower()]


class Reply(NamedTuple):
    """An answer; ``body`` becomes JSON, or is ``plain`` text."""

    status: int
    body: object
    headers: tuple[tuple[str, str], ...] = ()
    plain: bool = False


Handler = Callable[[Request], Awaitable[Reply]]


def failure(status: int, error: str, description: str, *headers: tuple[str, str]) -> Reply:
    """Return a refusal in the form that the clients of this service read."""
    return Reply(status, {"error": error, "error_description": description}, headers)


def read_request(data: bytes, peer: tuple[str, int], local: tuple[str, int]) -> Request:
    """Read a head.

    Raises:
        ValueError: it is not one of HTTP/1.1 with a path; the text says why.
    """
    try:
        head = parse_head(data)
    except HandshakeError as error:
        raise ValueError(str(error)) from error
    words = head.start.split(" ")
    if len(words) != 3 or words[2] not in ("HTTP/1.1", "HTTP/1.0"):
        raise ValueError("The request does not begin with 'METHOD PATH HTTP/1.1'.")
    method, target, _ = words
    if not target.startswith("/"):
        # What a proxy would be asked: whoever sends it means somebody else.
        raise ValueError("The request names a whole URL, as for a proxy; only a path is taken.")
    path, _, query = target.partition("?")
    pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=MAX_PARAMETERS, errors="strict")
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise ValueError("A parameter is given twice.")
    return Request(method, unquote(path, errors="strict"), parameters, head, peer, local)


def encode(reply: Reply) -> bytes:
    """Return the bytes of an answer."""
    if reply.plain:
        body, kind = str(reply.body).encode(), "text/plain; charset=utf-8"
    else:
        body, kind = json.dumps(reply.body, separators=(",", ":")).encode(), "application/json; charset=utf-8"
    reason = REASONS.get(reply.status, "Error")
    lines = [
        ("Content-Type", kind),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        *reply.headers,
        ("Connection", "close"),
    ]
    return build_head(f"HTTP/1.1 {reply.status} {reason}", lines) + body


class LocalServer:
    """Serves listening sockets with one handler. ``defect`` is told of what a handler raised."""

    def __init__(self, handler: Handler, defect: Callable[[Exception], None]) -> None:
        self._handler = handler
        self._defect = defect
        self._servers: list[asyncio.Server] = []
        self._open: dict[_Connection, None] = {}  # oldest first

    async def listen(self, sock: socket.socket) -> None:
        """Serve a bound socket."""
        loop = asyncio.get_running_loop()
        made = await loop.create_server(lambda: _Connection(self), sock=sock, backlog=MAX_CONNECTIONS)
        self._servers.append(made)

    def close(self) -> None:
        """Stop listening, and end every connection."""
        for server in self._servers:
            server.close()
        self._servers.clear()
        for one in list(self._open):
            one.abort()

    def admit(self, new: _Connection) -> bool:
        """Say whether there is room, or make it."""
        if len(self._open) >= MAX_CONNECTIONS:
            silent = next((one for one in self._open if one.task is None), None)
            if silent is None:
                return False
            silent.abort()
            self._open.pop(silent, None)
        self._open[new] = None
        return True

    def left(self, one: _Connection) -> None:
        """Note that a connection has ended."""
        self._open.pop(one, None)

    async def answer(self, request: Request) -> Reply:
        """Return the handler's answer; a defect of ours becomes a 500 that tells nothing."""
        try:
            return await self._handler(request)
        except Exception as error:
            self._defect(error)
            return failure(500, "internal_error", "The agent has a defect; see himds.log.")


class _Connection(asyncio.Protocol):
    """Reads one head, and writes one answer."""

    def __init__(self, server: LocalServer) -> None:
        self._server = server
        self._data = bytearray()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("A connection needs a stream transport.")
        self._transport = transport
        if not self._server.admit(self):
            self._end(failure(503, "server_busy", "Too many requests at once; try again in a moment."))
            return
        loop = asyncio.get_running_loop()
        late = failure(408, "timeout", f"No whole request came within {HEAD_SECONDS:g} seconds.")
        self._timer = loop.call_later(HEAD_SECONDS, self._end, late)

    def data_received(self, data: bytes) -> None:
        if self.task is not None or self._transport is None or self._transport.is_closing():
            return  # a body, or a second request: neither is read
        self._data += data
        try:
            length = head_length(self._data, MAX_HEAD)
        except HandshakeError as error:
            self._end(failure(431, "invalid_request", str(error)))
            return
        if not length:
            return
        if self._timer is not None:
            self._timer.cancel()
        peer, local = (self._transport.get_extra_info(name) for name in ("peername", "sockname"))
        try:
            request = read_request(bytes(self._data[:length]), peer[:2], local[:2])
        except (ValueError, TypeError) as error:
            self._end(failure(400, "invalid_request", f"{error}"))
            return
        self.task = asyncio.get_running_loop().create_task(self._answer(request))

    async def _answer(self, request: Request) -> None:
        self._end(await self._server.answer(request))

    def _end(self, reply: Reply) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(encode(reply))
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.left(self)
        if self._timer is not None:
            self._timer.cancel()
        if self.task is not None:
            self.task.cancel()
        self._transport = None

    def abort(self) -> None:
        """End it at once."""
        if self._transport is not None:
            self._transport.abort()
