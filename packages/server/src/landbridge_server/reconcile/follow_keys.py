"""Has a running control plane sign and verify with the keys that the store holds, and tends those."""

from __future__ import annotations

import logging
from collections.abc import Callable

from landbridge_server.ca.sealing import Unreadable
from landbridge_server.identity import key_rotation
from landbridge_server.identity.keys import SigningKeys
from landbridge_server.store.database import Database, StoreUnavailable

logger = logging.getLogger("landbridge")

LOOK_SECONDS = 1.0
"""Tokens with keys that nobody knows make the store be asked at most so often."""


class FollowKeys:
    """A task; ``look`` is also called when a token names an unknown key."""

    def __init__(
        self,
        db: Database,
        keys: SigningKeys,
        relay_key: bytes,
        clock: Callable[[], float],
        period_days: float,
    ) -> None:
        """Begin with the stored keys; a cloud that has none stored begins with those of ``keys``."""
        self.db = db
        self.keys = keys
        self.clock = clock
        self.period_days = period_days
        self._seal = key_rotation.sealer(relay_key)
        self._known = ""
        self._looked = float("-inf")
        if not db.read(key_rotation.text):
            with db.writing() as connection:
                key_rotation.adopt(connection, keys.held, self._seal, clock())
        self.look()
        keys.on_unknown = self.look_soon

    async def __call__(self) -> None:
        """Take up what changed; publish, rotate and drop keys when their time has come."""
        stored, now = key_rotation.read(self._known), self.clock()
        if key_rotation.wants_tending(stored, now, self.period_days):
            await self.db.write(
                lambda connection: key_rotation.tend(connection, self._seal, now, self.period_days)
            )
        self.look()

    def look_soon(self) -> None:
        """Look, unless that was just done. A store that is away changes nothing."""
        now = self.clock()
        if not 0 <= now - self._looked < LOOK_SECONDS:
            self._looked = now
            try:
                self.look()
            except StoreUnavailable:
                return

    def look(self) -> None:
        """Go on with the keys that the store holds."""
        stored = self.db.read(key_rotation.text)
        if stored == self._known:
            return
        try:
            held = key_rotation.opened(key_rotation.read(stored), self._seal)
        except Unreadable as error:
            logger.error("the signing keys cannot be read", extra={"fields": {"reason": str(error)}})
            return
        if self._known:
            states = {one.key_id[:8]: one.state for one in held}
            logger.warning("the keys that sign tokens changed", extra={"fields": states})
        self.keys.take(held)
        self._known = stored
