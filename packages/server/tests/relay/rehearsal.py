"""A real relay on a real TLS port, a small agent and a small sender, for tests.

Loaded by the conftest of this folder and of the client's tests as ``relay_rehearsal``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from landbridge_server.ca.authority import CertificateAuthority
from landbridge_server.ca.keyring import key_pem, new_key
from landbridge_server.edge.listener import Deadlines, listening, server_context
from landbridge_server.relay.broker import Broker
from landbridge_server.relay.credentials import RelayCredentials
from landbridge_server.relay.limits import Limits
from landbridge_server.relay.names import hybrid_connection_path
from landbridge_wire import hybrid_connections as wire
from landbridge_wire import listener as machine
from landbridge_wire import upgrade, websocket
from landbridge_wire.websocket import Control, FrameReader, Piece

MACHINE = "11111111-1111-1111-1111-111111111111"
OTHER_MACHINE = "22222222-2222-2222-2222-222222222222"
USER = "99999999-9999-9999-9999-999999999999"
PATH = hybrid_connection_path(MACHINE)
OTHER_PATH = hybrid_connection_path(OTHER_MACHINE)


@dataclass
class Clock:
    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Directory:
    entities: dict[str, str] = field(default_factory=lambda: {PATH: MACHINE, OTHER_PATH: OTHER_MACHINE})
    denied: set[str] = field(default_factory=set)
    listens_until: float = 0.0

    def entity(self, path: str) -> str | None:
        return self.entities.get(path)

    def may_listen(self, path: str, expires_on: float) -> bool:
        return expires_on >= self.listens_until

    def may_send(self, sender_object_id: str, path: str) -> bool:
        return sender_object_id not in self.denied


class WebSocket:
    """A client's WebSocket over asyncio streams."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.frames = FrameReader(masked=False)
        self.head = upgrade.Head("", [])
        self.events: list[Piece | Control] = []
        self.pings = 0
        self.closed: tuple[int, str] | None = None

    async def send(self, payload: bytes, opcode: int = websocket.BINARY, fin: bool = True) -> None:
        header = websocket.frame_header(opcode, len(payload), fin, websocket.ZERO_MASK)
        self.writer.writelines([header, payload])
        await self.writer.drain()

    async def send_masked(self, payload: bytes, opcode: int = websocket.BINARY) -> None:
        self.writer.write(websocket.encode(opcode, payload, os.urandom(4)))
        await self.writer.drain()

    async def next(self) -> Piece | Control | None:
        """Return the next event, answering pings; None once the connection has ended."""
        while True:
            while self.events:
                event = self.events.pop(0)
                if isinstance(event, Control) and event.opcode == websocket.PING:
                    self.pings += 1
                    await self.send(event.payload, websocket.PONG)
                    continue
                if isinstance(event, Control) and event.opcode == websocket.CLOSE:
                    self.closed = websocket.parse_close(event.payload)
                return event
            data = await self.reader.read(256 * 1024)
            if not data:
                return None
            self.events = [
                Piece(e.opcode, bytes(e.data), e.fin) if isinstance(e, Piece) else e
                for e in self.frames.feed(data)
            ]

    async def message(self) -> tuple[int, bytes]:
        """Return the next whole message; fails if a close comes instead."""
        parts, opcode = [], 0
        while True:
            event = await self.next()
            if isinstance(event, Control) and event.opcode == websocket.PONG:
                continue
            assert isinstance(event, Piece), f"ended instead: {self.closed}"
            opcode = event.opcode or opcode
            parts.append(event.data)
            if event.fin:
                return opcode, b"".join(parts)

    async def receive_bytes(self, count: int) -> bytes:
        found = bytearray()
        while len(found) < count:
            event = await self.next()
            assert isinstance(event, Piece), f"ended after {len(found)} bytes: {self.closed}"
            found += event.data
        return bytes(found)

    async def until_closed(self) -> tuple[int, str]:
        """Read on until a close frame (answered) or the end; 1006 if there was none."""
        while True:
            event = await self.next()
            if event is None:
                return (websocket.ABNORMAL, "")
            if isinstance(event, Control) and event.opcode == websocket.CLOSE:
                with contextlib.suppress(OSError):
                    await self.send(event.payload, websocket.CLOSE)
                self.drop()
                return self.closed or (websocket.ABNORMAL, "")

    def drop(self) -> None:
        self.writer.transport.abort()


class Refused(Exception):
    def __init__(self, head: upgrade.Head) -> None:
        super().__init__(head.start)
        self.status, self.reason, self.head = head.status, head.reason, head


@dataclass
class Relay:
    """What a test holds: a served broker and everything that goes with it."""

    broker: Broker
    credentials: RelayCredentials
    directory: Directory
    clock: Clock
    port: int
    ca_file: Path
    context: ssl.SSLContext
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)

    @property
    def base(self) -> str:
        return f"wss://127.0.0.1:{self.port}"

    async def raw(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=self.context)
        self._writers.append(writer)
        return reader, writer

    async def hang_up(self) -> None:
        """Abort what tests left open: an open transport is a ResourceWarning, thus an error."""
        for writer in self._writers:
            writer.transport.abort()
        for writer in self._writers:
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def dial(self, address: str, headers: dict[str, str] | None = None, **options: str) -> WebSocket:
        """Open a WebSocket; raises ``Refused`` with the answer's head."""
        reader, writer = await self.raw()
        target = "/" + address.split("/", 3)[3]
        key = upgrade.key_for(os.urandom(16))
        extra = [*(headers or {}).items(), *options.items()]
        writer.write(upgrade.request_head(target, f"127.0.0.1:{self.port}", key, extra))
        try:
            head = upgrade.parse_head(await reader.readuntil(b"\r\n\r\n"))
        except asyncio.CancelledError:
            writer.transport.abort()
            raise
        if head.status != 101:
            writer.transport.abort()
            raise Refused(head)
        upgrade.check_response(head, key)
        socket = WebSocket(reader, writer)
        socket.head = head
        return socket

    def listen_token(self, path: str = PATH, seconds: int = 3600) -> str:
        return self.credentials.listen_credentials(path, seconds, self.clock())[0]

    def send_token(self, path: str = PATH, seconds: int = 3600, who: str = USER) -> str:
        return self.credentials.send_credentials(path, who, seconds, self.clock()).access_key

    async def listen(self, path: str = PATH, token: str | None = None) -> WebSocket:
        address = f"{self.base}/$hc/{path}?sb-hc-action=listen"
        return await self.dial(
            address, {wire.TOKEN_HEADER: self.listen_token(path) if token is None else token}
        )

    async def connect(
        self, path: str = PATH, token: str | None = None, headers: dict[str, str] | None = None
    ) -> WebSocket:
        address = f"{self.base}/$hc/{path}?sb-hc-action=connect&sb-hc-id=call"
        token = self.send_token(path) if token is None else token
        return await self.dial(address, {wire.TOKEN_HEADER: token, **(headers or {})})


@contextlib.asynccontextmanager
async def serving(
    folder: Path, limits: Limits | None = None, deadlines: Deadlines | None = None
) -> AsyncIterator[Relay]:
    clock, directory, master = Clock(), Directory(), b"m" * 32
    authority = CertificateAuthority.open(folder / "ca", time.time())
    key = new_key()
    folder.joinpath("tls.key").write_bytes(key_pem(key))
    names = ["127.0.0.1", "localhost"]
    folder.joinpath("tls.pem").write_bytes(authority.server_certificate(names, key.public_key(), time.time()))
    broker = Broker(directory, master, clock, limits=limits)
    context = server_context(folder / "tls.pem", folder / "tls.key")

    async def app(scope: dict, receive: object, send: object) -> None:  # type: ignore[type-arg]
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async with listening(app, broker, context, "127.0.0.1", 0, clock, deadlines) as listener:
        relay = Relay(
            broker,
            RelayCredentials(master, "127.0.0.1"),
            directory,
            clock,
            listener.port,
            authority.root_file,
            ssl.create_default_context(cafile=authority.root_file),
        )
        try:
            yield relay
        finally:
            await relay.hang_up()
            broker.shut_down()


class Agent:
    """Listens at the relay, driven by the wire's state machine, and dials ports of localhost."""

    def __init__(self, relay: Relay, ports: set[int]) -> None:
        self.relay, self.ports = relay, ports
        self.machine = machine.Listener(machine.ListenerConfig(first=0.01), random.random, 0.0)
        self.up = asyncio.Event()
        self.heartbeats: list[dict[str, object]] = []
        self._sessions: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Agent]:
        task = asyncio.get_running_loop().create_task(self._run())
        try:
            await self.up.wait()
            yield self
        finally:
            for each in [task, *self._sessions]:
                each.cancel()
            await asyncio.gather(task, *self._sessions, return_exceptions=True)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        commands = self.machine.start(loop.time())
        while True:
            for command in list(commands):
                commands = await self._do(command, loop)
            if not commands:
                await asyncio.sleep(max(0.0, self.machine.deadline - loop.time()))
                commands = self.machine.tick(loop.time())

    async def _do(self, command: machine.Command, loop: asyncio.AbstractEventLoop) -> list[machine.Command]:
        if isinstance(command, machine.RenewToken):
            return self.machine.token_renewed(self.relay.listen_token(), 3600, loop.time())
        if isinstance(command, machine.Dial):
            try:
                socket = await self.relay.listen(token=command.token)
            except Refused as refused:
                return self.machine.failed(refused.status, refused.reason, loop.time())
            except OSError as error:
                return self.machine.failed(None, str(error), loop.time())
            return await self._stand(socket, loop)
        return []

    async def _stand(self, socket: WebSocket, loop: asyncio.AbstractEventLoop) -> list[machine.Command]:
        self.machine.opened(loop.time())
        self.up.set()
        self.socket = socket
        while True:
            event = await socket.next()
            if event is None or isinstance(event, Control):
                if isinstance(event, Control) and event.opcode != websocket.CLOSE:
                    continue
                self.up.clear()
                socket.drop()
                return self.machine.closed(*(socket.closed or (1006, "")), loop.time())
            for command in self.machine.receive_text(bytes(event.data).decode(), loop.time()):
                if isinstance(command, machine.Accept):
                    task = loop.create_task(self._serve(command))
                    self._sessions.add(task)
                    task.add_done_callback(self._sessions.discard)
                elif isinstance(command, machine.Heartbeat):
                    self.heartbeats.append(command.body)

    async def _serve(self, call: machine.Accept) -> None:
        port = int(call.header(wire.TARGET_HEADER).rpartition(":")[2] or 22)
        if port not in self.ports:
            with contextlib.suppress(Refused):
                await self.relay.dial(wire.refusal(call.address, 403, f"Port {port} is not allowed."))
            return
        socket = await self.relay.dial(call.address)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

        async def up() -> None:
            while data := await reader.read(256 * 1024):
                await socket.send(data)
            await socket.send(websocket.close_payload(1000), websocket.CLOSE)

        pump = asyncio.get_running_loop().create_task(up())
        try:
            while isinstance(event := await socket.next(), Piece):
                if len(event.data):
                    writer.write(event.data)
                    await writer.drain()
                else:
                    writer.write_eof()  # our half-close: an empty binary message
        finally:
            if pump.done():
                pump.exception()
            pump.cancel()
            writer.close()
            socket.drop()


@contextlib.asynccontextmanager
async def echoing() -> AsyncIterator[int]:
    """Serve a TCP echo on loopback; yields its port."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(64 * 1024):
                writer.write(data)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
