"""``moveResources`` and ``validateMoveResources`` of a resource group.

Answered with 202 and the address of an operation, which ends in 204. The move has happened
when the 202 is sent: it is one transaction, so there is never half of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from landbridge_server.arm import moving, operations
from landbridge_server.arm.access import Access
from landbridge_server.arm.call import Answer, Call
from landbridge_server.arm.dispatch import Routes
from landbridge_server.arm.engine import Engine
from landbridge_server.arm.moving import Request
from landbridge_server.arm.operations import MOVE, VALIDATE_MOVE, Operations
from landbridge_server.identity.caller import Caller
from landbridge_server.store.database import Connection
from landbridge_server.store.moves import MovedMachine
from landbridge_server.store.operations import Operation
from landbridge_wire import arm_id
from landbridge_wire.errors import ArmError

GROUPS = "Microsoft.Resources/subscriptions/resourceGroups"
ACTIONS = (f"{GROUPS}/moveResources/action", f"{GROUPS}/validateMoveResources/action")
WHERE = "subscriptions/{subscription}/resourcegroups/{group}"

Moved = Callable[[MovedMachine], None]
"""Called after the commit for each machine that has another id."""


class Moves:
    """The handlers."""

    def __init__(
        self, engine: Engine, access: Access, results: Operations, on_moved: Sequence[Moved] = ()
    ) -> None:
        """Take the parts."""
        self.engine = engine
        self.access = access
        self.results = results
        self.on_moved = on_moved

    def routes(self) -> Routes:
        """Return the rows of the table of routes."""
        return {
            f"{WHERE}/moveresources": {"POST": self.move},
            f"{WHERE}/validatemoveresources": {"POST": self.validate},
        }

    async def move(self, call: Call) -> Answer:
        """Move resources: 202, then 204."""
        request = await self._admitted(call, "moveResources")
        now = self.engine.clock()

        def work(connection: Connection) -> tuple[Operation, list[MovedMachine]]:
            moved = moving.move(connection, self.engine.registry, request, now)
            return self._done(connection, call, MOVE, request, now), moved

        operation, moved = await self.engine.db.write(work, aside=True)
        for machine in moved:
            for tell in self.on_moved:
                tell(machine)
        return self.results.accepted(operation, call.api_version)

    async def validate(self, call: Call) -> Answer:
        """Say whether resources could be moved: 202, then 204, or why not."""
        request = await self._admitted(call, "validateMoveResources")
        now = self.engine.clock()

        def work(connection: Connection) -> Operation:
            rows = moving.check(connection, self.engine.registry, request, now)
            moving.check_states(connection, rows)
            return self._done(connection, call, VALIDATE_MOVE, request, now)

        operation = await self.engine.db.write(work, aside=True)
        return self.results.accepted(operation, call.api_version)

    def _done(self, connection: Connection, call: Call, kind: str, request: Request, now: float) -> Operation:
        subscription = request.source.subscription
        made = operations.begin(
            connection, kind, subscription, request.source.text, call.caller.object_id, now
        )
        operations.succeed(connection, made.operation_id, now)
        return made

    async def _admitted(self, call: Call, verb: str) -> Request:
        """Return what is asked, once the caller may do it at both groups."""
        names = call.names
        source = arm_id.parse(
            f"/subscriptions/{names['subscription'].lower()}/resourceGroups/{names['group']}"
        )
        action, linked = f"{GROUPS}/{verb}/action", f"{GROUPS}/write"
        self.access.require(call.caller, action, source.text)
        request = moving.parsed(source, await call.json())
        if not self.access.allows(call.caller, linked, request.target.text):
            raise _linked_refusal(call.caller, action, source.text, linked, request.target.text)
        return request


def _linked_refusal(caller: Caller, action: str, scope: str, linked: str, linked_scope: str) -> ArmError:
    return ArmError(
        "LinkedAuthorizationFailed",
        f"The client '{caller.label}' with object id '{caller.object_id}' has permission to perform action "
        f"'{action}' on scope '{scope}'; however, it does not have permission to perform action '{linked}' "
        f"on the linked scope(s) '{linked_scope}' or the linked scope(s) are invalid.",
    )
