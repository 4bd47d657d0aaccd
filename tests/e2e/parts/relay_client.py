"""A small sender of a hybrid connection, and the service it meets, for tests with very many sessions.

It does what ``sshProxy`` does, on asyncio: TLS, the upgrade with the Send token and the
wanted port, then bytes in binary frames.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from landbridge_wire import hybrid_connections as wire
from landbridge_wire import websocket
from landbridge_wire.upgrade import check_response, key_for, parse_head, request_head
from landbridge_wire.websocket import Control, FrameReader, Piece
from running import GROUP, MACHINES, ControlPlane

READ = 256 * 1024


class Refused(Exception):
    """The relay answered the upgrade with another status than 101."""


class Ended(Exception):
    """The session is over."""


@dataclass(frozen=True)
class Target:
    """A machine's service: its hybrid connection, a Send token for it, and the port on the machine."""

    path: str
    token: str
    port: int
    trust: ssl.SSLContext


def target_of(cloud: ControlPlane, machine: str, port: int) -> Target:
    """Ask the cloud for the credentials of a machine's endpoint."""
    below = f"{cloud.subscription}/resourceGroups/{GROUP}/providers/{MACHINES}/{machine}"
    endpoint = f"{below}/providers/Microsoft.HybridConnectivity/endpoints/default"
    answer = cloud.arm("POST", f"{endpoint}/listCredentials", {}, version="2023-03-15")
    assert answer.status == 200, answer.body
    relay: dict[str, Any] = answer.body["relay"]
    trust = ssl.create_default_context(cafile=str(cloud.admin.ca_file))
    return Target(relay["hybridConnectionName"], relay["accessKey"], port, trust)


class Tunnel:
    """An open session with a machine's service."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._frames = FrameReader(masked=False)
        self._left = bytearray()

    async def send(self, data: bytes, opcode: int = websocket.BINARY) -> None:
        header = websocket.frame_header(opcode, len(data), True, websocket.ZERO_MASK)
        self._writer.write(header + data)
        await self._writer.drain()

    async def read(self) -> bytes:
        """Return the next bytes of the machine; raise ``Ended`` when there are none."""
        while not self._left:
            data = await self._reader.read(READ)
            if not data:
                raise Ended("the connection broke")
            for event in self._frames.feed(data):
                self._take(event)
        found, self._left = bytes(self._left), bytearray()
        return found

    def _take(self, event: Piece | Control) -> None:
        if isinstance(event, Piece):
            self._left += event.data
        elif event.opcode == websocket.PING:
            self._writer.write(websocket.encode(websocket.PONG, event.payload, websocket.ZERO_MASK))
        elif event.opcode == websocket.CLOSE:
            raise Ended(str(websocket.parse_close(event.payload)))

    async def exactly(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            found += await self.read()
        return found

    def drop(self) -> None:
        self._writer.transport.abort()

    async def close(self) -> None:
        with suppress(OSError):
            self._writer.write(
                websocket.encode(websocket.CLOSE, websocket.close_payload(1000), websocket.ZERO_MASK)
            )
            self._writer.close()
            await self._writer.wait_closed()


async def connect(relay_port: int, target: Target) -> Tunnel:
    """Open a session through the relay on ``relay_port`` of this host.

    Raises:
        Refused: with the relay's status and reason.
        OSError, EOFError: the relay is not there, or left.
    """
    address = f"/$hc/{target.path}?sb-hc-action=connect&sb-hc-id={os.urandom(8).hex()}"
    headers = [(wire.TOKEN_HEADER, target.token), (wire.TARGET_HEADER, f"localhost:{target.port}")]
    return Tunnel(*await _upgraded(relay_port, target.trust, address, headers))


async def listen(relay_port: int, path: str, token: str, trust: ssl.SSLContext) -> Tunnel:
    """Open the control channel of a machine that has no agent; raises what ``connect`` does."""
    address = f"/$hc/{path}?sb-hc-action=listen"
    return Tunnel(*await _upgraded(relay_port, trust, address, [(wire.TOKEN_HEADER, token)]))


async def _upgraded(
    relay_port: int, trust: ssl.SSLContext, address: str, headers: list[tuple[str, str]]
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", relay_port, ssl=trust, server_hostname="localhost", limit=4 * READ
    )
    try:
        key = key_for(os.urandom(16))
        writer.write(request_head(address, f"localhost:{relay_port}", key, headers))
        head = parse_head(await reader.readuntil(b"\r\n\r\n"))
        if head.status != 101:
            raise Refused(f"{head.status} {head.reason}")
        check_response(head, key)
        return reader, writer
    except BaseException:
        writer.transport.abort()
        raise


def reserved_port() -> socket.socket:
    """Return a listening socket, so that its port is known before anybody serves on it."""
    return socket.create_server(("127.0.0.1", 0), backlog=1024)


@asynccontextmanager
async def echoing(listener: socket.socket) -> AsyncIterator[None]:
    """Send back whatever comes."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.CancelledError):  # cancelled: a test ended before its sessions
            while data := await reader.read(READ):
                writer.write(data)
                await writer.drain()
        writer.transport.abort()

    async with await asyncio.start_server(echo, sock=listener):
        yield
