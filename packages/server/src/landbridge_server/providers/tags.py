"""``{scope}/providers/Microsoft.Resources/tags/default``: the tags of a subscription, group or resource.

The same tags as in the resource itself, with rights of their own: ``Microsoft.Resources/tags/*``
lets somebody tag what he may not change otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from landbridge_server.arm import documents, locks, refusals
from landbridge_server.arm import tags as rules
from landbridge_server.arm.call import Answer, Call, answer
from landbridge_server.arm.engine import DELETING, Engine
from landbridge_server.arm.resource_type import Reference, ResourceType, ServedType
from landbridge_server.store import resources
from landbridge_server.store import tags as stored_tags
from landbridge_server.store.database import Connection
from landbridge_server.store.resources import Stored
from landbridge_wire import arm_id
from landbridge_wire.errors import ArmError

Change = Callable[[dict[str, str]], dict[str, str]]


class Tags(ServedType):
    """The type."""

    namespace = "Microsoft.Resources"
    type = "tags"
    api_versions = ("2024-11-01", "2022-09-01", "2021-04-01", "2020-10-01", "2020-06-01", "2019-10-01")
    verbs = frozenset({"GET", "PUT", "PATCH", "DELETE"})

    def __init__(self, engine: Callable[[], Engine]) -> None:
        """Take the engine that keeps the resources."""
        self._engine = engine

    async def handle(self, call: Call, reference: Reference) -> Answer:
        """Answer a request that the gate has let through."""
        scope = arm_id.parse(reference.id.parent)
        if not scope.subscription:
            raise ArmError("BadRequest", "Tags belong to a subscription, a resource group or a resource.")
        if reference.id.collection:
            shown = self._engine().db.read(lambda connection: _shown(scope, self._read(connection, scope)))
            return answer({"value": [shown]})
        if reference.id.name.lower() != "default":
            raise ArmError("NotFound", f"The tags of '{scope.text}' have the name 'default'.")
        if call.method == "GET":
            return self._engine().db.read(
                lambda connection: answer(_shown(scope, self._read(connection, scope)))
            )
        change = await _change(call)
        return await self._write(call, reference, scope, change)

    async def _write(self, call: Call, reference: Reference, scope: arm_id.ArmId, change: Change) -> Answer:
        engine = self._engine()

        def work(connection: Connection) -> dict[str, str]:
            before = self._read(connection, scope)
            if call.method == "DELETE":
                locks.check_delete(connection, reference.id.text)
            else:
                locks.check_write(connection, scope.text)
            after = rules.checked(change(before))
            if after != before:
                self._keep(connection, call, scope, after)
            return after

        after = await engine.db.write(work)
        return Answer(200) if call.method == "DELETE" else answer(_shown(scope, after))

    def _read(self, connection: Connection, scope: arm_id.ArmId) -> dict[str, str]:
        if not scope.group and not scope.namespace:
            return stored_tags.own(connection, scope.key)
        return documents.tags_of(documents.decode(self._taggable(connection, scope)[0]))

    def _taggable(self, connection: Connection, scope: arm_id.ArmId) -> tuple[Stored, ResourceType]:
        stored = resources.get(connection, scope.key)
        if stored is None:
            if scope.namespace:
                raise refusals.resource_missing(scope)
            raise refusals.group_missing(scope.group)
        kind = self._engine().registry.find(stored.type_key)
        if not isinstance(kind, ResourceType) or not kind.in_locations:
            raise ArmError("BadRequest", f"Resources of the type '{scope.type}' cannot have tags.")
        return stored, kind

    def _keep(self, connection: Connection, call: Call, scope: arm_id.ArmId, tags: dict[str, str]) -> None:
        if not scope.group and not scope.namespace:
            stored_tags.set_own(connection, scope.key, tags)
            return
        old, kind = self._taggable(connection, scope)
        group = resources.get(connection, "/".join(old.key.split("/")[:5]))
        if group is None or DELETING in group.document:
            raise refusals.group_leaving(scope.group)
        document = documents.decode(old)
        now = self._engine().clock()
        document["tags"] = tags
        document["systemData"] = documents.system_data(call.caller, now, document)
        own = arm_id.parse(old.resource_id)
        shown = kind.shown(connection, old.key, document) if kind.keeps_shown else None
        tracked = bool(old.tracked)
        row = documents.row(
            own, old.parent_key, old.type_key, document, now, old, tracked=tracked, shown=shown
        )
        resources.put(connection, row, tags, is_new=False)


def _shown(scope: arm_id.ArmId, tags: dict[str, str]) -> dict[str, object]:
    return {
        "id": f"{scope.text}/providers/Microsoft.Resources/tags/default",
        "name": "default",
        "type": "Microsoft.Resources/tags",
        "properties": {"tags": tags},
    }


async def _change(call: Call) -> Change:
    """Return what a request does to the tags so far.

    Raises:
        ArmError: the body cannot be accepted.
    """
    if call.method == "DELETE":
        return lambda before: {}
    body = await call.json()
    properties: Any = body.get("properties")
    if not isinstance(properties, dict):
        raise refusals.invalid("'properties' must be an object.", "properties")
    given = rules.checked(properties.get("tags"))
    operation = body.get("operation", "Replace") if call.method == "PATCH" else "Replace"
    changes: dict[str, Change] = {
        "replace": lambda before: given,
        "merge": lambda before: _merged(before, given),
        "delete": lambda before: _without(before, given),
    }
    change = changes.get(operation.lower()) if isinstance(operation, str) else None
    if change is None:
        raise refusals.invalid("'operation' must be one of Replace, Merge, Delete.", "operation")
    return change


def _merged(before: dict[str, str], given: dict[str, str]) -> dict[str, str]:
    replaced = {name.lower() for name in given}
    return {name: value for name, value in before.items() if name.lower() not in replaced} | given


def _without(before: dict[str, str], given: dict[str, str]) -> dict[str, str]:
    """Remove names; a value that is not empty must be the one that is there."""
    gone = {name.lower(): value for name, value in given.items()}
    return {
        name: value
        for name, value in before.items()
        if name.lower() not in gone or gone[name.lower()] not in ("", value)
    }
