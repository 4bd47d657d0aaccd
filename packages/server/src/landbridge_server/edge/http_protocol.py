"""HTTP/1.1 on one connection: uvicorn's protocol, with deadlines and without detours.

- Whatever does not arrive, or is not read, in time ends the connection (``Deadlines``). One
  timer a connection watches over all of them.
- A request that has arrived is answered at once, in the callback that brought it; it becomes a
  task only where it has to wait for something. Most reads never do.
- Head and body of an answer leave in one write: one TLS record, one system call.
"""

from __future__ import annotations

import asyncio
import math
import types
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import copy_context
from dataclasses import dataclass
from enum import Enum
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from landbridge_server.edge.connections import Connections

Application = Callable[..., Any]
"""An ASGI application."""

HEADER_LIMIT = 256
"""Header fields of one request."""

AT_ONCE = 8
"""Requests of one connection that are answered in a row before everybody else has a turn."""

TOGETHER = 64 * 1024
"""Bytes of an answer that wait for each other."""

FAREWELL = 1.0
"""Seconds that a connection has to end which gives way to another."""


@dataclass(frozen=True)
class Deadlines:
    """Seconds; ``head_size`` in bytes. ``grace`` is how long a shutdown waits for answers."""

    handshake: float = 15.0
    head: float = 15.0
    body: float = 60.0
    keep_alive: int = 30
    grace: float = 5.0
    head_size: int = 64 * 1024


class Gathering:
    """What answers are written to: their parts go out together, with the loop's next turn.

    By then every connection that had something to say was heard: who reads the answers is woken
    once for all of them.
    """

    __slots__ = ("_loop", "_parts", "_size", "transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        """Write to ``transport`` in the end."""
        self.transport = transport
        self._loop = loop
        self._parts: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> None:
        """Take a part."""
        if not self._parts:
            self._loop.call_soon(self.flush)
        self._parts.append(data)
        self._size += len(data)
        if self._size > TOGETHER:
            self.flush()

    def flush(self) -> None:
        """Write what has come together."""
        if self._parts:
            parts, self._parts, self._size = self._parts, [], 0
            if not self.transport.is_closing():
                self.transport.write(parts[0] if len(parts) == 1 else b"".join(parts))

    def is_closing(self) -> bool:
        """Say whether the connection ends."""
        return self.transport.is_closing()

    def close(self) -> None:
        """End the connection once everything is written."""
        self.flush()
        self.transport.close()


class Answering(RequestResponseCycle):
    """uvicorn's cycle of one request; a whole answer of known length is put into words at once."""

    _start: Any = None

    async def send(self, message: Any) -> None:
        """Take a part of the answer; a head waits for the first part of its body."""
        if self._start is None and not self.response_started and message["type"] == "http.response.start":
            self._start = message
            return
        start, self._start = self._start, None
        if start is not None and not self._whole(start, message):
            await super().send(start)
            await super().send(message)
        elif start is None:
            await super().send(message)

    def _whole(self, start: Any, message: Any) -> bool:
        """Write an answer that is simple enough; say whether it was."""
        status, body, fields = start["status"], message.get("body", b""), start["headers"]
        if message.get("more_body") or not self.keep_alive or self.disconnected or self.flow.write_paused:
            return False
        names = [name for name, _ in fields]
        if (b"content-length", b"%d" % len(body)) not in fields or b"connection" in names:
            return False
        lines = [b"%b: %b" % pair for pair in self.default_headers + fields]
        head = b"\r\n".join([STATUS_LINE[status][:-2], *lines, b"\r\n"])
        if head.count(b"\n") != len(lines) + 2 or head.count(b"\r") != len(lines) + 2 or b"\0" in head:
            return False  # uvicorn refuses it
        self.transport.write(head if self.scope["method"] == "HEAD" else head + body)
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        self.message_event.set()
        self.on_response()
        return True


class Stage(Enum):
    """What the connection waits for."""

    HEAD = "head"
    BODY = "body"
    ANSWER = "answer"
    NEXT = "next"


class HttpProtocol(HttpToolsProtocol):
    """One connection; ``deadlines`` and ``guests`` are set by a subclass for each listener."""

    deadlines = Deadlines()
    guests: Connections | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._stage = Stage.HEAD
        self._due = math.inf
        self._timer: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._ready: deque[tuple[RequestResponseCycle, Application]] = deque()
        self._held = False

    # -- the connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._answers = Gathering(transport, self.loop)
        self._expect(Stage.HEAD, self.deadlines.head)
        if self.guests is not None and not self.guests.arrived(transport, self):
            self.give_way()

    def busy(self) -> bool:
        """Say whether an answer is being made that the peer waits for and reads."""
        return self._stage is Stage.ANSWER and self._stalled is None

    def give_way(self) -> None:
        """End the connection, as others need its place; say so where no answer is under way."""
        if self._stage is Stage.HEAD:
            self._refuse(503, "Service Unavailable", "Retry-After: 5\r\n")
        else:
            self.transport.close()
        self._stop_watching()
        # Who does not take part in the end of TLS must not keep the place meanwhile.
        self.loop.call_later(FAREWELL, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_watching()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        """Hand the transport over; from here on the relay bounds it."""
        self._stop_watching()
        if self.guests is not None:
            self.guests.proven(self.transport)
        super().handle_websocket_upgrade()

    def pause_writing(self) -> None:
        """Expect the peer to take its answer within the time that a body may need."""
        super().pause_writing()
        self._flowing()
        self._stalled = self.loop.call_later(self.deadlines.body, self.transport.abort)

    def resume_writing(self) -> None:
        """Note that the peer reads."""
        self._flowing()
        super().resume_writing()

    def _flowing(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    # -- the request

    def data_received(self, data: bytes) -> None:
        """Parse; refuse a head that does not end within its limit; answer what has arrived."""
        self._head_bytes += len(data)
        self._held = True
        super().data_received(data)
        self._held = False
        if self.transport.is_closing():
            self._ready.clear()  # what came before garbage is neither carried out nor answered
        elif self._stage is not Stage.HEAD:
            self._head_bytes = 0
        elif self._head_bytes > self.deadlines.head_size:
            self._refuse(431, "Request Header Fields Too Large")
        if self._ready:
            self._answer_ready()

    def on_message_begin(self) -> None:
        """Expect the head of a request; that of the first since the connection began."""
        super().on_message_begin()
        if self._stage is not Stage.HEAD:
            self._expect(Stage.HEAD, self.deadlines.head)

    def on_headers_complete(self) -> None:
        """Expect the body. Raise if the head is too large even though it came in one read."""
        size = len(self.url) + sum([len(name) + len(value) for name, value in self.headers])
        if size > self.deadlines.head_size or len(self.headers) > HEADER_LIMIT:
            raise _HeadTooLarge
        self._expect(Stage.BODY, self.deadlines.body)
        super().on_headers_complete()
        if self.cycle is not None:
            self.cycle.__class__ = Answering  # uvicorn makes its cycles itself
            self.cycle.transport = self._answers  # type: ignore[assignment]

    def on_message_complete(self) -> None:
        """Expect nothing: the answer is ours."""
        self._stage, self._due = Stage.ANSWER, math.inf
        self._head_bytes = 0
        super().on_message_complete()

    # -- the answer

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Application) -> None:
        """Begin to answer once the parser has returned; uvicorn calls this for each request."""
        self._ready.append((cycle, app))
        if not self._held:
            self._answer_ready()

    def _answer_ready(self) -> None:
        self._held = True
        for _ in range(AT_ONCE):
            self._begin(*self._ready.popleft())
            if not self._ready:
                break
        else:
            self.loop.call_soon(self._answer_later)
        self._held = False

    def _answer_later(self) -> None:
        if self._ready and not self._held:
            self._answer_ready()

    def _begin(self, cycle: RequestResponseCycle, app: Application) -> None:
        """Answer as far as that needs no waiting; leave the rest to a task."""
        context = copy_context()
        answering = cycle.run_asgi(app)
        try:
            awaited = context.run(answering.send, None)
        except StopIteration:
            return
        task = self.loop.create_task(_continued(answering, awaited), context=context)
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def on_response_complete(self) -> None:
        """Go on with the next request, or wait for one."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._stage is Stage.ANSWER:
            self._expect(Stage.NEXT, self.deadlines.keep_alive)

    # -- time

    def _expect(self, stage: Stage, seconds: float) -> None:
        """Expect something within this time. The timer looks again when it fires too early."""
        self._stage = stage
        self._due = self.loop.time() + seconds
        if self._timer is None or self._timer.when() > self._due:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self.loop.call_at(self._due, self._look)

    def _stop_watching(self) -> None:
        self._due = math.inf
        self._flowing()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if self.loop.time() < self._due:
            if self._due != math.inf:
                self._timer = self.loop.call_at(self._due, self._look)
        elif self._stage is Stage.HEAD:
            self._refuse(408, "Request Timeout")
        else:
            self.transport.close()  # an answer may be under way: nothing can be put before it

    def _refuse(self, status: int, text: str, more: str = "") -> None:
        if not self.transport.is_closing():
            head = f"HTTP/1.1 {status} {text}\r\n{more}Content-Length: 0\r\nConnection: close\r\n\r\n"
            self._answers.write(head.encode())
            self._answers.close()


class _HeadTooLarge(ValueError):
    """Raised inside the parser, which turns it into a 400."""


async def _continued(answering: Coroutine[Any, Any, None], awaited: Any) -> None:
    """Go on with a coroutine that waits for ``awaited`` already."""
    await _going_on(answering, awaited)


@types.coroutine
def _going_on(answering: Coroutine[Any, Any, None], awaited: Any) -> Generator[Any, Any, None]:
    while True:
        step: Callable[[Any], Any] = answering.send
        try:
            given = yield awaited
        except BaseException as error:
            step, given = answering.throw, error
        try:
            awaited = step(given)
        except StopIteration:
            return
