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

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from landbridge_server.edge import answers
from landbridge_server.edge.log import log_request
from landbridge_wire.errors import ArmError

SECURITY = {
    "strict-transport-security": "max-age=31536000; includeSubDomains",
    "x-content-type-options": "nosniff",
}
UNCACHED = {"cache-control": "no-cache", "pragma": "no-cache", "expires": "-1"}


def normal_path(path: str) -> str:
    """Return the path with empty segments dropped, casing kept."""
    return "/" + "/".join(part for part in path.split("/") if part)


def _request_header(scope: Scope, wanted: bytes) -> str:
    for name, value in scope["headers"]:
        if name == wanted:
            return str(value.decode("latin-1"))[:128]
    return ""


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
                _add_headers(MutableHeaders(scope=message), scope, request_id)
            await send(message)

        if path.isprintable():
            await self.router(scope, receive, finish)
        else:
            error = ArmError("BadRequest", "The path holds control characters.")
            await answers.arm_error(error)(scope, receive, finish)
        log_request(scope, status, time.perf_counter() - started)


def _add_headers(headers: MutableHeaders, scope: Scope, request_id: str) -> None:
    correlation = _request_header(scope, b"x-ms-correlation-request-id") or request_id
    headers["x-ms-request-id"] = request_id
    headers["x-ms-correlation-request-id"] = correlation if correlation.isprintable() else request_id
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    headers["x-ms-routing-request-id"] = f"LOCAL:{stamp}:{request_id}"
    if _request_header(scope, b"x-ms-return-client-request-id").lower() == "true":
        headers["x-ms-client-request-id"] = _request_header(scope, b"x-ms-client-request-id")
    for name, value in SECURITY.items():
        headers[name] = value
    if "cache-control" not in headers:
        for name, value in UNCACHED.items():
            headers[name] = value
