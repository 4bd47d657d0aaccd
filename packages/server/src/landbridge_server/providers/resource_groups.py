"""Resource groups, and the list of all resources.

A group is a resource like others, only higher up. Its deletion is an operation: the request
marks the group and answers 202; ``reconcile.delete_groups`` removes what is in it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from landbridge_server.arm import etags, groups, locks, operations, refusals
from landbridge_server.arm.access import Access
from landbridge_server.arm.call import Answer, Call
from landbridge_server.arm.dispatch import Routes
from landbridge_server.arm.engine import DELETING, Engine
from landbridge_server.arm.listing import Reading, restrict
from landbridge_server.arm.operations import DELETE_GROUP
from landbridge_server.arm.resource_type import Kind, Reference, ResourceType, Write
from landbridge_server.store import resources
from landbridge_server.store.database import Connection
from landbridge_server.store.operations import Operation, running
from landbridge_server.store.resources import Query
from landbridge_wire import arm_id

WHERE = "subscriptions/{subscription}"
EXPORT = "exportTemplate/action"


class ResourceGroup(ResourceType):
    """``Microsoft.Resources/resourceGroups``."""

    namespace = "Microsoft.Resources"
    type = "resourceGroups"
    api_versions = (
        "2024-11-01",
        "2022-09-01",
        "2021-04-01",
        "2020-06-01",
        "2019-10-01",
        "2018-05-01",
        "2018-02-01",
    )
    kind = Kind.GROUP
    members = ("managedBy",)

    @property
    def action_type(self) -> str:
        """The type as actions spell it."""
        return "Microsoft.Resources/subscriptions/resourceGroups"

    def put(self, write: Write) -> dict[str, Any]:
        """Return the one property that a group has; what a body gives is read-only."""
        if not isinstance(write.properties, dict):
            raise refusals.invalid("'properties' must be an object.", "properties")
        return {"provisioningState": "Succeeded"}

    def on_update(self, connection: Connection, write: Write, document: dict[str, Any]) -> None:
        """Refuse to change a group that is being deleted."""
        if write.old_properties.get("provisioningState") == "Deleting":
            raise refusals.group_leaving(write.id.name)


ACTIONS = (ResourceGroup().action(EXPORT),)
"""What the rows ask for beside the verbs of the type."""


class ResourceGroups:
    """The handlers."""

    def __init__(
        self,
        kind: ResourceGroup,
        engine: Engine,
        reading: Reading,
        access: Access,
        results: operations.Operations,
        wake: Callable[[], None],
    ) -> None:
        """Take the parts; ``wake`` tells the task that empties groups that there is work."""
        self.kind = kind
        self.engine = engine
        self.reading = reading
        self.access = access
        self.results = results
        self.wake = wake

    def routes(self) -> Routes:
        """Return the rows of the table of routes."""
        one = {"GET": self.get, "HEAD": self.get, "PUT": self.put, "PATCH": self.patch, "DELETE": self.delete}
        return {
            f"{WHERE}/resourcegroups": {"GET": self.everyone},
            f"{WHERE}/resourcegroups/{{group}}": one,
            f"{WHERE}/resources": {"GET": self.resources},
            f"{WHERE}/resourcegroups/{{group}}/resources": {"GET": self.resources},
            f"{WHERE}/resourcegroups/{{group}}/exporttemplate": {"POST": self.export},
        }

    def _reference(self, call: Call) -> Reference:
        subscription = f"/subscriptions/{call.names['subscription'].lower()}"
        own = arm_id.parse(f"{subscription}/resourceGroups/{call.names['group']}")
        return Reference(self.kind, own, subscription)

    def _admitted(self, call: Call, verb: str) -> Reference:
        reference = self._reference(call)
        self.access.require(call.caller, self.kind.action(verb), reference.id.text)
        return reference

    async def get(self, call: Call) -> Answer:
        """Show a group; HEAD answers 204."""
        reference = self._admitted(call, "read")
        return self.engine.db.read(
            lambda connection: self.reading.one(connection, call, self.kind, reference)
        )

    async def put(self, call: Call) -> Answer:
        """Create or replace a group."""
        return await self.engine.put(call, self.kind, self._admitted(call, "write"))

    async def patch(self, call: Call) -> Answer:
        """Change the tags of a group."""
        return await self.engine.patch(call, self.kind, self._admitted(call, "write"))

    async def delete(self, call: Call) -> Answer:
        """Mark a group as leaving and answer 202; asking again joins the same operation."""
        reference = self._admitted(call, "delete")
        operation = await self.engine.db.write(lambda connection: self._leave(connection, call, reference))
        self.wake()
        return self.results.accepted(operation, call.api_version)

    def _leave(self, connection: Connection, call: Call, reference: Reference) -> Operation:
        stored = resources.get(connection, reference.key)
        if stored is None:
            raise refusals.group_missing(reference.id.name)
        locks.check_delete(connection, stored.resource_id)
        etags.check(call.headers, reference.id, stored)
        if DELETING in stored.document:
            for operation in running(connection, DELETE_GROUP):
                if operation.target_id.lower() == stored.key:
                    return operation
        groups.mark_leaving(connection, stored)
        return operations.begin(
            connection,
            DELETE_GROUP,
            stored.subscription_id,
            stored.resource_id,
            call.caller.object_id,
            self.engine.clock(),
        )

    async def export(self, call: Call) -> Answer:
        """Refuse to make a template of a group: nothing here carries templates out.

        Raises:
            ArmError: always; AuthorizationFailed for those who could not have one anyway.
        """
        self._admitted(call, EXPORT)
        raise refusals.type_unknown(
            self.kind.namespace,
            call.api_version,
            "Templates and deployments are not offered by this cloud; read the resources themselves.",
        )

    async def everyone(self, call: Call) -> Answer:
        """List the groups that the caller may see."""
        scope = f"/subscriptions/{call.names['subscription'].lower()}"

        def read(connection: Connection) -> Answer:
            within = self.access.visible(connection, call.caller, self.kind.action("read"), scope)
            query = Query(parent_key=scope, type_key=self.kind.key, within=within)
            query = restrict(query, call.query.get("$filter", ""))
            return self.reading.pages(
                connection, call, query, lambda rows: self.kind.render(connection, rows)
            )

        return self.engine.db.read(read)

    async def resources(self, call: Call) -> Answer:
        """List the tracked resources of a subscription or a group."""
        scope = f"/subscriptions/{call.names['subscription'].lower()}"
        query = Query(subscription_id=call.names["subscription"].lower())
        group = call.names.get("group")
        if group is not None:
            scope = f"{scope}/resourceGroups/{group}"
            query = Query(subscription_id=query.subscription_id, below=scope.lower())

        def read(connection: Connection) -> Answer:
            found = self.reading.everything(connection, call, scope, query)
            if group is not None and not resources.exists(connection, scope.lower()):
                raise refusals.group_missing(group)
            return found

        return self.engine.db.read(read)
