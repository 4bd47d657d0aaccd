"""What the relay asks the fleet, and what it tells it.

The relay knows hybrid connections; the fleet knows which machine each belongs to, who may
reach it, and when it was last heard from. Everything is read from the store at each
question, so that what was taken away a moment ago is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from landbridge_server.arm.access import Access
from landbridge_server.fleet.presence import Presence
from landbridge_server.identity.authentication import belongs
from landbridge_server.identity.caller import Caller
from landbridge_server.relay.names import principal_of
from landbridge_server.store import machines, principals
from landbridge_server.store.database import Connection, Database

LISTEN_SECONDS = 3600
"""How long a machine's Listen token lasts: by its end one knows when it was given."""

LIST_CREDENTIALS = "Microsoft.HybridConnectivity/endpoints/listCredentials/action"


class Rendezvous:
    """Implements the relay's ``RelayDirectory``, and hears when listeners come and go."""

    def __init__(self, db: Database, access: Access, presence: Presence, clock: Callable[[], float]) -> None:
        """Take the parts that are asked."""
        self.db = db
        self.access = access
        self.presence = presence
        self.clock = clock
        self._standing: dict[str, str] = {}

    def machine_key(self, path: str) -> str | None:
        """Return the key of the machine that owns a hybrid connection."""
        return self._standing.get(path) or self.db.read(lambda connection: _machine_key(connection, path))

    def entity(self, path: str) -> str | None:
        """Return the machine's object id; None if it is not there or disabled."""
        principal_id = principal_of(path)
        if principal_id is None:
            return None
        principal = self.db.read(lambda connection: principals.get(connection, principal_id))
        alive = principal is not None and principal.enabled and bool(principal.resource_key)
        return principal_id if alive else None

    def may_listen(self, path: str, expires_on: float) -> bool:
        """Say whether a Listen token that ends then was given since the machine's key was last replaced."""
        principal_id = principal_of(path) or ""
        principal = self.db.read(lambda connection: principals.get(connection, principal_id))
        return principal is None or expires_on >= (principal.tokens_from or 0.0) + LISTEN_SECONDS

    def may_send(self, sender_object_id: str, path: str) -> bool:
        """Say whether a principal is still there, enabled, and allowed to reach the machine."""

        def work(connection: Connection) -> tuple[principals.Principal | None, str, str | None]:
            sender = principals.get(connection, sender_object_id)
            machine = principals.get(connection, principal_of(path) or "")
            if sender is None or machine is None or not belongs(connection, sender, machine.tenant_id):
                return None, "", None
            return sender, machine.tenant_id, _machine_key(connection, path)

        sender, tenant_id, machine_key = self.db.read(work)
        if sender is None or not sender.enabled or machine_key is None:
            return False
        caller = Caller(
            object_id=sender.object_id,
            tenant_id=tenant_id,  # the machine's: a guest's own is another
            kind=sender.kind,
            label=sender.label,
            app_id=sender.app_id or "",
            resource_key=sender.resource_key or "",
        )
        scope = f"{machine_key}/providers/microsoft.hybridconnectivity/endpoints/default"
        return self.access.allows(caller, LIST_CREDENTIALS, scope)

    def offline_since(self, path: str) -> float | None:
        """Return since when the machine has been away (unix seconds); None while it is there."""
        machine_key = self.machine_key(path)
        if machine_key is None:
            return None
        status, since = self.presence.status(machine_key, self.clock())
        return since if status in ("Disconnected", "Expired") else None

    def moved(self, path: str, machine_key: str) -> None:
        """Note that the machine of a hybrid connection has another key now."""
        if path in self._standing:
            self._standing[path] = machine_key

    def strayed(self, known: Mapping[str, str]) -> list[tuple[str, str, str]]:
        """Return old key, new key and connection of each machine here whose key is not the ``known`` one."""
        return [
            (key, known[path], path)
            for path, key in self._standing.items()
            if path in known and known[path] != key
        ]

    def listener_up(self, path: str) -> None:
        """Note that a machine's control channel was opened."""
        if machine_key := self.machine_key(path):
            self._standing[path] = machine_key  # its departure is noted even while the store is away
            self.presence.arrived(machine_key, self.clock())

    def listener_down(self, path: str) -> None:
        """Note that a machine's control channel was closed."""
        if machine_key := self._standing.pop(path, None):
            self.presence.departed(machine_key, self.clock())


def _machine_key(connection: Connection, path: str) -> str | None:
    principal_id = principal_of(path)
    machine = machines.by_principal(connection, principal_id) if principal_id else None
    return machine.machine_key if machine else None
