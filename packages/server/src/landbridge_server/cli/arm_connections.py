"""Many ARM requests from one command: connections that stay open, and patience with a busy cloud.

Every request that is sent here can be sent twice: GET, PUT and DELETE are idempotent by ARM's
rules, and the actions of run commands change nothing the second time. So what breaks is tried again.
"""

from __future__ import annotations

import base64
import http.client
import json
import queue
import ssl
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from landbridge_server.cli.arguments import CommandError
from landbridge_server.cli.arm_client import LIMIT, TIMEOUT, Arm
from landbridge_wire.errors import unverified_error

PATIENCE = 120.0
"""Seconds for which a cloud that is unreachable or busy is asked again."""
LONGEST_PAUSE = 10.0
_BUSY = (429, 502, 503, 504)

T = TypeVar("T")


class Refused(CommandError):
    """ARM said no, with its own code and text. ``status`` is HTTP's."""

    def __init__(self, status: int, code: str, message: str) -> None:
        """Keep all three."""
        super().__init__(f"({code}) {message}")
        self.status, self.code, self.message = status, code, message


class Calls(Protocol):
    """Whoever sends requests to ARM, from any thread."""

    def call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Send one request; raise ``Refused``, or ``CommandError`` when nobody answers."""


class Connections:
    """Requests over connections that are kept, one for each thread."""

    def __init__(
        self,
        arm: Arm,
        reopen: Callable[[], Arm],
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Take the open door, and who opens it again when the token has expired."""
        self._arm, self._reopen = arm, reopen
        self._monotonic, self._sleep = monotonic, sleep
        self._own = threading.local()
        self._renewing = threading.Lock()
        parts = urllib.parse.urlsplit(arm.base)
        self._host, self._port, self._prefix = parts.hostname or "", parts.port or 443, parts.path.rstrip("/")
        if parts.scheme != "https":
            raise CommandError(f"{arm.base} is not an https address.")

    def call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Send one request and return the JSON object of the answer, ``{}`` when there is none.

        Raises:
            Refused: with ARM's code.
            CommandError: nobody answered for ``PATIENCE`` seconds.
        """
        content = self._patiently(method, path, body)
        found = json.loads(content) if content else {}
        return found if isinstance(found, dict) else {}

    def _patiently(self, method: str, path: str, body: object) -> bytes:
        until, pause, token = self._monotonic() + PATIENCE, 0.25, self._arm.token
        while True:
            try:
                status, headers, content = self._send(method, path, body)
                why = _refusal(status, content)
            except (OSError, http.client.HTTPException) as error:
                if isinstance(error, ssl.SSLCertVerificationError):
                    raise CommandError(
                        f"{self._arm.base} is not trusted: {error}. Give --ca-file."
                    ) from error
                status, headers, content = 0, {}, b""
                why = Refused(0, "Unreachable", f"{self._arm.base} cannot be reached: {error!r}.")
            if 200 <= status < 300:
                return content
            if status == 401 and self._renewed(token):
                token = self._arm.token
                continue
            if status and status not in _BUSY:
                raise why
            wait = _pause(headers, pause)
            if self._monotonic() + wait > until:
                raise why
            self._sleep(wait)
            pause = min(LONGEST_PAUSE, pause * 2)

    def _renewed(self, token: str) -> bool:
        """Get a new token unless another thread just did; say whether there is another one now."""
        with self._renewing:
            if self._arm.token == token:
                self._arm = self._reopen()
        return self._arm.token != token

    def _send(self, method: str, path: str, body: object) -> tuple[int, dict[str, str], bytes]:
        headers = {"Authorization": f"Bearer {self._arm.token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        address = self._prefix + urllib.parse.quote(path, safe="/?&=$%")
        kept: http.client.HTTPSConnection | None = getattr(self._own, "connection", None)
        if kept is not None:
            try:
                return self._ask(kept, method, address, data, headers)
            except (OSError, http.client.HTTPException):
                self._drop()  # the server closes what is idle
        try:
            return self._ask(self._connect(), method, address, data, headers)
        except BaseException:
            self._drop()
            raise

    def _ask(
        self,
        connection: http.client.HTTPSConnection,
        method: str,
        address: str,
        data: bytes | None,
        headers: dict[str, str],
    ) -> tuple[int, dict[str, str], bytes]:
        connection.request(method, address, data, headers)
        answer = connection.getresponse()
        content = answer.read(LIMIT)
        if answer.will_close:
            self._drop()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, content

    def _connect(self) -> http.client.HTTPSConnection:
        """Open this thread's connection, through the proxy that the environment names."""
        context = self._arm.context
        given = "" if urllib.request.proxy_bypass(self._host) else urllib.request.getproxies().get("https")
        if given:
            proxy = urllib.parse.urlsplit(given if "//" in given else f"http://{given}")
            made = http.client.HTTPSConnection(
                proxy.hostname or "", proxy.port or 3128, timeout=TIMEOUT, context=context
            )
            login = f"{proxy.username or ''}:{proxy.password or ''}".encode()
            known = {"Proxy-Authorization": "Basic " + base64.b64encode(login).decode()}
            made.set_tunnel(self._host, self._port, known if proxy.username else {})
        else:
            made = http.client.HTTPSConnection(self._host, self._port, timeout=TIMEOUT, context=context)
        self._own.connection = made
        return made

    def close(self) -> None:
        """Close the connection of the thread that calls."""
        self._drop()

    def _drop(self) -> None:
        kept = getattr(self._own, "connection", None)
        self._own.connection = None
        if kept is not None:
            kept.close()


def _refusal(status: int, content: bytes) -> Refused:
    try:
        code, message = unverified_error(json.loads(content)) if content else ("", "")
    except ValueError:
        code, message = "", ""
    return Refused(status, code or str(status), message or http.client.responses.get(status, "refused"))


def _pause(headers: dict[str, str], otherwise: float) -> float:
    """Return the seconds that the server asks for, within reason."""
    asked = headers.get("retry-after", "")
    return min(LONGEST_PAUSE * 6, max(0.05, float(asked))) if asked.isdigit() else otherwise


class Workers:
    """Threads that send requests. What comes of them is told to the thread that takes it."""

    def __init__(self, count: int, at_end: Callable[[], None]) -> None:
        """Start ``count`` threads, each of which calls ``at_end`` when it ends."""
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._at_end = at_end
        self._over = False
        self.open = 0
        """How many jobs were asked for and not taken."""
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        """Use them for a block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let them end. Jobs that have not begun are dropped; after an error nothing is waited for."""
        self._over = True
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads if kind is None else ():
            thread.join(TIMEOUT)

    def ask(
        self, job: Callable[[], T], then: Callable[[T], None], refused: Callable[[CommandError], None]
    ) -> None:
        """Have a job done by one of the threads; ``take`` calls one of the other two."""

        def work() -> None:
            try:
                result = job()
            except CommandError as error:
                self._done.put(partial(refused, error))
            except BaseException as error:  # a fault of ours: for the thread that takes it to raise
                self._done.put(partial(_raise, error))
            else:
                self._done.put(partial(then, result))

        self.open += 1
        self._jobs.put(work)

    def take(self, seconds: float) -> bool:
        """Wait for the end of one job and tell of it; say whether there was one in that time."""
        try:
            told = self._done.get(timeout=seconds)
        except queue.Empty:
            return False
        self.open -= 1
        told()
        return True

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None and not self._over:
            job()
        self._at_end()


def _raise(error: BaseException) -> None:
    raise error
