"""Many agents' control channels in one process: ``python -m benchmarks.crowd PORT FILE``.

The file has a line for each agent: its hybrid connection and its listen token. Orders come
on standard input, one a line, and are answered with the seconds that they took:

- ``open``: open all channels, ``AT_ONCE`` at a time;
- ``beat N``: every agent sends N heartbeats, the next when the last one was answered;
- ``drop``: cut all connections.

The least that speaks the protocol: what it costs is not the server's time, but takes the
other core of a small machine.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import os
import ssl
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import aiofastnet
import uvloop

from benchmarks import CLONE
from benchmarks.seed import DIGEST
from landbridge_wire import websocket
from landbridge_wire.hybrid_connections import heartbeat_message

AT_ONCE = 512
ANSWER_SECONDS = 600.0


class Member(asyncio.Protocol):
    """One agent's channel."""

    def __init__(self, head: bytes, frame: bytes) -> None:
        """Send ``head`` at once, and ``frame`` for each heartbeat."""
        self.head, self.frame = head, frame
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.beaten: asyncio.Future[None] | None = None
        self.left = 0
        self.buffer = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        self.transport = transport  # type: ignore[assignment]
        self.transport.write(self.head)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail whatever is awaited."""
        for waiting in (self.opened, self.beaten):
            if waiting is not None and not waiting.done():
                waiting.set_exception(ConnectionError(f"The channel was closed: {exc} {self.buffer[:200]!r}"))

    def beat(self, count: int) -> asyncio.Future[None]:
        """Begin to send heartbeats; the future ends with the last answer."""
        self.left = count
        self.beaten = asyncio.get_running_loop().create_future()
        self.transport.write(self.frame)
        return self.beaten

    def data_received(self, data: bytes) -> None:
        """Take the 101, or the answers."""
        self.buffer += data
        if not self.opened.done():
            head, end, self.buffer = self.buffer.partition(b"\r\n\r\n")
            if not end:
                self.buffer = head
                return
            if b" 101 " not in head.partition(b"\r\n")[0]:
                self.opened.set_exception(ConnectionError(head.decode(errors="replace")))
                return
            self.opened.set_result(None)
        while len(self.buffer) >= 2:
            length, start = self.buffer[1], 2
            if length == 126:
                length, start = struct.unpack_from("!H", self.buffer, 2)[0], 4
            if len(self.buffer) < start + length:
                return
            opcode, content = self.buffer[0] & 15, self.buffer[start : start + length]
            self.buffer = self.buffer[start + length :]
            if opcode == websocket.TEXT:
                self.heard(content)
            elif opcode == websocket.PING:  # who does not answer is cut
                self.transport.write(websocket.encode(websocket.PONG, content, b"\0\0\0\0"))

    def heard(self, content: bytes) -> None:
        """Take a message: the answer to a heartbeat."""
        self.left -= 1
        if self.left > 0:
            self.transport.write(self.frame)
        elif self.beaten is not None and not self.beaten.done():
            self.beaten.set_result(None)


def upgrade_head(port: int, path: str, token: str) -> bytes:
    """Return the request that opens a control channel."""
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [f"GET /$hc/{path}?sb-hc-action=listen HTTP/1.1", f"Host: 127.0.0.1:{port}"]
    lines += ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
    lines += [f"Sec-WebSocket-Key: {key}", f"ServiceBusAuthorization: {token}"]
    return "\r\n".join([*lines, "", ""]).encode()


async def _serve(port: int, members: Sequence[tuple[str, str]]) -> None:
    loop = asyncio.get_running_loop()
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    text = heartbeat_message({"agentVersion": "1.0.0", "sequence": 1, "factsDigest": DIGEST})
    frame = websocket.encode(websocket.TEXT, text.encode(), b"\0\0\0\0")
    gate = asyncio.Semaphore(AT_ONCE)
    standing: list[Member] = []

    async def join(path: str, token: str) -> None:
        async with gate:
            _, member = await aiofastnet.create_connection(
                loop, lambda: Member(upgrade_head(port, path, token), frame), "127.0.0.1", port, ssl=context
            )
            await member.opened
            standing.append(member)

    while line := await asyncio.to_thread(sys.stdin.readline):
        order, *words = line.split()
        started = time.perf_counter()
        if order == "open":
            await asyncio.gather(*(join(path, token) for path, token in members))
        elif order == "beat":
            await asyncio.gather(*[member.beat(int(words[0])) for member in standing])
        elif order == "drop":
            for member in standing:
                member.transport.abort()
            standing.clear()
        print(time.perf_counter() - started, flush=True)


class Crowd:
    """The process, seen from the benchmark."""

    def __init__(self, port: int, members: Sequence[tuple[str, str]], folder: Path) -> None:
        """Start it for hybrid connections and their tokens; no channel is open yet."""
        file = folder / "crowd"
        file.write_text("".join(f"{path}\t{token}\n" for path, token in members))
        argv = [sys.executable, "-m", "benchmarks.crowd", str(port), str(file)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(argv, cwd=CLONE, stdin=pipe, stdout=pipe, text=True)

    def order(self, text: str) -> float:
        """Give an order and return the seconds that it took."""
        self.process.stdin.write(text + "\n")  # type: ignore[union-attr]
        self.process.stdin.flush()  # type: ignore[union-attr]
        answer = self.process.stdout.readline()  # type: ignore[union-attr]
        if not answer:
            raise ConnectionError("The crowd has ended: see above.")
        return float(answer)

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.communicate()


def main(arguments: list[str]) -> None:
    """Obey until standard input ends."""
    port, file = int(arguments[0]), Path(arguments[1])
    members = [tuple(line.split("\t")) for line in file.read_text().splitlines()]
    gc.freeze()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(port, members))  # type: ignore[arg-type]


if __name__ == "__main__":
    main(sys.argv[1:])
