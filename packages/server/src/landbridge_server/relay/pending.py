"""A sender that waits at the relay, and how it is refused."""

from __future__ import annotations

import asyncio
import secrets
import uuid
from typing import Protocol

from landbridge_wire import hybrid_connections as wire


class Refusal(Exception):
    """An opening request is answered with this status and reason instead of a 101.

    ``who`` is the object id of a sender whose token was good.
    """

    def __init__(self, status: int, reason: str, who: str = "") -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.who = who


class Sender(Protocol):
    """A sender whose 101 has not been sent yet."""

    @property
    def transport(self) -> asyncio.Transport:
        """Its transport, which goes to the session."""
        ...

    def switch(self, protocol: str) -> None:
        """Send its 101, naming ``protocol`` if it had offered that."""
        ...

    def replay(self) -> None:
        """Give what it sent too early to the transport's new protocol."""
        ...

    def refuse(self, status: int, reason: str) -> None:
        """Answer it with a status and end it."""
        ...


class Pending:
    """A sender that waits for a listener. ``rendezvous`` is its secret, single-use address."""

    __slots__ = (
        "abroad",
        "headers",
        "id",
        "path",
        "query",
        "remote",
        "rendezvous",
        "sender",
        "suffix",
        "timer",
        "who",
    )

    def __init__(self, path: str, suffix: str, target: wire.Target, who: str, sender: Sender) -> None:
        self.path = path
        self.suffix = suffix
        self.query = target.query
        self.id = target.id[:128] or str(uuid.uuid4())
        self.who = who
        self.sender = sender
        self.headers: dict[str, str] = {}
        self.remote = ("", 0)
        self.rendezvous = secrets.token_urlsafe(32)
        self.abroad = ""  # the other node that was asked, if one was
        self.timer: asyncio.TimerHandle | None = None
