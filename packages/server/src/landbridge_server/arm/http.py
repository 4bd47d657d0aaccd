"""Starlette's requests in, starlette's responses out: the handlers of the resource manager."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from landbridge_server.arm.batch import Batch
from landbridge_server.arm.call import Answer, Call
from landbridge_server.arm.cloud_metadata import metadata
from landbridge_server.arm.dispatch import Dispatch
from landbridge_server.arm.query import parsed_query
from landbridge_server.arm.throttle import Throttle
from landbridge_server.config import Endpoints

JSON = (b"content-type", b"application/json; charset=utf-8")
BODILESS = frozenset({204, 304})


@lru_cache(maxsize=1024)
def query_of(raw: bytes) -> Mapping[str, str]:
    """Return the query with lower-case names; of a name given twice, the first."""
    return parsed_query(raw.decode("latin-1"))


class ArmResponse(Response):
    """The response of an answer; one without a body has no content type."""

    def __init__(self, answered: Answer) -> None:
        """Take the answer as it is: header names are in lower case."""
        self.status_code = answered.status
        self.body = answered.body
        self.background = None
        self.raw_headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in answered.headers.items()
        ]
        if answered.status not in BODILESS:
            self.raw_headers.append((b"content-length", b"%d" % len(answered.body)))
        if answered.body:
            self.raw_headers.append(JSON)


class ArmHttp:
    """Everything under ``/subscriptions``, ``/providers`` and ``/tenants``."""

    METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")

    def __init__(self, dispatch: Dispatch, throttle: Throttle, base: str) -> None:
        """Take what answers; ``base`` is the address under which clients see it."""
        self.dispatch = dispatch
        self.throttle = throttle
        self.batches = Batch(dispatch, throttle, base)

    async def handle(self, request: Request) -> Response:
        """Answer one authenticated request; ``request.state.caller`` is who asks."""
        call = _call(request)
        headers = self.throttle.take(call.caller, call.method, call.path)
        response = ArmResponse(await self.dispatch.answer(call))
        for name, value in headers.items():
            response.raw_headers.append((name.encode(), value.encode()))
        return response

    async def batch(self, request: Request) -> Response:
        """Answer the requests of a batch; each counts, the batch itself does not."""
        return ArmResponse(await self.batches.answer(_call(request)))


def _call(request: Request) -> Call:
    return Call(
        method=request.method,
        path=request.scope["landbridge.path"],
        query=query_of(request.scope["query_string"]),
        headers=request.headers,
        caller=request.state.caller,
        read_body=request.body,
        request_id=request.scope["landbridge.request_id"],
        address=(request.scope.get("client") or ("",))[0],
    )


class CloudMetadataHttp:
    """``/metadata/endpoints``: what clients read before they can sign in."""

    def __init__(self, endpoints: Endpoints, identity_provider: str, tenant: str, domain: str) -> None:
        """Take what is announced; ``tenant`` is the home tenant's id."""
        self.endpoints = endpoints
        self.identity_provider = identity_provider
        self.tenant = tenant
        self.domain = domain

    async def handle(self, request: Request) -> Response:
        """Answer in the shape that the api-version asks for; operators' own name announces itself."""
        version = query_of(request.scope["query_string"]).get("api-version", "")
        endpoints = self.endpoints
        if request.headers.get("host", "").lower() == urlsplit(endpoints.admin_resource_manager).netloc:
            endpoints = replace(endpoints, resource_manager=endpoints.admin_resource_manager)
        return JSONResponse(metadata(version, endpoints, self.identity_provider, self.tenant, self.domain))
