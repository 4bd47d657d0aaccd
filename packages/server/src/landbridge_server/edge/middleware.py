"""What happens to every HTTP request, outermost first, as one ASGI application.

1. The path is put into the form that the table of routes matches: ``//`` collapsed, a
   final ``/`` dropped, lower case. Handlers find the caller's casing in
   ``scope["landbridge.path"]``. Control characters are refused.
2. Every answer gets the headers that ARM's answers have, with a fresh request id, and the
   caller's correlation id or a new one.
3. The request is counted, and logged without its query.
"""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from landbridge_server.edge import answers
from landbridge_server.edge.exposition import RequestTimes
from landbridge_server.edge.head import Head
from landbridge_server.edge.log import answering, log_request
from landbridge_server.edge.proxies import TrustedProxies
from landbridge_wire.errors import ArmError

SECURITY = (
    (b"strict-transport-security", b"max-age=31536000; includeSubDomains"),
    (b"x-content-type-options", b"nosniff"),
)
UNCACHED = ((b"cache-control", b"no-cache"), (b"pragma", b"no-cache"), (b"expires", b"-1"))
USUAL = SECURITY + UNCACHED
FORWARDED = b"x-forwarded-for"
UNKNOWN = "none"
"""The route of requests that no row of the table has, among the metrics."""


def normal_path(path: str) -> str:
    """Return the path with empty segments dropped, casing kept."""
    if path.startswith("/") and "//" not in path and not path.endswith("/"):
        return path
    return "/" + "/".join(part for part in path.split("/") if part)


def request_id() -> str:
    """Return a fresh GUID (version 4). It marks a request for people and guards nothing."""
    bits = f"{random.getrandbits(128):032x}"
    return f"{bits[:8]}-{bits[8:12]}-4{bits[13:16]}-a{bits[17:20]}-{bits[20:]}"


class _Stamp:
    """The beginning of routing ids, with the time, made once a second."""

    def __init__(self) -> None:
        self._second = 0
        self._text = ""

    def now(self) -> str:
        second = int(time.time())  # noqa: TID251 - a mark for people, nothing is decided by it
        if second != self._second:
            self._second = second
            self._text = datetime.fromtimestamp(second, UTC).strftime("LOCAL:%Y%m%dT%H%M%SZ:")
        return self._text


_stamp = _Stamp()


class Edge:
    """Wraps the router."""

    def __init__(self, router: ASGIApp, times: RequestTimes, proxies: TrustedProxies | None = None) -> None:
        """Take the application that answers; ``times`` hears how long that took.

        ``proxies`` may say who a caller is.
        """
        self.router = router
        self.proxies = proxies
        self.times = times

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        started = time.perf_counter()
        path = normal_path(scope["path"])
        own_id = request_id()
        head = Head(scope["headers"])
        if self.proxies and scope.get("client"):
            address, port = scope["client"]
            fields = [value.decode("latin-1") for name, value in scope["headers"] if name == FORWARDED]
            scope["client"] = (self.proxies.caller(address, fields), port)
        scope["landbridge.path"] = path
        scope["landbridge.request_id"] = own_id
        scope["landbridge.head"] = head
        scope["landbridge.correlation_id"] = _correlation_id(head, own_id)
        answering.set(scope)
        scope["path"] = path.lower()
        status = 500

        async def finish(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] += _headers(head, own_id, scope, message["headers"])
            await send(message)

        if path.isprintable() and b"%00" not in scope["query_string"]:
            await self.router(scope, receive, finish)
        else:
            error = ArmError("BadRequest", "The path or the query holds control characters.")
            await answers.arm_error(error)(scope, receive, finish)
        seconds = time.perf_counter() - started
        self.times.observe(scope.get("landbridge.route", UNKNOWN), scope["method"], status, seconds)
        log_request(scope, status, seconds)


def _correlation_id(head: Head, own_id: str) -> str:
    """Return what the caller calls the whole of which this request is a part, if it can be an id."""
    given = head.get("x-ms-correlation-request-id", "")[:128]
    return given if given and given.isprintable() else own_id


def _headers(
    head: Head, own_id: str, scope: Scope, given: list[tuple[bytes, bytes]]
) -> list[tuple[bytes, bytes]]:
    """Return what every answer has; none of it is something that a handler sets, but caching."""
    found = [
        (b"x-ms-request-id", own_id.encode()),
        (b"x-ms-correlation-request-id", scope["landbridge.correlation_id"].encode("latin-1")),
        (b"x-ms-routing-request-id", (_stamp.now() + own_id).encode()),
        *USUAL,
    ]
    if head.get("x-ms-return-client-request-id", "").lower() == "true":
        client = head.get("x-ms-client-request-id", "")[:128]
        found.append((b"x-ms-client-request-id", client.encode("latin-1")))
    if any([name == b"cache-control" for name, _ in given]):
        return [pair for pair in found if pair not in UNCACHED]
    return found
