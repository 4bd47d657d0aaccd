"""A small HTTPS client for JSON: one request per connection, everything bounded.

The command line and the daemon share it. It speaks HTTP/1.1 over asyncio's streams because
``http.client`` would cost the daemon 2 MiB and a thread.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol
from urllib.parse import urlencode

from landbridge_agent.dial import Dialer, Unreachable, split_https
from landbridge_wire.upgrade import HandshakeError, Head, build_head, parse_head

REQUEST_SECONDS = 60.0
"""How long a request and its whole answer may take."""

MAX_HEAD = 64 * 1024
MAX_BODY = 4 * 1024 * 1024
"""Answers with a longer head or body are refused, in bytes."""


class Response(NamedTuple):
    """A whole answer."""

    status: int
    head: Head
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether the status is one of 2xx."""
        return 200 <= self.status < 300

    def json(self) -> dict[str, object]:
        """Return the body as an object; an empty one when it is none.

        Callers read members with care: the answer may come from anything.
        """
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}

    def text(self, name: str) -> str:
        """Return a member of the body if it is a string, else an empty one."""
        value = self.json().get(name)
        return value if isinstance(value, str) else ""

    @property
    def error(self) -> tuple[str, str]:
        """Code and message of an ARM envelope or an OAuth error; what there is of it."""
        error = self.json().get("error")
        if isinstance(error, dict):
            return str(error.get("code", "")), str(error.get("message", ""))
        if isinstance(error, str):
            return error, self.text("error_description")
        return "", ""

    @property
    def reason(self) -> str:
        """What the server said about a failure, in one line."""
        code, message = self.error
        said = f"{code}: {message}" if code and message else code or message
        return said or f"HTTP {self.status} {self.head.reason}".strip()

    def server_time(self) -> float | None:
        """Return the server's clock (unix seconds) from ``Date``, or None."""
        from email.utils import parsedate_to_datetime  # 1.3 MiB that the daemon can do without

        date = self.head.get("Date")
        try:
            return parsedate_to_datetime(date).timestamp() if date else None
        except ValueError:
            return None


class Requests(Protocol):
    """What callers need of a client; tests may bring their own."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        token: str = "",
        body: object = None,
        form: Mapping[str, str] | None = None,
        headers: Sequence[tuple[str, str]] = (),
        content: bytes | None = None,
    ) -> Response:
        """Send one request and return its answer, whatever its status."""
        ...


class Client:
    """Sends requests through a ``Dialer``."""

    def __init__(self, dialer: Dialer, agent: str) -> None:
        self._dialer = dialer
        self._agent = agent
        self._proxy = dialer.proxy

    def know(self, hosts: Mapping[str, Sequence[str]]) -> None:
        """Have the words for services in the proxy's bypass list (``arm``, ``aad``) mean these names."""
        self._dialer.proxy = self._proxy.expanded(hosts)

    async def request(
        self,
        method: str,
        url: str,
        *,
        token: str = "",
        body: object = None,
        form: Mapping[str, str] | None = None,
        headers: Sequence[tuple[str, str]] = (),
        content: bytes | None = None,
    ) -> Response:
        """Send one request and return its answer, whatever its status.

        ``body`` goes as JSON, ``form`` as a form, ``content`` as it is; ``token`` as the bearer.
        Redirects are not followed: a token goes where it was meant to go.

        Raises:
            Unreachable: no connection, no answer in time, or none that can be read.
        """
        parts = split_https(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        payload = b""
        lines = [("Host", parts.netloc), ("User-Agent", self._agent), ("Accept", "application/json")]
        if body is not None:
            payload = json.dumps(body, separators=(",", ":")).encode()
            lines.append(("Content-Type", "application/json"))
        elif form is not None:
            payload = urlencode(form).encode()
            lines.append(("Content-Type", "application/x-www-form-urlencoded"))
        elif content is not None:
            payload = content
            lines.append(("Content-Type", "application/octet-stream"))
        if payload or method in ("POST", "PUT", "PATCH"):
            lines.append(("Content-Length", str(len(payload))))
        if token:
            lines.append(("Authorization", f"Bearer {token}"))
        lines += [*headers, ("Connection", "close")]
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                return await self._exchange(url, build_head(f"{method} {target} HTTP/1.1", lines) + payload)
        except TimeoutError:
            raise Unreachable(f"{parts.netloc} did not answer within {REQUEST_SECONDS:g} seconds.") from None
        except (HandshakeError, ValueError, EOFError) as error:
            raise Unreachable(f"{parts.netloc} gave an answer that cannot be read: {error}.") from error
        except OSError as error:
            raise Unreachable(
                f"The connection to {parts.netloc} broke: {error.strerror or error}."
            ) from error

    async def _exchange(self, url: str, request: bytes) -> Response:
        reader = asyncio.StreamReader(limit=MAX_HEAD)
        transport, protocol = await self._dialer.open(url, lambda: asyncio.StreamReaderProtocol(reader))
        writer = asyncio.StreamWriter(transport, protocol, reader, asyncio.get_running_loop())
        try:
            writer.write(request)
            head = await _head(reader)
            return Response(head.status, head, await _body(reader, head))
        except asyncio.IncompleteReadError as error:
            raise EOFError("it ended early") from error
        except asyncio.LimitOverrunError as error:
            raise ValueError("its head is too long") from error
        finally:
            transport.abort()


async def _head(reader: asyncio.StreamReader) -> Head:
    while True:
        head = parse_head(await reader.readuntil(b"\r\n\r\n"))
        if head.status >= 200:
            return head


async def _body(reader: asyncio.StreamReader, head: Head) -> bytes:
    if head.status in (204, 304):
        return b""
    if "chunked" in head.tokens("Transfer-Encoding"):
        return await _chunks(reader)
    length = head.get("Content-Length")
    if length:
        if not length.isdigit() or int(length) > MAX_BODY:
            raise ValueError("its body is too long")
        return await reader.readexactly(int(length))
    return await _until_closed(reader)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    """RFC 9112 section 7.1; trailers are left unread, as the connection closes."""
    parts: list[bytes] = []
    total = 0
    while True:
        size = int((await reader.readuntil(b"\r\n")).split(b";")[0].strip(), 16)
        total += size
        if size < 0 or total > MAX_BODY:
            raise ValueError("its body is too long")
        if size == 0:
            return b"".join(parts)
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)


async def _until_closed(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while chunk := await reader.read(64 * 1024):
        body += chunk
        if len(body) > MAX_BODY:
            raise ValueError("its body is too long")
    return bytes(body)
