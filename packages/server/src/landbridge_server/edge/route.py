"""What a row of the table of routes says: which function answers, and who may ask.

Every row names its access. ``Public`` rows say why they need no token. A ``Bearer`` row is
authenticated before its function runs, and the function must ask the authorization gate:
an answer that was given without a decision is withheld.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Public:
    """Anybody may ask; ``reason`` says why that is right."""

    reason: str


@dataclass(frozen=True)
class Bearer:
    """A bearer token for one of these audiences is needed."""

    audiences: frozenset[str]
    machines_only: bool = False


Access = Public | Bearer


@dataclass(frozen=True)
class Endpoint:
    """One method of one path. ``body_limit`` bounds the request body in bytes.

    ``notes``: the handler itself notes in the activity log whom it refuses with 403.
    ``action``: the action as which the gate notes what the handler has done; what it was done to
    is ``scope["landbridge.subject"]``, a resource id that the handler sets.
    """

    handler: Handler
    access: Access
    body_limit: int = 4 * 1024 * 1024
    no_store: bool = False
    notes: bool = False
    action: str = ""


Table = dict[str, dict[str, Endpoint]]
"""Path pattern (lower case, Starlette's syntax) -> method -> endpoint."""
