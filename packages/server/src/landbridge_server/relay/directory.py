"""What the relay asks the rest of the control plane; it holds no such truth itself."""

from __future__ import annotations

from typing import Protocol


class RelayDirectory(Protocol):
    """Asked anew for every socket, so that what is taken away is gone at once."""

    def entity(self, path: str) -> str | None:
        """Return the object id of the machine that owns ``path``; None if it is not there or disabled."""
        ...

    def may_listen(self, path: str, expires_on: float) -> bool:
        """Tell whether a Listen token that ends then (unix seconds) is of the machine's present key."""
        ...

    def may_send(self, sender_object_id: str, path: str) -> bool:
        """Tell whether a principal still exists, is enabled, and may still reach that machine."""
        ...
