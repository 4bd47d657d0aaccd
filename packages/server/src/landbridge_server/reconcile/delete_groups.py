"""Empties and removes the resource groups whose deletion was accepted.

A few resources at a time, each batch in one transaction, so that nobody waits long for the
writer. What is done stays done: after a restart the task goes on where it was. The last
transaction removes the group with everything that is not a tracked resource, and ends the
operation.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from landbridge_server.arm import operations
from landbridge_server.arm.operations import DELETE_GROUP
from landbridge_server.arm.registry import Registry
from landbridge_server.arm.removal import remove
from landbridge_server.arm.resource_type import Effects
from landbridge_server.store import operations as stored_operations
from landbridge_server.store import resources
from landbridge_server.store.database import Connection, Database, StoreUnavailable
from landbridge_server.store.operations import Operation
from landbridge_server.store.resources import Query

logger = logging.getLogger("landbridge")

BATCH = 25
"""Resources per transaction: some tens of milliseconds of the writer."""


class DeleteGroups:
    """The task."""

    def __init__(self, db: Database, registry: Registry, clock: Callable[[], float]) -> None:
        """Take the store, the types and the clock."""
        self.db = db
        self.registry = registry
        self.clock = clock

    async def __call__(self) -> None:
        """Carry out every deletion that is under way, and forget old results.

        One that fails is logged and tried again with the next turn; the others go on.
        """
        waiting = self.db.read(lambda connection: stored_operations.running(connection, DELETE_GROUP))
        for operation in waiting:
            try:
                await self._carry_out(operation)
            except StoreUnavailable:
                raise  # nothing else can go on either
            except Exception as error:
                fields = {"operation": operation.operation_id, "group": operation.target_id}
                logger.error("deletion failed", exc_info=error, extra={"fields": fields})
        if waiting:
            before = self.clock() - operations.KEPT
            await self.db.write(lambda connection: stored_operations.prune(connection, before))

    async def _carry_out(self, operation: Operation) -> None:
        while await self.step(operation):
            pass

    async def step(self, operation: Operation) -> bool:
        """Remove one batch; say whether there may be more."""
        effects = Effects()

        def work(connection: Connection) -> bool:
            now = stored_operations.get(connection, operation.operation_id)
            if now is None or now.status != stored_operations.IN_PROGRESS:
                return False  # another node was faster: the name may be in use again
            group = operation.target_id.lower()
            query = Query(subscription_id=operation.subscription_id, tracked=True, below=group, limit=BATCH)
            rows = resources.find(connection, query)
            for row in rows:
                remove(connection, self.registry, row.key, effects)
            if len(rows) == BATCH:
                return True
            remove(connection, self.registry, group, effects)
            operations.succeed(connection, operation.operation_id, self.clock())
            return False

        more = await self.db.write(work)
        effects.run()
        return more
