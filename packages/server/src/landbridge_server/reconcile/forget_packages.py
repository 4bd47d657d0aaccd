"""Throws away the bytes of packages of extensions that were withdrawn, or never became whole.

An hour after the last byte: by then no download goes on, and who publishes has given up or was killed.
"""

from __future__ import annotations

from collections.abc import Callable

from landbridge_server.fleet import extension_packages
from landbridge_server.store import extensions
from landbridge_server.store.database import Connection, Database

CHUNKS = 16
"""Removed in one transaction: 4 MB, so that no other writer waits for long."""


class ForgetPackages:
    """A task; other nodes may do the same at the same time."""

    def __init__(self, db: Database, clock: Callable[[], float]) -> None:
        """Take the store."""
        self.db = db
        self.clock = clock

    async def __call__(self) -> None:
        """Do what is due."""
        now = self.clock()
        for one in self.db.read(lambda connection: extension_packages.forgotten(connection, now)):
            await self._forget(one.package_id)

    async def _forget(self, package_id: str) -> None:
        def some(connection: Connection) -> bool:
            return extensions.discard(connection, package_id, CHUNKS)

        while not await self.db.write(some, aside=True):
            pass
