"""What extensions and run commands have in common: a machine carries them out, when it can.

Their writes are operations that end with the machine's report (``arm/work.py``). Members that
are written and never read are sealed and kept apart from the document: no answer, list, log or
filter can show them, only the machine gets them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from landbridge_server.arm import shape, work
from landbridge_server.arm.resource_type import Document, Effects, Kind, ResourceType, Write
from landbridge_server.arm.sealing import Sealer, Unreadable
from landbridge_server.identity.caller import Caller
from landbridge_server.store import outputs, protected, resources
from landbridge_server.store.database import Connection
from landbridge_server.store.operations import Operation
from landbridge_server.store.resources import Stored
from landbridge_wire.errors import ArmError

LOST = (
    "What only the machine may read was sealed with keys that this cloud no longer has. "
    "Write the whole resource again by PUT, with its protected members."
)

LARGEST = 1400 * 1024
"""Bytes of JSON that callers may say about one resource: machines get it in one answer, with others."""


class OnMachine(ResourceType):
    """A resource of a machine that the machine has to make true."""

    namespace = "Microsoft.HybridCompute"
    kind = Kind.TRACKED_CHILD
    removal_matters = True
    concerns_machine = True
    writable: Mapping[str, Any]
    """The shape of what callers decide and may read."""
    secret: Mapping[str, Any]
    """The shape of what callers decide and nobody reads but the machine."""

    def __init__(self, sealer: Sealer, clock: Callable[[], float]) -> None:
        """Take who seals, and the clock."""
        self.sealer = sealer
        self.clock = clock

    def check(self, kept: dict[str, Any], secrets: dict[str, Any]) -> None:
        """Return if the properties make sense together. Pure; secrets are what this body gives.

        Raises:
            ArmError: they do not.
        """

    def put(self, write: Write) -> dict[str, Any]:
        """Return the readable properties, with the state of what waits for the machine."""
        kept: dict[str, Any] = shape.keep(dict(self.writable), write.properties, "properties")
        self.check(kept, self._given(write))
        kept |= self.view(write.old_properties)
        kept["provisioningState"] = work.next_state(write.old)
        return kept

    def view(self, old: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is to be seen of the machine's side once it is asked: what it said before. Pure."""
        return {name: old[name] for name in self.observed if name in old}

    def _given(self, write: Write) -> dict[str, Any]:
        kept: dict[str, Any] = shape.keep(dict(self.secret), write.properties, "properties")
        return {name: value for name, value in kept.items() if value or write.partial}

    def _secrets(self, write: Write, before: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the protected members after a write: a PATCH leaves what it does not name.

        Raises:
            ArmError: Conflict; a PATCH would have to keep what nobody can open.
        """
        given = self._given(write)
        if not write.partial:
            return given
        if before is None:
            raise ArmError("Conflict", LOST)
        return {name: value for name, value in {**before, **given}.items() if value}

    def _before(self, connection: Connection, key: str) -> dict[str, Any] | None:
        """Return the protected members so far; None: they were sealed with keys that are lost."""
        try:
            return self.secrets_of(connection, key)
        except Unreadable:
            return None

    def on_create(self, connection: Connection, write: Write, document: Document) -> Operation | None:
        """Keep the protected members, and ask the machine."""
        secrets = self._given(write)
        self._check_size(document, secrets)
        outputs.remove_below(connection, write.id.key)
        self._keep(connection, write.id.key, secrets)
        return work.ask(connection, work.APPLY, write.id.text, write.caller, write.now)

    def on_update(self, connection: Connection, write: Write, document: Document) -> Operation | None:
        """Ask the machine again, unless what it has or is about to have is what is asked.

        The same write while the first is under way is the same operation; after it has
        succeeded there is nothing to do. After a failure it is tried again.
        """
        before = self._before(connection, write.id.key)
        secrets = self._secrets(write, before)
        if secrets == before and self._is_wanted_already(write, document):
            waiting = work.under_way(connection, write.id.key)
            if waiting is not None or write.old_properties["provisioningState"] == work.SUCCEEDED:
                document["properties"] = write.old_properties
                return waiting
        self._check_size(document, secrets)
        outputs.remove_below(connection, write.id.key)
        self._keep(connection, write.id.key, secrets)
        return work.ask(connection, work.APPLY, write.id.text, write.caller, write.now)

    def _check_size(self, document: Document, secrets: Mapping[str, Any]) -> None:
        """Refuse what is more than a machine takes: it could never fetch it, nor what comes after it."""
        said = {name: value for name, value in document["properties"].items() if name not in self.observed}
        size = len(msgspec.json.encode([said, secrets]))
        if size > LARGEST:
            raise ArmError(
                "RequestEntityTooLarge",
                f"The resource has {size:,} bytes with its protected members; a machine takes at most "
                f"{LARGEST:,}. Put what is large where the machine can download it.",
            )

    def _is_wanted_already(self, write: Write, document: Document) -> bool:
        seen = {"provisioningState", *self.observed}
        old = {name: value for name, value in write.old_properties.items() if name not in seen}
        return old == {name: value for name, value in document["properties"].items() if name not in seen}

    def on_remove(
        self, connection: Connection, stored: Stored, caller: Caller, now: float
    ) -> Operation | None:
        """Ask the machine to remove it; what no machine has goes at once."""
        return work.ask_removal(connection, stored, caller, now)

    def on_delete(self, connection: Connection, stored: Stored, effects: Effects) -> None:
        """Forget the protected members and what was printed, and end what still waits."""
        protected.remove_below(connection, stored.key)
        outputs.remove_below(connection, stored.key)
        work.abandon(connection, stored.key, self.clock())

    def secrets_of(self, connection: Connection, key: str) -> dict[str, Any]:
        """Return the protected members of a resource, for its machine and nobody else.

        Raises:
            Unreadable: they were sealed with other keys.
        """
        return self.sealer.open(protected.get(connection, key)) or {}

    def _keep(self, connection: Connection, key: str, secrets: dict[str, Any]) -> None:
        protected.put(connection, key, self.sealer.seal(secrets) if secrets else "")


def children(connection: Connection, machine_key: str, type_key: str) -> list[Stored]:
    """Return the resources of one type below a machine, in the order of their names."""
    query = resources.Query(parent_key=machine_key, type_key=type_key)
    return resources.find(connection, query)
