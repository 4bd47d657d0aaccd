"""A port of its own for ``/metrics``: one path, read only, and nothing else of the control plane.

On loopback it speaks plain HTTP, and asks for a bearer token if one is configured. On any other
address it speaks TLS with the server's certificate, and there must be a token. What it tells holds
no ids and no names, but how a cloud is doing is not for strangers.
"""

from __future__ import annotations

import asyncio
import hmac
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from landbridge_server.config import Address
from landbridge_server.edge.exposition import CONTENT_TYPE

HEAD_LIMIT = 8 * 1024
HEAD_SECONDS = 5.0
AT_ONCE = 8
"""Connections that are served at a time; one more is closed."""

Exposition = Callable[[], Awaitable[bytes]]


class MetricsListener:
    """Answers scrapes."""

    def __init__(self, exposition: Exposition, token: bytes = b"") -> None:
        """Answer with what ``exposition`` returns, to whoever has the token; empty: to everybody."""
        self._exposition = exposition
        self._token = token
        self._serving = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the one request of a connection."""
        self._serving += 1
        try:
            if self._serving <= AT_ONCE:
                async with asyncio.timeout(HEAD_SECONDS):
                    head = await reader.readuntil(b"\r\n\r\n")
                writer.write(await self._answer(head))
                async with asyncio.timeout(HEAD_SECONDS):
                    await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whoever it was did not want an answer
        finally:
            self._serving -= 1
            writer.close()
            with suppress(OSError, ssl.SSLError):
                await writer.wait_closed()

    async def _answer(self, head: bytes) -> bytes:
        start, *fields = head.decode("latin-1").split("\r\n")
        method, _, rest = start.partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        if method not in ("GET", "HEAD"):
            return _response(405, "Method Not Allowed", b"Only GET.\n", "Allow: GET, HEAD\r\n")
        if path != "/metrics":
            return _response(404, "Not Found", b"There is only /metrics.\n")
        if not self._good(fields):
            refusal = b"A bearer token is needed: see --metrics-token-file.\n"
            return _response(401, "Unauthorized", refusal, "WWW-Authenticate: Bearer\r\n")
        body = await self._exposition()
        answer = _response(200, "OK", body, content_type=CONTENT_TYPE)
        return answer if method == "GET" else answer[: len(answer) - len(body)]

    def _good(self, fields: list[str]) -> bool:
        if not self._token:
            return True
        given = [text.strip() for name, _, text in (one.partition(":") for one in fields) if _is_auth(name)]
        scheme, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
        return scheme.lower() == "bearer" and hmac.compare_digest(
            token.strip().encode("latin-1"), self._token
        )


def _is_auth(name: str) -> bool:
    return name.strip().lower() == "authorization"


def _response(
    status: int, phrase: str, body: bytes, more: str = "", content_type: str = "text/plain; charset=utf-8"
) -> bytes:
    head = (
        f"HTTP/1.1 {status} {phrase}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        f"Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n{more}Connection: close\r\n\r\n"
    )
    return head.encode() + body


@asynccontextmanager
async def metrics_listening(
    exposition: Exposition, where: Address, context: ssl.SSLContext | None, token: bytes
) -> AsyncIterator[int]:
    """Serve on an address until the block ends, with TLS where a context is given; yield the port.

    Raises:
        OSError: the address cannot be bound.
    """
    listener = MetricsListener(exposition, token)
    server = await asyncio.start_server(listener.serve, where.host, where.port, ssl=context, limit=HEAD_LIMIT)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
