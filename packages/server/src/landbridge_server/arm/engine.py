"""PUT, PATCH, DELETE and actions on any resource, each in one transaction.

A write, step by step. Whether the caller may was decided before, without looking:
1. the resource group exists and is not being deleted, the parent exists, no lock forbids it;
2. the preconditions of the headers hold;
3. the new envelope is composed: from the body, from what the type says, and from what was there;
4. the type's hook runs; the row is written. A write that changes nothing writes nothing;
5. after the commit, it is answered as its type shows it now.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from landbridge_server.arm import documents, etags, locks, names, operations, refusals, renamed
from landbridge_server.arm.call import Answer, Call
from landbridge_server.arm.registry import Registry
from landbridge_server.arm.removal import remove
from landbridge_server.arm.resource_type import Effects, Kind, Reference, ResourceType, Write
from landbridge_server.store import resources
from landbridge_server.store.database import Connection, Database
from landbridge_server.store.operations import IN_PROGRESS, Operation
from landbridge_server.store.resources import Stored
from landbridge_wire import arm_id

DELETING = '"properties":{"provisioningState":"Deleting"'
"""How the document of a group that is leaving reads; tags cannot, because their values are texts."""


class _Written(NamedTuple):
    status: int
    stored: Stored
    operation: Operation | None = None


def check_group(connection: Connection, reference: Reference, *, to_write: bool) -> None:
    """Return if the group of a resource is there, and stays there when something is written.

    Raises:
        ArmError: ResourceGroupNotFound, ResourceGroupBeingDeleted.
    """
    own = reference.id
    if not own.group:
        return
    key = f"/subscriptions/{own.subscription}/resourcegroups/{own.group}".lower()
    group = resources.get(connection, key)
    if group is None:
        raise refusals.group_missing(own.group)
    if to_write and DELETING in group.document:
        raise refusals.group_leaving(own.group)


def check_parent(connection: Connection, reference: Reference, verb: str) -> None:
    """Return if what a child or an extension lies below is there.

    Raises:
        ArmError: ParentResourceNotFound.
    """
    kind = reference.type
    if not isinstance(kind, ResourceType) or kind.kind not in (
        Kind.CHILD,
        Kind.TRACKED_CHILD,
        Kind.EXTENSION,
    ):
        return
    parent = arm_id.parse(reference.parent_key)
    if kind.kind is Kind.EXTENSION and verb == "write":
        kind.accepts_parent(parent.type.lower())
    if parent.namespace and not resources.exists(connection, reference.parent_key):
        missing = refusals.parent_missing(verb, kind.type, reference.parent)
        raise renamed.explained(connection, missing, reference.id)


def check_locks(connection: Connection, reference: Reference, verb: str) -> None:
    """Return if no lock forbids to ``write`` or ``delete`` a resource; locks themselves are free.

    Raises:
        ArmError: ScopeLocked.
    """
    if reference.type.key == locks.TYPE:
        return
    if verb == "delete":
        locks.check_delete(connection, reference.id.text)
    else:
        locks.check_write(connection, reference.id.text)


W = TypeVar("W", bound="_Written | None")


class Engine:
    """Runs the life of the resources of one registry."""

    def __init__(
        self,
        db: Database,
        registry: Registry,
        locations: tuple[str, ...],
        clock: Callable[[], float],
        base: str,
    ) -> None:
        """Take the store, the types, the names of the locations, the clock, and the public address."""
        self.db = db
        self.registry = registry
        self.locations = locations
        self.clock = clock
        self.base = base
        self.on_news: Callable[[], None] = lambda: None
        """Called after the commit of what machines are to learn of at once."""

    async def put(self, call: Call, kind: ResourceType, reference: Reference) -> Answer:
        """Create or replace a resource."""
        if kind.kind is Kind.GROUP:
            names.check_group(reference.id.name)
        names.check_resource(reference.id.name, kind.name_pattern, kind.name_rule)
        body = await call.json()

        def work(connection: Connection) -> _Written:
            if kind.kind is not Kind.GROUP:
                check_group(connection, reference, to_write=True)
            check_parent(connection, reference, "write")
            check_locks(connection, reference, "write")
            old = resources.get(connection, reference.key)
            etags.check(call.headers, reference.id, old)
            return self._write(connection, kind, reference, _Given(call, body, old))

        return self._show(call, kind, self._told(kind, await self.db.write(work)))

    async def patch(self, call: Call, kind: ResourceType, reference: Reference) -> Answer:
        """Change a resource by JSON merge-patch; given tags replace all tags."""
        body = await call.json()

        def work(connection: Connection) -> _Written:
            old = self.existing(connection, reference, "write")
            check_group(connection, reference, to_write=True)
            check_locks(connection, reference, "write")
            etags.check(call.headers, reference.id, old)
            # A PATCH does not rename: it keeps the casing of the last PUT.
            place = Reference(kind, arm_id.parse(old.resource_id), reference.parent)
            write = Write(place.id, body, documents.decode(old), call.caller, self.clock(), partial=True)
            return self._write(connection, kind, place, _Given(call, kind.patch(write), old))

        return self._show(call, kind, self._told(kind, await self.db.write(work)))

    async def delete(self, call: Call, kind: ResourceType, reference: Reference) -> Answer:
        """Remove a resource and everything below it: 200, or 204 when it was not there.

        202 where the type has it done by an operation, or the api-version knows it only so.
        """
        effects = Effects()

        def work(connection: Connection) -> _Written | None:
            check_group(connection, reference, to_write=True)
            check_parent(connection, reference, "delete")
            old = resources.get(connection, reference.key)
            if old is None:
                return None
            check_locks(connection, reference, "delete")
            etags.check(call.headers, reference.id, old)
            now = self.clock()
            operation = kind.on_remove(connection, old, call.caller, now)
            if operation is None and "" < kind.removal_accepted_after < call.api_version:
                removal = operations.DELETE_RESOURCE
                operation = operations.done(connection, removal, reference.id, call.caller.object_id, now)
            if operation is None or operation.status != IN_PROGRESS:
                remove(connection, self.registry, old.key, effects)
            return _Written(200, old, operation)

        gone = self._told(kind, await self.db.write(work))
        effects.run()
        if gone is None:
            return Answer(204)
        return self._accepted(call, kind, gone, gone.operation) if gone.operation else Answer(gone.status)

    def _told(self, kind: ResourceType, written: W) -> W:
        """Pass on what was committed, once the machine that it concerns is told."""
        if kind.concerns_machine and written is not None:
            self.on_news()
        return written

    async def remove(self, key: str) -> None:
        """Remove the resource with this lower-case id, if it is there. Asks nobody."""
        effects = Effects()
        await self.db.write(lambda connection: remove(connection, self.registry, key, effects))
        effects.run()

    def existing(self, connection: Connection, reference: Reference, verb: str = "read") -> Stored:
        """Return the row of a resource.

        Raises:
            ArmError: ResourceGroupNotFound, ParentResourceNotFound, ResourceNotFound.
        """
        stored = resources.get(connection, reference.key)
        if stored is not None:
            return stored
        check_group(connection, reference, to_write=False)
        check_parent(connection, reference, verb)
        raise renamed.explained(connection, refusals.resource_missing(reference.id), reference.id)

    def _write(self, connection: Connection, kind: ResourceType, place: Reference, given: _Given) -> _Written:
        now = self.clock()
        before = documents.decode(given.old) if given.old else None
        write = Write(place.id, given.body, before, given.call.caller, now, given.call.method == "PATCH")
        document = documents.compose(kind, write, self.locations)
        change = kind.on_create if before is None else kind.on_update
        operation = change(connection, write, document)
        if given.old is not None and before is not None and documents.same(before, document):
            return _Written(kind.updated, given.old, operation)
        document["systemData"] = documents.system_data(given.call.caller, now, before)
        tracked = kind.kind in (Kind.TRACKED, Kind.TRACKED_CHILD)
        shown = kind.shown(connection, place.key, document) if kind.keeps_shown else None
        stored = documents.row(
            place.id, place.parent_key, kind.key, document, now, given.old, tracked=tracked, shown=shown
        )
        resources.put(
            connection,
            stored,
            documents.tags_of(document),
            is_new=given.old is None,
            old_tags=documents.tags_of(before) if before is not None else None,
        )
        return _Written(kind.created if given.old is None else kind.updated, stored, operation)

    def shown(self, key: str) -> bytes | None:
        """Return the JSON of the resource with this lower-case id; None: there is none."""

        def read(connection: Connection) -> bytes | None:
            stored = resources.get(connection, key)
            kind = self.registry.find(stored.type_key) if stored else None
            if stored is None or not isinstance(kind, ResourceType):
                return None
            return kind.render(connection, [stored])[0]

        return self.db.read(read)

    def _show(self, call: Call, kind: ResourceType, written: _Written) -> Answer:
        if written.operation and kind.accepted:
            return self._accepted(call, kind, written, written.operation)
        body = kind.ready(written.stored)
        if body is None:
            body = self.db.read(lambda connection: kind.render(connection, [written.stored]))[0]
        answered = Answer(written.status, body, {"etag": written.stored.etag})
        if written.operation:
            answered.headers |= self._accepted(call, kind, written, written.operation).headers
        return answered

    def _accepted(self, call: Call, kind: ResourceType, written: _Written, operation: Operation) -> Answer:
        place = operations.Place(kind.namespace, written.stored.location or self.locations[0])
        return operations.accepted(self.base, operation, call.api_version, place)


class _Given(NamedTuple):
    """What a write works with: the call, the whole body, and the row so far."""

    call: Call
    body: dict[str, object]
    old: Stored | None
