"""The gate that every request passes: method, body bound, authentication, decision.

Steps, in this order:
1. the method is one that the row has, else 405;
2. the declared size of the body is within the row's bound, else 413, before it is read;
3. a ``Bearer`` row needs a token that verifies, else 401, before the body is read and again
   once it is there; the caller goes into ``request.state.caller``;
4. the function runs; what it refuses becomes the answer in its own protocol's words; 401 and
   403 are noted in the activity log;
5. a ``Bearer`` row's answer is withheld unless the authorization gate was asked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from landbridge_server.arm import access
from landbridge_server.arm.activity import Activity
from landbridge_server.arm.event_documents import NOBODY
from landbridge_server.edge import answers
from landbridge_server.edge.head import Asked
from landbridge_server.edge.log import log_failure
from landbridge_server.edge.route import Bearer, Endpoint
from landbridge_server.identity.authentication import Authenticator
from landbridge_server.identity.caller import Caller
from landbridge_server.store.database import StoreUnavailable
from landbridge_wire.errors import ArmError

_DIGITS = re.compile(r"[0-9]{1,18}")


def _too_large(limit: int) -> ArmError:
    return ArmError(
        "RequestEntityTooLarge", f"The request body is larger than the {limit} bytes allowed here."
    )


def _bounded(receive: Receive, limit: int) -> Receive:
    """Return a receive that refuses once more than ``limit`` bytes of body have come."""
    taken = 0

    async def bounded() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > limit:
            raise _too_large(limit)
        return message

    return bounded


class Gate:
    """One path of the table as an ASGI application."""

    def __init__(
        self,
        methods: Mapping[str, Endpoint],
        authenticator: Authenticator,
        activity: Activity,
        path: str = "",
    ) -> None:
        """Guard the endpoints of one path of the table; ``activity`` hears whom they refuse."""
        self.path = path
        self.methods = methods
        self.authenticator = authenticator
        self.activity = activity

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        scope["landbridge.route"] = self.path
        endpoint = self.methods.get(scope["method"])
        if endpoint is None:
            response = answers.method_not_allowed(scope["method"], list(self.methods))
        else:
            request = Asked(scope, _bounded(receive, endpoint.body_limit))
            response = await self._answer(request, endpoint)
            if endpoint.no_store:
                response.headers["cache-control"] = "no-store"
        await response(scope, receive, send)

    async def _answer(self, request: Request, endpoint: Endpoint) -> Response:
        try:
            length = request.headers.get("content-length")
            if length is not None and (not _DIGITS.fullmatch(length) or int(length) > endpoint.body_limit):
                raise _too_large(endpoint.body_limit)
            if isinstance(endpoint.access, Bearer):
                response = await self._authorized(request, endpoint, endpoint.access)
            else:
                response = await endpoint.handler(request)
            if endpoint.action:
                self._note_done(request, endpoint.action, response.status_code)
            return response
        except ArmError as error:
            if error.status == 401 or (error.status == 403 and not endpoint.notes):
                self._note_refused(request, error)
            request.scope["landbridge.error"] = f"{error.code}: {error.internal or error.message}"
            return answers.arm_error(error)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is there to read it
        except StoreUnavailable as error:
            request.scope["landbridge.error"] = str(error)
            return answers.arm_error(answers.UNAVAILABLE)
        except Exception as error:
            log_failure(request.scope, error)
            return answers.arm_error(answers.INTERNAL)

    def _note_refused(self, request: Request, error: ArmError) -> None:
        caller, path = getattr(request.state, "caller", None), request.scope["landbridge.path"]
        self.activity.refused(
            error,
            request.method,
            request.scope.get("landbridge.subject", path) if caller else path,
            caller,
            request.client.host if request.client else "",
            request.headers,
            request.scope["landbridge.request_id"],
        )

    def _note_done(self, request: Request, action: str, status: int) -> None:
        self.activity.happened(
            action,
            request.scope.get("landbridge.subject", "/"),
            getattr(request.state, "caller", NOBODY),
            status=status,
            address=request.client.host if request.client else "",
            request_id=request.scope["landbridge.request_id"],
            correlation_id=request.headers.get("x-ms-correlation-request-id", ""),
        )

    def _caller(self, request: Request, bearer: Bearer) -> Caller:
        caller = self.authenticator.caller(request.headers.get("authorization", ""), bearer.audiences)
        if bearer.machines_only and not caller.resource_key:
            raise ArmError("Forbidden", "Only the identity of a connected machine may call this.")
        return caller

    async def _authorized(self, request: Request, endpoint: Endpoint, bearer: Bearer) -> Response:
        caller = self._caller(request, bearer)
        head = request.headers
        if head.get("content-length", "0") != "0" or "transfer-encoding" in head:
            # A body may take its time. Whoever lost access meanwhile must not profit from that.
            await request.body()
            caller = self._caller(request, bearer)
        request.state.caller = caller
        request.scope["landbridge.caller"] = caller.object_id
        request.scope["landbridge.principal"] = caller.label
        with access.Deciding() as decisions:
            response = await endpoint.handler(request)
        if not decisions.made:
            raise RuntimeError("The route answered without asking the authorization gate.")
        return response
