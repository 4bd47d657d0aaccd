"""Writes to the directory, done and refused, and refused reads, as events of the activity log."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from landbridge_server.arm.activity import REFUSED, Activity
from landbridge_server.identity.caller import Caller
from landbridge_server.microsoft_graph.errors import GraphError
from landbridge_server.microsoft_graph.request import Target, target_of
from landbridge_server.microsoft_graph.table import QUESTIONS

NONSENSE = frozenset({"BadRequest", "MethodNotAllowed"})
"""Refusals of what is no request about anything in a directory."""

_SPELLED = {
    "serviceprincipals": "servicePrincipals",
    "addpassword": "addPassword",
    "changepassword": "changePassword",
    "removepassword": "removePassword",
    "rolemanagement": "roleManagement",
}


class Answered(NamedTuple):
    """A request and how it ended; ``path`` begins behind the version, ``made`` is a new object's id."""

    method: str
    path: str
    caller: Caller
    status: int
    error: GraphError | None
    made: str
    address: str
    request_id: str
    correlation_id: str


OnAnswered = Callable[[Answered], None]


def nobody_listens(_answered: Answered) -> None:
    """Take no notice."""


class ChangeNotes:
    """Takes answered requests as ``http`` tells them."""

    def __init__(self, activity: Activity) -> None:
        """Write to ``activity``."""
        self.activity = activity

    def __call__(self, answered: Answered) -> None:
        """Note an answer, if it is one to be noted."""
        error = answered.error
        if error is not None and error.code in NONSENSE:
            return
        try:
            target = target_of(answered.path)
        except GraphError:
            return
        word = target.rest[-1] if target.rest else ""
        reads = answered.method == "GET" or word in (*QUESTIONS, "getbyids")
        if reads and answered.status not in REFUSED:
            return
        key = target.key or answered.made
        self.activity.directory_change(
            answered.caller,
            _action(answered.method, target, reads),
            f"/providers/Microsoft.Graph/{_spelled(target.collection)}" + (f"/{key}" if key else ""),
            status=answered.status,
            error=(error.code, error.message) if error is not None else None,
            address=answered.address,
            request_id=answered.request_id,
            correlation_id=answered.correlation_id,
            more={"link": "/".join(target.rest)} if target.rest else None,
        )


def _spelled(word: str) -> str:
    return _SPELLED.get(word, word)


def _action(method: str, target: Target, reads: bool) -> str:
    """Return the action of a request: ``Microsoft.Graph/groups/members/write``."""
    words = [_spelled(target.collection)]
    if reads:
        return "/".join(["Microsoft.Graph", *words, "read"])
    link = [word for word in target.rest if word != "$ref"]
    if link and link[0] in ("addpassword", "removepassword"):
        return "/".join(["Microsoft.Graph", *words, _spelled(link[0]), "action"])
    verb = "delete" if method == "DELETE" else "write"
    return "/".join(["Microsoft.Graph", *words, *link[:1], verb])
