"""A session at the relay, two joined sockets, and what is told of sessions to the rest of the cloud."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from landbridge_server.relay.pending import Pending
from landbridge_server.relay.sockets import DataSocket

OPENED, ENDED, REFUSED = "opened", "ended", "refused"


class SessionNews(NamedTuple):
    """A session was opened, has ended, or was refused with ``status`` and ``reason``.

    ``who`` is the sender's object id, empty where its token was no good. ``seconds`` and
    ``bytes`` are those of a session that has ended: WebSocket frames of both directions.
    """

    what: str
    path: str
    who: str
    address: str
    id: str
    status: int = 200
    reason: str = ""
    seconds: float = 0.0
    bytes: int = 0


OnSession = Callable[[SessionNews], None]


def nobody_listens(_news: SessionNews) -> None:
    """Take no notice."""


class Session:
    """Two joined sockets: the sender's and the machine's. ``began`` is unix time."""

    __slots__ = ("address", "began", "id", "listener", "path", "sender", "who")

    def __init__(self, pending: Pending, sender: DataSocket, listener: DataSocket, began: float) -> None:
        self.path = pending.path
        self.who = pending.who
        self.id = pending.id
        self.address = pending.remote[0]
        self.sender = sender
        self.listener = listener
        self.began = began

    @property
    def bytes(self) -> int:
        """What both sides have sent so far."""
        return self.sender.taken + self.listener.taken

    def opened(self) -> SessionNews:
        """Return the news that it began."""
        return SessionNews(OPENED, self.path, self.who, self.address, self.id)

    def ended(self, now: float) -> SessionNews:
        """Return the news that it ended at ``now``."""
        return self.opened()._replace(what=ENDED, seconds=max(0.0, now - self.began), bytes=self.bytes)


def refused(pending: Pending, status: int, reason: str) -> SessionNews:
    """Return the news that a sender who waited goes away with nothing."""
    return SessionNews(REFUSED, pending.path, pending.who, pending.remote[0], pending.id, status, reason)
