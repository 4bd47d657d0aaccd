"""Refusals in Microsoft Graph's words, and the closed list of its codes.

https://learn.microsoft.com/graph/errors. Texts are those that clients look for.
"""

from __future__ import annotations

STATUS = {
    "Authorization_RequestDenied": 403,
    "BadRequest": 400,
    "MethodNotAllowed": 405,
    "NoBackingApplicationObject": 400,
    "Request_BadRequest": 400,
    "Request_MultipleObjectsWithSameKeyValue": 409,
    "Request_ResourceNotFound": 404,
    "Request_UnsupportedQuery": 400,
}
"""Code -> HTTP status. A code, once shipped, never changes."""


class GraphError(Exception):
    """A refusal; ``code`` is in ``STATUS``, ``internal`` for the log only."""

    def __init__(self, code: str, message: str, internal: str = "") -> None:
        """Refuse with ``code``."""
        super().__init__(message)
        self.status = STATUS[code]
        self.code = code
        self.message = message
        self.internal = internal


def not_found(name: str) -> GraphError:
    """Return the refusal for an object that is not in the directory."""
    return GraphError(
        "Request_ResourceNotFound",
        f"Resource '{name[:200]}' does not exist or one of its queried reference-property objects "
        "are not present.",
    )


def denied(internal: str, reason: str = "") -> GraphError:
    """Return the refusal for want of rights; ``reason`` says what would be needed."""
    text = "Insufficient privileges to complete the operation."
    return GraphError("Authorization_RequestDenied", f"{text} {reason}".strip(), internal)


def bad(message: str) -> GraphError:
    """Return the refusal of a request that cannot be meant."""
    return GraphError("Request_BadRequest", message)


def unsupported(message: str) -> GraphError:
    """Return the refusal of a query that is not offered."""
    return GraphError("Request_UnsupportedQuery", message)


def no_segment(segment: str) -> GraphError:
    """Return the refusal of a path that is not offered."""
    return GraphError("BadRequest", f"Resource not found for the segment '{segment[:100]}'.")
