"""One request to the resource manager, and its answer, without the web framework.

A call is what a handler sees: the path in the caller's casing, the query with
case-insensitive names, the caller, and a body that is read only when somebody wants it.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from landbridge_server.identity.caller import Caller
from landbridge_wire.errors import ArmError

DEPTH_LIMIT = 64
"""How deeply a body may be nested; what is deeper is refused, not crashed upon."""

_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
"""The only way in which JSON spells a character that not every store takes."""

encode = msgspec.json.encode


@dataclass
class Call:
    """A request. ``query`` has lower-case names; ``headers`` too. ``address`` is the peer's."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    caller: Caller
    read_body: Callable[[], Awaitable[bytes]]
    names: Mapping[str, str] = field(default_factory=dict)
    request_id: str = ""
    address: str = ""

    @property
    def api_version(self) -> str:
        """The api-version that was asked for, unverified; empty when it is missing."""
        return self.query.get("api-version", "")

    async def json(self, *, optional: bool = False) -> dict[str, Any]:
        """Return the body, a JSON object; ``{}`` for an empty one when it is optional.

        Raises:
            ArmError: InvalidRequestContent or UnsupportedMediaType.
        """
        content = await self.read_body()
        if optional and not content.strip():
            return {}
        kind = self.headers.get("content-type", "application/json").lower()
        if "json" not in kind:
            raise ArmError(
                "UnsupportedMediaType",
                f"The content media type '{kind[:100]}' is not supported. "
                "Only 'application/json' is supported.",
            )
        return decode_object(content)


@dataclass
class Answer:
    """A response. An empty body carries no content type."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def answer(value: object, status: int = 200, **headers: str) -> Answer:
    """Return an answer whose body is ``value`` as JSON."""
    return Answer(status, encode(value), {name.replace("_", "-"): text for name, text in headers.items()})


def decode_object(content: bytes) -> dict[str, Any]:
    """Decode a JSON object.

    Raises:
        ArmError: InvalidRequestContent; not JSON, not an object, or nested too deeply.
    """
    try:
        value = msgspec.json.decode(content)
    except RecursionError:
        raise _too_deep() from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        reason = f"The request content was invalid and could not be deserialized: '{error}'."
        raise ArmError("InvalidRequestContent", reason) from error
    if b"\\u0000" in content and _NUL.search(content):
        raise ArmError("InvalidRequestContent", "The request content was invalid: a text holds NUL.")
    if not isinstance(value, dict):
        raise ArmError(
            "InvalidRequestContent", "The request content was invalid: a JSON object was expected."
        )
    if _deeper_than(value, DEPTH_LIMIT):
        raise _too_deep()
    return value


def _too_deep() -> ArmError:
    return ArmError(
        "InvalidRequestContent",
        f"The request content was invalid: it is nested deeper than {DEPTH_LIMIT} levels.",
    )


def _deeper_than(value: object, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        below: list[object] = []
        for one in level:
            if isinstance(one, dict):
                below.extend(one.values())
            elif isinstance(one, list):
                below.extend(one)
        if not below:
            return False
        level = below
    return any(isinstance(one, dict | list) for one in level)
