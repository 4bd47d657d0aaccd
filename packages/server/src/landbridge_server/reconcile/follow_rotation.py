"""Has a running control plane follow what was decided about its roots, here or at another node.

One small read each time; only a change writes files and takes up new certificates. Open connections
stay: the next handshake shows what is new.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from landbridge_server.ca import ownership, rotation
from landbridge_server.ca.authority import CertificateAuthority
from landbridge_server.ca.sealing import Unreadable
from landbridge_server.store.database import Connection, Database

logger = logging.getLogger("landbridge")


def at_start(db: Database, folder: Path, relay_key_file: Path) -> None:
    """Bring the files of a node up to date that was away while others rotated; strangers change nothing."""
    stored = db.read(rotation.text)
    if not stored or not relay_key_file.exists():
        return
    relay_key = relay_key_file.read_bytes()
    found = rotation.read(stored)
    if found and db.read(lambda connection: ownership.same_key(connection, relay_key)):
        rotation.follow(folder, found, rotation.sealer(relay_key))


class FollowRotation:
    """A task. ``followers`` are called after the authority has changed."""

    def __init__(
        self,
        db: Database,
        authority: CertificateAuthority,
        relay_key: bytes,
        clock: Callable[[], float],
        followers: Sequence[Callable[[], object]],
    ) -> None:
        """Begin with what was found at the start."""
        self.db = db
        self.authority = authority
        self.clock = clock
        self.followers = followers
        self._seal = rotation.sealer(relay_key)
        with db.writing() as connection:
            rotation.renewed(connection, authority.folder, authority, self._seal)
            self._known = rotation.text(connection)
        self.current = rotation.read(self._known)
        """The rotation as this node knows it; nothing where there never was one."""

    async def __call__(self) -> None:
        """Take up what changed, and activate the next root when its time has come."""
        if rotation.due(self.current, self.clock()):
            await self.db.write(self._activate)
        stored = self.db.read(rotation.text)
        if stored == self._known:
            return
        found = rotation.read(stored)
        if found is not None:
            self._take(found)
        self._known, self.current = stored, found

    def _activate(self, connection: Connection) -> None:
        now = self.clock()
        if rotation.due(rotation.read(rotation.text(connection)), now):  # another node may have been first
            rotation.activate(connection, now)

    def _take(self, found: rotation.Rotation) -> None:
        try:
            rotation.follow(self.authority.folder, found, self._seal)
        except Unreadable as error:
            logger.error("a rotation cannot be followed", extra={"fields": {"reason": str(error)}})
            return
        self.authority.reopen(self.clock())
        for follower in self.followers:
            follower()
        states = {rotation.short(one): one.state for one in found.authorities}
        logger.warning("the certificate authority changed", extra={"fields": {"roots": states}})
