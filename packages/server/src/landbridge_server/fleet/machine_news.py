"""Tells machines at once that there is something new for them, on their control channels.

What is new stands in the store with a version (``store.machine_news``). Each node looks for newer
versions when it, or another node, has written some, and once a second: that is how it learns of
what a process on the command line wrote. It pokes those machines whose channel it holds; a machine
that is elsewhere, or nowhere, asks whenever it connects.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from landbridge_server.relay.names import hybrid_connection_path
from landbridge_server.store import machine_news
from landbridge_server.store.database import Database
from landbridge_wire.agent_api import HeartbeatReply

AT_ONCE = 20
PAUSE_SECONDS = 0.02
"""A thousand machines a second come to fetch at most: requests of others go on in between.

Machines that are not here come to fetch nothing, and nobody is kept waiting for them."""

LOOKED_AT = 1000
"""Machines that are looked for without a moment for others."""


class MachineNews:
    """A task. Belongs to the event loop; remembers which machines have not fetched yet."""

    def __init__(self, db: Database, tell: Callable[[str, dict[str, object]], bool]) -> None:
        """Take the store, and who sends a heartbeat's reply to the machine at a path, if it is here."""
        self.db = db
        self.tell = tell
        self._version = 0
        self._waiting: set[str] = set()

    async def __call__(self) -> None:
        """Poke every machine here that has something newer to fetch than this node knew of."""
        known = self._version
        found = await self.db.read_aside(lambda connection: machine_news.since(connection, known))
        poke = dict(HeartbeatReply(workWanted=True).to_json())
        told = 0
        for number, one in enumerate(found, 1):
            self._version = max(self._version, one.version)
            self._waiting.add(one.machine_key)
            if self.tell(hybrid_connection_path(one.principal_id), poke):
                told += 1
                if told % AT_ONCE == 0:
                    await asyncio.sleep(PAUSE_SECONDS)
            if number % LOOKED_AT == 0:
                await asyncio.sleep(0)

    def waits_for(self, machine_key: str) -> bool:
        """Say whether a machine has something to fetch; costs a look at the store only where it may."""
        if machine_key not in self._waiting:
            return False
        if self.db.read(lambda connection: machine_news.kinds(connection, machine_key)):
            return True
        self._waiting.discard(machine_key)
        return False

    def forget(self, machine_key: str) -> None:
        """Drop a machine that was removed."""
        self._waiting.discard(machine_key)

    def rename(self, machine_key: str, new_key: str) -> None:
        """Go on with a machine that has another key now."""
        if machine_key in self._waiting:
            self._waiting.discard(machine_key)
            self._waiting.add(new_key)
