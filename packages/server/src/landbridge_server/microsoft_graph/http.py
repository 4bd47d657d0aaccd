"""Starlette's requests in, starlette's responses out: the directory's API."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from landbridge_server.arm import access
from landbridge_server.arm.call import decode_object
from landbridge_server.arm.query import parsed_query
from landbridge_server.microsoft_graph.change_notes import Answered, OnAnswered, nobody_listens
from landbridge_server.microsoft_graph.errors import GraphError, bad
from landbridge_server.microsoft_graph.request import Reply
from landbridge_server.microsoft_graph.service import GraphService
from landbridge_wire.errors import ArmError

VERSION = "v1.0"
JSON = "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"


class GraphHttp:
    """Everything below the address of the directory's API."""

    METHODS = ("GET", "POST", "PATCH", "DELETE")

    def __init__(self, service: GraphService, prefix: str) -> None:
        """Answer with ``service``; ``prefix`` is what stands in paths before the version."""
        self.service = service
        self.prefix = prefix
        self.on_answered: OnAnswered = nobody_listens

    async def handle(self, request: Request) -> Response:
        """Answer one authenticated request; ``request.state.caller`` is who asks."""
        try:
            reply = await self._answer(request)
            made = str((reply.content or {}).get("id", "")) if request.method == "POST" else ""
            self._tell(request, reply.status, made=made)
            return _response(reply)
        except GraphError as error:
            self._tell(request, error.status, error)
            access.decided()  # a refusal tells nothing that would have to be withheld
            request.scope["landbridge.error"] = f"{error.code}: {error.internal or error.message}"
            return JSONResponse(_refusal(request, error), error.status, media_type=JSON)

    def _tell(self, request: Request, status: int, error: GraphError | None = None, made: str = "") -> None:
        scope = request.scope
        path = str(scope["landbridge.path"])[len(self.prefix) :].lstrip("/").partition("/")[2]
        address = request.client.host if request.client else ""
        ids = scope["landbridge.request_id"], request.headers.get("client-request-id", "")
        self.on_answered(
            Answered(request.method, f"/{path}", request.state.caller, status, error, made, address, *ids)
        )

    async def _answer(self, request: Request) -> Reply:
        path = str(request.scope["landbridge.path"])[len(self.prefix) :]
        version, _, rest = path.lstrip("/").partition("/")
        if version.lower() != VERSION:
            raise GraphError("BadRequest", f"Invalid version: {version[:20]}. This cloud has {VERSION}.")
        query = parsed_query(request.scope["query_string"].decode("latin-1"))
        caller, body = request.state.caller, await _body(request)
        address = request.client.host if request.client else ""
        return await self.service.answer(request.method, f"/{rest}", query, caller, body, address)


async def _body(request: Request) -> dict[str, Any]:
    content = await request.body()
    if request.method == "GET" or not content.strip():
        return {}
    try:
        return decode_object(content)
    except ArmError as error:
        raise bad(f"Unable to read JSON request payload. {error.message}") from error


def _response(reply: Reply) -> Response:
    if reply.text:
        return PlainTextResponse(reply.text)
    if reply.content is None:
        return Response(status_code=reply.status)
    return JSONResponse(reply.content, reply.status, media_type=JSON)


def _refusal(request: Request, error: GraphError) -> dict[str, Any]:
    inner = {
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        "request-id": request.scope["landbridge.request_id"],
        "client-request-id": request.headers.get("client-request-id", request.scope["landbridge.request_id"]),
    }
    return {"error": {"code": error.code, "message": error.message, "innerError": inner}}
