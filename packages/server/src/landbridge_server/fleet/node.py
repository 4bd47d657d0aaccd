"""This control plane as one of the nodes that share a store: what they tell one another.

The tables are the truth, notices only hasten it: each task also looks once a second.

- Presence: a machine's row names the node that holds its control channel. Rows carry a
  version; a node takes over what is newer than what it knows.
- Life: a node beats once a second. One that has not for ``LEASE`` seconds is buried by any
  other, and the machines that it held have departed; if it lives after all, it claims them.
- Removal: a machine that is removed is forgotten, and its sockets closed, at every node.
- Callers: the caller waits at the node that it reached. That node leaves a message for the
  one that holds the machine, which hands the machine the address. No byte crosses nodes.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from landbridge_server.fleet.presence import Presence
from landbridge_server.fleet.rendezvous import Rendezvous
from landbridge_server.relay.broker import Broker
from landbridge_server.relay.names import hybrid_connection_path
from landbridge_server.store import machines, nodes, notices
from landbridge_server.store.database import Connection, Database, StoreUnavailable

logger = logging.getLogger("landbridge")

LEASE = 5.0
"""Seconds without a beat after which a node counts as dead."""

KEPT = 10_000
"""Hybrid connections whose machine's key is remembered, for callers who wait."""


class Node:
    """Implements the relay's ``Neighbours``. Belongs to the event loop.

    ``news_wanted`` and ``mail_wanted`` are called when ``news`` and ``mail`` have work to do,
    ``work_noted`` when machines may have some.
    """

    def __init__(
        self,
        db: Database,
        presence: Presence,
        rendezvous: Rendezvous,
        broker: Broker,
        base: str,
        clock: Callable[[], float],
        forget: Callable[[str], None],
        rename: Callable[[str, str, str], None],
    ) -> None:
        """Take the parts, and ``base``: ``wss://host:port`` where machines reach this node.

        ``forget`` drops all that this node remembers of a machine, by its key; ``rename`` gives
        a machine its new key: old key, new key, hybrid connection.
        """
        self.db = db
        self.presence = presence
        self.rendezvous = rendezvous
        self.broker = broker
        self.clock = clock
        self.forget = forget
        self.rename = rename
        self.node_id = presence.node
        self.news_wanted: Callable[[], None] = lambda: None
        self.mail_wanted: Callable[[], None] = lambda: None
        self.work_noted: Callable[[], None] = lambda: None
        self._base = base
        self._version = 0
        self._reread = True
        self._running: set[asyncio.Future[Any]] = set()
        self._keys: dict[str, str] = {}  # machine keys by hybrid connection
        self._beaten_at = self._beating_since = float("-inf")

    # -- for the broker

    @property
    def base(self) -> str:
        """Where a machine reaches the callers that wait here."""
        return self._base

    def offer(self, path: str, rendezvous: str, accept: str) -> bool:
        """Ask the node that holds the machine to hand it ``accept``."""
        holder = self.holder(path)
        if not holder:
            return False
        letter = {"from": self.node_id, "path": path, "rendezvous": rendezvous, "accept": accept}
        self._spawn(self._send(holder, letter, rendezvous))
        return True

    def holder(self, path: str) -> str:
        """Return the other node that holds the machine's control channel; empty if none does."""
        machine_key = self._machine_key(path)
        return (self.presence.holder(machine_key) or "") if machine_key else ""

    def left_at(self, path: str) -> float:
        """Return when the machine was last known to leave any node."""
        machine_key = self._machine_key(path)
        return self.presence.departed_at(machine_key) if machine_key else 0.0

    def _machine_key(self, path: str) -> str | None:
        found = self._keys.get(path) or self.rendezvous.machine_key(path)
        if found:
            if len(self._keys) >= KEPT:
                self._keys.clear()
            self._keys[path] = found
        return found

    async def _send(self, recipient: str, letter: dict[str, str], rendezvous: str = "") -> None:
        body = json.dumps(letter)
        try:
            await self.db.post(lambda connection: nodes.send(connection, recipient, body))
        except StoreUnavailable as error:
            logger.warning("a message to another node was lost", extra={"fields": {"reason": str(error)}})
            self.broker.declined(rendezvous)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        running = asyncio.ensure_future(work)
        self._running.add(running)
        running.add_done_callback(self._running.discard)

    # -- tasks

    async def listen(self) -> None:
        """Hear the notices of all nodes, until cancelled."""
        await notices.listen(
            self.db.url,
            self._on_notice,
            lambda why: logger.warning("notices are not heard", extra={"fields": {"reason": why}}),
        )

    def _on_notice(self, notice: dict[str, Any]) -> None:
        kind = notice.get("kind")
        if kind == "mail" and notice.get("to") == self.node_id:
            self.mail_wanted()
        elif kind == "work":
            self.work_noted()
        elif kind == "removed":
            self._removed(str(notice.get("machine", "")), str(notice.get("principal", "")))
        elif kind == "rekeyed":
            self._rekeyed(str(notice.get("principal", "")))
        elif kind == "moved":
            self._moved(str(notice.get("machine", "")), str(notice.get("principal", "")))
        elif kind in ("presence", notices.REREAD):
            self._reread = self._reread or kind == notices.REREAD
            self.news_wanted()

    def _removed(self, machine_key: str, principal_id: str) -> None:
        # Anybody who may connect to the database can send notices: the table decides.
        path = hybrid_connection_path(principal_id)
        try:
            if self.rendezvous.entity(path) is not None:
                return
        except StoreUnavailable:
            self._reread = True
            return
        self.forget(machine_key)
        self.broker.close(path)

    def _rekeyed(self, principal_id: str) -> None:
        try:
            self.broker.recheck_listeners(hybrid_connection_path(principal_id))
        except StoreUnavailable:
            self._reread = True  # the channel ends with its token, at the latest

    def _moved(self, machine_key: str, principal_id: str) -> None:
        path = hybrid_connection_path(principal_id)
        try:
            found = self.db.read(lambda connection: machines.by_principal(connection, principal_id))
        except StoreUnavailable:
            self._reread = True
            return
        if found is not None and found.machine_key != machine_key:
            self._take_new_key(machine_key, found.machine_key, path)
            self.news_wanted()

    def _take_new_key(self, old_key: str, new_key: str, path: str) -> None:
        self._keys.pop(path, None)
        self.rename(old_key, new_key, path)

    async def beat(self) -> None:
        """Prolong the lease of this node, and bury those whose lease has ended.

        Only a node that could beat all the while judges the others: after an outage of the
        database, they have a lease's time to beat again.
        """
        now, moment = self.clock(), asyncio.get_running_loop().time()
        if moment - self._beaten_at > LEASE / 2:
            self._beating_since = moment
        judges = moment - self._beating_since >= LEASE

        def work(connection: Connection) -> tuple[bool, list[str]]:
            known = nodes.beat(connection, self.node_id, self._base, now)
            return known, nodes.bury(connection, LEASE) if judges else []

        known, dead = await self.db.write(work)
        self._beaten_at = asyncio.get_running_loop().time()
        if not known:
            self.presence.claim()
        for node_id in dead:
            logger.warning("a node is gone", extra={"fields": {"node": node_id}})

    async def news(self) -> None:
        """Take over what the nodes wrote about machines since the last time."""
        everything, self._reread = self._reread, False
        try:
            since = 0 if everything else self._version
            found = await self.db.read_aside(lambda connection: machines.news(connection, since))
            self.presence.merge(found.seen, found.expiries, self.clock())
            self._version = found.version
            if everything:
                await self._forget_the_removed()
        except BaseException:
            self._reread = everything
            raise
        self.broker.offer_again()

    async def _forget_the_removed(self) -> None:
        known = await self.db.read_aside(machines.by_principals)
        keys = set(known.values())
        by_path = {hybrid_connection_path(principal_id): key for principal_id, key in known.items()}
        for old_key, new_key, path in self.rendezvous.strayed(by_path):
            self._take_new_key(old_key, new_key, path)
        for path in self.broker.paths():
            if path not in by_path:
                self.broker.close(path)
        for machine_key in self.presence.machines():
            if machine_key not in keys:
                self.forget(machine_key)

    async def mail(self) -> None:
        """Answer what other nodes have asked."""
        for body in await self.db.post(lambda connection: nodes.receive(connection, self.node_id)):
            letter: dict[str, str] = json.loads(body)
            if "accept" not in letter:
                self.broker.declined(letter["rendezvous"])
            elif not self.broker.hand_over(letter["path"], letter["accept"]):
                await self._send(letter["from"], {"rendezvous": letter["rendezvous"]})

    async def leave(self) -> None:
        """Give up the lease: this node stops."""
        now = self.clock()
        await self.db.write(lambda connection: nodes.leave(connection, self.node_id, now))
