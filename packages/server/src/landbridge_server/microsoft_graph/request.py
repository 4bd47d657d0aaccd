"""One request to the directory's API, and its answer, without the web framework."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from landbridge_server.identity.caller import Caller
from landbridge_server.microsoft_graph.errors import bad, no_segment

GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

_CALL = re.compile(r"(?P<name>[A-Za-z]+)\((?:(?P<key>[A-Za-z]+)=)?'(?P<value>(?:[^']|'')*)'\)")
_UNKEYED = frozenset({"getbyids", "$count", "delta"})
"""What stands behind a collection and is no key."""


@dataclass(frozen=True)
class Target:
    """What a path is about: ``collection``, the ``key`` in it, and what of that.

    ``key_name`` is empty for an id, else the name of an alternate key. Words of the API are in
    lower case.
    """

    collection: str
    key: str = ""
    key_name: str = ""
    rest: tuple[str, ...] = ()


@dataclass(frozen=True)
class Request:
    """A request. ``query`` has lower-case names; ``verifier`` is the hash of a password in the body.

    ``base`` and ``path`` together are the address under which the caller sees it.
    """

    method: str
    target: Target
    query: Mapping[str, str]
    caller: Caller
    base: str
    path: str
    now: float
    body: Mapping[str, Any] = field(default_factory=dict)
    verifier: str = ""

    def about(self, object_id: str) -> Request:
        """Return the same request with the object named by its id."""
        return replace(self, target=replace(self.target, key=object_id, key_name=""))


@dataclass(frozen=True)
class Reply:
    """An answer: a JSON object, a plain text, or no body at all."""

    content: Mapping[str, Any] | None = None
    status: int = 200
    text: str = ""


DONE = Reply(status=204)


def target_of(path: str) -> Target:
    """Return what a path, without its version, is about.

    Raises:
        GraphError: BadRequest; there is no such path.
    """
    segments = [segment for segment in path.split("/") if segment]
    if not segments:
        raise no_segment("")
    first, *rest = segments
    match = _CALL.fullmatch(first)
    if match is not None:
        value = match["value"].replace("''", "'")
        return Target(match["name"].lower(), value, (match["key"] or "").lower(), _words(rest))
    if not first.isalnum():
        raise no_segment(first)
    collection = first.lower()
    if collection == "me" or not rest or _word(rest[0]) in _UNKEYED:
        return Target(collection, rest=_words(rest))
    return Target(collection, rest[0], "", _words(rest[1:]))


def _words(segments: list[str]) -> tuple[str, ...]:
    return tuple(_word(one) for one in segments)


def _word(segment: str) -> str:
    """Return a word of the API in lower case; clients may qualify it with its namespace."""
    word = segment.lower()
    return word.removeprefix("microsoft.").removeprefix("graph.") if "graph." in word else word


def object_id(text: str) -> str:
    """Return an object id in lower case.

    Raises:
        GraphError: Request_BadRequest; it is none.
    """
    if not GUID.fullmatch(text):
        raise bad(f"Invalid object identifier '{text[:100]}'.")
    return text.lower()
