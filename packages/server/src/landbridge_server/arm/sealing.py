"""Seals what callers write and never read back, such as the protected settings of an extension."""

from __future__ import annotations

from landbridge_server.ca.sealing import PurposeSealer, Unreadable

__all__ = ["Sealer", "Unreadable"]

_PURPOSE = b"landbridge protected members v1"


class Sealer(PurposeSealer):
    """Seals and opens protected members of resources; see ``ca.sealing`` for what that hides."""

    def __init__(self, secret: bytes) -> None:
        """Take a secret of at least 32 random bytes; it may serve other purposes too."""
        super().__init__(secret, _PURPOSE)
