"""Tells programs on this machine that the cloud has something for it: the daemon only wakes them.

What there is to do ``extd`` fetches itself; nothing of it passes through the daemon.
"""

from __future__ import annotations

import asyncio
import os

from landbridge_agent.local_socket import WAIT_SECONDS

MOST = 8
"""Programs that may wait at the same time; the next is told at once, as if there were news."""


class News:
    """A word that changes with each piece of news, and with each start of the daemon."""

    def __init__(self) -> None:
        self._start, self._count = os.urandom(6).hex(), 0
        self._changed = asyncio.Event()
        self._waiting = 0

    @property
    def word(self) -> str:
        """The word of now."""
        return f"{self._start}.{self._count}"

    def tell(self) -> None:
        """Say that there is something new."""
        self._count += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def after(self, seen: str, reader: asyncio.StreamReader) -> str:
        """Return the word as soon as it is not ``seen``, the asker has left or the time is over."""
        if seen != self.word or self._waiting >= MOST:
            return self.word
        self._waiting += 1
        told = asyncio.ensure_future(self._changed.wait())
        left = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait((told, left), timeout=WAIT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._waiting -= 1
            told.cancel()
            left.cancel()
            await asyncio.gather(told, left, return_exceptions=True)
        return self.word
