"""``Microsoft.Authorization/locks``: at a subscription, a group or a resource.

A lock is kept like a resource below its scope, so that it goes and moves with it. What it
forbids is ``arm/locks.py``. A list holds the locks at the scope, above it and below it; with
``$filter=atScope()`` only those that hold at the scope itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from landbridge_server.arm import filters, paging, shape
from landbridge_server.arm.call import Answer, Call
from landbridge_server.arm.engine import Engine, check_group, check_parent
from landbridge_server.arm.locks import LEVELS, scopes_of
from landbridge_server.arm.resource_type import Kind, Reference, ResourceType, ServedType, Write
from landbridge_server.arm.shape import Choice, Text
from landbridge_server.store import locks, resources
from landbridge_server.store.database import Connection
from landbridge_server.store.resources import Stored
from landbridge_wire.errors import ArmError

SYSTEM_DATA_SINCE = "2020-05-01"
_SHAPE = {"level": Choice(LEVELS), "notes": Text(512), "owners": [{"applicationId": Text(64)}]}


class _Kept(ResourceType):
    """How the engine keeps a lock."""

    namespace = "Microsoft.Authorization"
    type = "locks"
    api_versions = ("2020-05-01", "2016-09-01", "2015-01-01")
    kind = Kind.EXTENSION

    def put(self, write: Write) -> dict[str, Any]:
        """Return level, notes and owners."""
        if not write.id.subscription:
            raise ArmError(
                "BadRequest",
                "A lock belongs to a subscription, a resource group or a resource, not to a tenant.",
            )
        kept: dict[str, Any] = shape.keep(_SHAPE, write.properties, "properties")
        if "level" not in kept:
            raise ArmError(
                "InvalidRequestContent",
                f"The request content was invalid: 'properties.level' is required: {' or '.join(LEVELS)}.",
                target="properties.level",
            )
        return kept


class Locks(ServedType):
    """The type."""

    namespace = _Kept.namespace
    type = _Kept.type
    api_versions = _Kept.api_versions
    verbs = frozenset({"GET", "PUT", "DELETE"})

    def __init__(self, engine: Callable[[], Engine], base: str) -> None:
        """Take the engine that keeps them, and the resource manager's address."""
        self._engine = engine
        self.base = base
        self.kept = _Kept()

    async def handle(self, call: Call, reference: Reference) -> Answer:
        """Answer a request that the gate has let through."""
        engine = self._engine()
        place = Reference(self.kept, reference.id, reference.parent)
        if reference.id.collection:
            return engine.db.read(lambda connection: self._list(connection, call, place))
        if call.method == "PUT":
            made = await engine.put(call, self.kept, place)
            made.body = _fitting(call, made.body)
            return made
        if call.method == "DELETE":
            return await engine.delete(call, self.kept, place)
        return engine.db.read(lambda connection: self._get(connection, call, place))

    def _get(self, connection: Connection, call: Call, place: Reference) -> Answer:
        stored = resources.get(connection, place.key)
        if stored is None:
            check_group(connection, place, to_write=False)
            check_parent(connection, place, "read")
            raise ArmError("LockNotFound", f"The lock '{place.id.name}' could not be found.")
        return Answer(200, _fitting(call, stored.document.encode()), {"etag": stored.etag})

    def _list(self, connection: Connection, call: Call, place: Reference) -> Answer:
        check_group(connection, place, to_write=False)
        check_parent(connection, place, "read")
        scope: str | None = place.parent_key
        text = call.query.get("$filter", "")
        for term in filters.parse(text):
            if term.operator != "atscope":
                raise filters.refuse(text, "It can be atScope().")
            scope = None
        if place.parent_key == "/":
            return paging.page([])
        limit = paging.size(call.query)
        after = paging.after(call.query)
        rows = locks.listed(connection, scopes_of(place.parent_key), scope, after, limit + 1)
        link = paging.next_link(call, self.base, rows[limit - 1].key) if len(rows) > limit else ""
        return paging.page([_shown(call, row) for row in rows[:limit]], link)


def _shown(call: Call, row: Stored) -> bytes:
    return _fitting(call, row.document.encode())


def _fitting(call: Call, body: bytes) -> bytes:
    """Return an envelope without what the asked version of the document does not have."""
    if call.api_version >= SYSTEM_DATA_SINCE:
        return body
    document: Mapping[str, msgspec.Raw] = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    return msgspec.json.encode({name: value for name, value in document.items() if name != "systemData"})
