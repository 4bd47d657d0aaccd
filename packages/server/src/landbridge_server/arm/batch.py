"""``POST /batch``: many requests in one, each answered as if it had come alone.

    {"requests": [{"httpMethod": "GET", "name": "a", "url": "/subscriptions?api-version=2022-12-01"}]}

Each passes the throttle, the gate and every check by itself, one after the other, in the order
given; what one does, the next sees. The answer is 200 with one response each, whatever their
statuses. There is no transaction around them.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from landbridge_server.arm import access, api_version, refusals
from landbridge_server.arm.call import Answer, Call, answer, encode
from landbridge_server.arm.dispatch import OWN_VERSIONS, Dispatch
from landbridge_server.arm.query import parsed_query
from landbridge_server.arm.throttle import Throttle
from landbridge_server.store.database import StoreUnavailable
from landbridge_wire.errors import ArmError, envelope

logger = logging.getLogger("landbridge")

MOST, MOST_BEFORE, SINCE = 500, 20, "2020-06-01"
"""Requests in a batch: as many as ARM takes since that version, and before."""

LARGEST = 16 * 1024 * 1024
"""Bytes of all answers together; requests after that are not carried out."""

_METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
_PREFIXES = ("subscriptions", "providers", "tenants")
_HEADERS = ("if-match", "if-none-match", "accept-language")


class Batch:
    """Answers batches by one dispatcher; ``base`` is the resource manager's own address."""

    def __init__(self, dispatch: Dispatch, throttle: Throttle, base: str) -> None:
        """Take who answers the requests."""
        self.dispatch = dispatch
        self.throttle = throttle
        self.host = urlsplit(base).netloc.lower()

    async def answer(self, call: Call) -> Answer:
        """Answer a batch.

        Raises:
            ArmError: the batch itself is wrong; none of its requests was carried out.
        """
        api_version.check(call.api_version, OWN_VERSIONS)
        requests = (await call.json()).get("requests")
        if not isinstance(requests, list) or not all(isinstance(one, dict) for one in requests):
            raise refusals.invalid("'requests' must be an array of objects.", "requests")
        most = MOST if call.api_version >= SINCE else MOST_BEFORE
        if not 1 <= len(requests) <= most:
            raise refusals.invalid(
                f"a batch holds 1 to {most} requests, this one {len(requests)}.", "requests"
            )
        responses: list[dict[str, object]] = []
        size = 0
        for one in requests:
            answered = await self._one(call, one) if size <= LARGEST else _failed(_too_much())
            size += len(answered.body)
            await asyncio.sleep(0)  # a turn for everybody else
            responses.append(_shown(one, answered))
        access.decided()  # each request asked for itself
        return answer({"responses": responses})

    async def _one(self, outer: Call, request: dict[str, Any]) -> Answer:
        try:
            call = self._call(outer, request)
            headers = self.throttle.take(call.caller, call.method, call.path)
            with access.Deciding() as decisions:
                answered = await self.dispatch.answer(call)
            if not decisions.made:
                raise RuntimeError("A request of a batch was answered without asking the gate.")
        except ArmError as error:
            return _failed(error)
        except StoreUnavailable:
            return _failed(
                ArmError(
                    "ServiceUnavailable",
                    "The control plane cannot reach its database. Try again in a moment.",
                )
            )
        except Exception as error:
            logger.error("a request of a batch failed", exc_info=error)
            return _failed(ArmError("InternalServerError", "The control plane met an error of its own."))
        return Answer(answered.status, answered.body, answered.headers | headers)

    def _call(self, outer: Call, request: dict[str, Any]) -> Call:
        """Return one request as if it had come alone.

        Raises:
            ArmError: it is not one that a batch can hold.
        """
        method = request.get("httpMethod")
        if not isinstance(method, str) or method.upper() not in _METHODS:
            raise refusals.invalid(f"'httpMethod' must be one of {', '.join(_METHODS)}.", "httpMethod")
        path, query = self._place(request.get("url", request.get("relativeUrl")))
        content = request.get("content")
        body = b"" if content is None else encode(content)

        async def read_body() -> bytes:
            return body

        given = request.get("headers")
        headers: dict[str, str] = {
            name: value for name, value in outer.headers.items() if name == "accept-language"
        }
        if isinstance(given, dict):
            headers |= {
                name.lower(): value
                for name, value in given.items()
                if name.lower() in _HEADERS and isinstance(value, str)
            }
        return Call(
            method.upper(),
            path,
            query,
            headers,
            outer.caller,
            read_body,
            request_id=outer.request_id,
            address=outer.address,
        )

    def _place(self, unverified_url: object) -> tuple[str, Mapping[str, str]]:
        if not isinstance(unverified_url, str):
            raise refusals.invalid("'url' must be a string.", "url")
        try:
            url = urlsplit(unverified_url)
        except ValueError as error:
            raise refusals.invalid(f"'url' is not a URL: {error}", "url") from error
        if url.netloc and url.netloc.lower() != self.host:
            raise refusals.invalid(f"'url' must be relative, or begin with https://{self.host}.", "url")
        parts = [part for part in unquote(url.path).split("/") if part]
        path = "/" + "/".join(parts)
        if not parts or parts[0].lower() not in _PREFIXES:
            raise ArmError("NotFound", f"There is nothing at '{path[:200]}' that a batch can ask for.")
        if not path.isprintable() or "%00" in url.query:
            raise ArmError("BadRequest", "The path or the query holds control characters.")
        return path, parsed_query(url.query)


def _too_much() -> ArmError:
    return ArmError(
        "RequestEntityTooLarge",
        f"The answers of the batch are larger than {LARGEST} bytes. "
        "This request was not carried out; ask for less at once.",
    )


def _failed(error: ArmError) -> Answer:
    headers = {"x-ms-failure-cause": error.cause}
    if error.retry_after:
        headers["retry-after"] = str(error.retry_after)
    return Answer(error.status, encode(envelope(error)), headers)


def _shown(request: dict[str, Any], answered: Answer) -> dict[str, object]:
    shown: dict[str, object] = {
        "httpStatusCode": answered.status,
        "headers": answered.headers | {"x-ms-request-id": str(uuid.uuid4())},
        "contentLength": len(answered.body),
    }
    if isinstance(request.get("name"), str):
        shown["name"] = request["name"]
    if answered.body:
        shown["content"] = msgspec.Raw(answered.body)
    return shown
