"""What the broker asks of other nodes of the same cloud, where there are any."""

from __future__ import annotations

from typing import Protocol


class Neighbours(Protocol):
    """The other nodes. A caller waits here; the machine's control channel may be there."""

    @property
    def base(self) -> str:
        """``wss://host:port`` where a machine reaches the callers that wait at this node."""
        ...

    def offer(self, path: str, rendezvous: str, accept: str) -> bool:
        """Ask the node that holds a machine to hand it ``accept``; False if none is known to.

        The broker hears ``declined(rendezvous)`` if that node does not hold it after all.
        """
        ...

    def holder(self, path: str) -> str:
        """Return the node that is known to hold a machine now; empty if none is."""
        ...

    def left_at(self, path: str) -> float:
        """Return when a machine was last known to leave any node (unix seconds); 0 if never."""
        ...


class Alone:
    """No other node."""

    base = ""

    def offer(self, path: str, rendezvous: str, accept: str) -> bool:
        """Know nobody."""
        return False

    def holder(self, path: str) -> str:
        """Know nobody."""
        return ""

    def left_at(self, path: str) -> float:
        """Know nothing."""
        return 0.0
