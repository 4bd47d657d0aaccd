"""What happens to every HTTP request, outermost first, as one ASGI application.

1. The path is put into the form that the table of routes matches: ``//`` collapsed, a
   final ``/`` dropped, lower case. Handlers find the caller's casing in
   ``scope["landbridge.path"]``. Control characters are refused.
2. Every answer gets the headers that ARM's answers have, with a fresh request id, and the
   caller's correlation id or a new one.
3. The request is logged, without its query.
"""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from landbridge_server.edge import answers
from landbridge_server.edge.log import log_request
from landbridge_wire.errors import ArmError

SECURITY = (
    (b"strict-transport-security", b"max-age=31536000; includeSubDomains"),
    (b"x-content-type-options", b"nosniff"),
)
UNCACHED = ((b"cache-control", b"no-cache"), (b"pragma", b"no-cache"), (b"expires", b"-1"))


def normal_path(path: str) -> str:
    """Return the path with empty segments dropped, casing kept."""
    return "/" + "/".join(part for part in path.split("/") if part)


_WANTED = {b"x-ms-correlation-request-id", b"x-ms-return-client-request-id", b"x-ms-client-request-id"}


def _request_headers(scope: Scope) -> dict[bytes, str]:
    return {name: value.decode("latin-1")[:128] for name, value in scope["headers"] if name in _WANTED}


class _Stamp:
    """The time as routing ids have it, made once a second."""

    def __init__(self) -> None:
        self._second = 0
        self._text = ""

    def now(self) -> str:
        second = int(time.time())  # noqa: TID251 - a mark for people, nothing is decided by it
        if second != self._second:
            self._second = second
            self._text = datetime.fromtimestamp(second, UTC).strftime("%Y%m%dT%H%M%SZ")
        return self._text


_stamp = _Stamp()


class Edge:
    """Wraps the router."""

    def __init__(self, router: ASGIApp) -> None:
        """Take the application that answers."""
        self.router = router

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        path = normal_path(scope["path"])
        request_id = str(uuid.uuid4())
        scope["landbridge.path"] = path
        scope["landbridge.request_id"] = request_id
        scope["path"] = path.lower()
        started = time.perf_counter()
        status = 500

        async def finish(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _add_headers(message["headers"], scope, request_id)
            await send(message)

        if path.isprintable() and b"%00" not in scope["query_string"]:
            await self.router(scope, receive, finish)
        else:
            error = ArmError("BadRequest", "The path or the query holds control characters.")
            await answers.arm_error(error)(scope, receive, finish)
        log_request(scope, status, time.perf_counter() - started)


def _add_headers(headers: list[tuple[bytes, bytes]], scope: Scope, request_id: str) -> None:
    """Append to an answer's headers; none of these is one that a handler sets, but caching."""
    asked = _request_headers(scope)
    correlation = asked.get(b"x-ms-correlation-request-id") or request_id
    if not correlation.isprintable():
        correlation = request_id
    headers += [
        (b"x-ms-request-id", request_id.encode()),
        (b"x-ms-correlation-request-id", correlation.encode("latin-1")),
        (b"x-ms-routing-request-id", f"LOCAL:{_stamp.now()}:{request_id}".encode()),
    ]
    if asked.get(b"x-ms-return-client-request-id", "").lower() == "true":
        client = asked.get(b"x-ms-client-request-id", "")
        headers.append((b"x-ms-client-request-id", client.encode("latin-1")))
    headers += SECURITY
    if not any(name == b"cache-control" for name, _ in headers):
        headers += UNCACHED
