"""HTTPS listeners: one port for the web application and the relay.

uvicorn's HTTP protocol parses requests and runs the application; WebSocket upgrades are
handed over, transport and all, to the relay, so its bytes never pass ASGI. TLS is
aiofastnet's, for less CPU per byte and because it copies what it must queue.

Everything before authentication is bounded: TLS handshakes here; how many connections there may
be in ``connections``; request heads, bodies, and how long an answer may wait to be read in
``http_protocol``.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import Any

import aiofastnet
from uvicorn.config import Config
from uvicorn.server import ServerState

from landbridge_server.edge.connections import Connections, Room
from landbridge_server.edge.http_protocol import Application, Deadlines, HttpProtocol
from landbridge_server.relay.broker import Broker
from landbridge_server.relay.protocol import upgraded_to

BACKLOG = 2048
"""Connections that the kernel keeps until we accept them."""


@dataclass
class Listener:
    """A listener that serves. ``port`` is the real one where 0 was asked for."""

    host: str
    port: int


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return a TLS context for a server: TLS 1.2 and newer, HTTP/1.1."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(certificate, key, "")  # never ask a terminal for a passphrase
    return context


def reload_certificate(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    """Use a renewed certificate for every handshake from now on; open connections stay.

    Raises:
        ssl.SSLError: the files do not belong together; the context stays as it was.
    """
    server_context(certificate, key)  # OpenSSL drops the old key before it refuses a wrong one
    context.load_cert_chain(certificate, key, "")


def _without_upgrade(app: Application) -> Application:
    """Answer plain requests below ``/$hc/`` here: the application does not know the relay."""

    async def guarded(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http" or not scope["path"].lower().startswith("/$hc/"):
            await app(scope, receive, send)
            return
        text = b"This address is a relay endpoint: it speaks WebSocket only. Send 'Upgrade: websocket'.\n"
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(text))]
        await send({"type": "http.response.start", "status": 400, "headers": headers})
        await send({"type": "http.response.body", "body": text})

    return guarded


@asynccontextmanager
async def listening(
    app: Application,
    broker: Broker,
    ssl_context: ssl.SSLContext | None,
    host: str,
    port: int,
    clock: Callable[[], float],
    deadlines: Deadlines | None = None,
    connections: Connections | None = None,
) -> AsyncIterator[Listener]:
    """Serve ``app`` and the relay on one port until the block ends.

    ``clock`` is unix time, for the Date header. The lifespan of ``app`` is the caller's, as
    two listeners may share it; so is ``broker.shut_down()``. ``connections`` bounds all
    listeners that share it together.

    Raises:
        OSError: the address cannot be bound.
    """
    limits = deadlines or Deadlines()
    config = Config(
        _without_upgrade(app),
        http="httptools",
        ws=upgraded_to(broker),  # type: ignore[arg-type]  # any callable that makes a protocol will do
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # edge/proxies.py decides whose word counts about who a caller is
        timeout_keep_alive=limits.keep_alive,
    )
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    counted = connections or Connections(Room(), loop.time)
    protocol = type("BoundHttpProtocol", (HttpProtocol,), {"deadlines": limits, "guests": counted})
    servers = [
        await aiofastnet.create_server(
            loop,
            lambda: protocol(config=config, server_state=state, app_state={}),
            sock=counted.listening(bound),
            backlog=BACKLOG,
            ssl=ssl_context,
            ssl_handshake_timeout=limits.handshake if ssl_context else None,
            ssl_shutdown_timeout=limits.grace if ssl_context else None,
        )
        for bound in await _bound(loop, host, port)
    ]
    date = _Date(loop, state, clock)
    try:
        yield Listener(host, servers[0].sockets[0].getsockname()[1])
    finally:
        date.stop()
        for server in servers:
            server.close()
        await _drain(state, limits.grace)
        for server in servers:
            await server.wait_closed()
        if connections is None:
            counted.close()


async def _bound(loop: asyncio.AbstractEventLoop, host: str, port: int) -> list[socket.socket]:
    """Return a bound socket for each address that ``host`` means, leaving out families that are off."""
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    absent: OSError | None = None
    for family, address in dict.fromkeys((family, address) for family, _, _, _, address in found):
        try:
            sockets.append(socket.create_server(address, family=family, backlog=BACKLOG))
        except OSError as error:
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                for opened in sockets:
                    opened.close()
                raise
            absent = error
    if not sockets:
        raise absent or OSError(errno.EADDRNOTAVAIL, f"{host} has no address")
    return sockets


class _Date:
    """Keeps the Date header, which RFC 9110 asks of a server with a clock."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, state: ServerState, clock: Callable[[], float]
    ) -> None:
        self._loop, self._state, self._clock = loop, state, clock
        self._tick()

    def _tick(self) -> None:
        now = formatdate(self._clock(), usegmt=True).encode()
        self._state.default_headers = [(b"date", now)]
        self._timer = self._loop.call_later(1.0, self._tick)

    def stop(self) -> None:
        """End the ticking."""
        self._timer.cancel()


async def _drain(state: ServerState, grace: float) -> None:
    """Let requests that are being answered end, then end what is left."""
    for connection in list(state.connections):
        connection.shutdown()
    if state.tasks:
        await asyncio.wait(list(state.tasks), timeout=grace)
    for task in list(state.tasks):
        task.cancel()
    if state.tasks:
        await asyncio.wait(list(state.tasks), timeout=grace)
    for connection in list(state.connections):
        connection.transport.abort()
    await asyncio.sleep(0)
