"""The header fields of a request, found by name without walking over all of them each time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Receive, Scope


class Head(Headers):
    """Starlette's headers with quick single lookups. Of a field given twice, the first counts."""

    def __init__(self, raw: Iterable[tuple[bytes, bytes]]) -> None:
        """Take the fields with lower-case names, as a server hands them over."""
        self._list = list(raw)
        self._first = dict(reversed(self._list))

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a field, or the default."""
        found = self._first.get(key.lower().encode("latin-1"))
        return default if found is None else found.decode("latin-1")

    def __getitem__(self, key: str) -> str:
        """Return the value of a field.

        Raises:
            KeyError: there is none of that name.
        """
        return self._first[key.lower().encode("latin-1")].decode("latin-1")

    def __contains__(self, key: object) -> bool:
        """Say whether there is a field of that name."""
        return isinstance(key, str) and key.lower().encode("latin-1") in self._first


class Asked(Request):
    """A request whose ``headers`` are the ``Head`` in the scope."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        """Take what an ASGI application is called with."""
        super().__init__(scope, receive)
        self._headers = scope["landbridge.head"]
