"""Empties and removes the resource groups whose deletion was accepted.

A few resources at a time, each batch in one transaction, so that nobody waits long for the
writer. What is done stays done: after a restart the task goes on where it was. The last
transaction removes the group with everything that is not a tracked resource, and ends the
operation.

A resource that cannot be deleted is left out and tried again once the others are gone: it
may have been in use by one of them. When a whole walk removes nothing any more, the
operation ends as Failed and says what is left, and the group stays.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

from landbridge_server.arm import operations
from landbridge_server.arm.groups import restore
from landbridge_server.arm.operation_notes import OnEnd, nobody_listens
from landbridge_server.arm.operations import DELETE_GROUP
from landbridge_server.arm.registry import Registry
from landbridge_server.arm.removal import remove
from landbridge_server.arm.resource_type import Effects
from landbridge_server.store import operations as stored_operations
from landbridge_server.store import resources
from landbridge_server.store.database import Connection, Database, StoreUnavailable
from landbridge_server.store.operations import Operation
from landbridge_server.store.resources import Query, Stored
from landbridge_wire import arm_id
from landbridge_wire.errors import ArmError

logger = logging.getLogger("landbridge")

BATCH = 20
"""Resources per transaction: some tens of milliseconds, in which other writes wait."""

PRUNE_SECONDS = 3600.0
NAMED = 10
"""How many of the resources that are left an operation names."""


class Step(NamedTuple):
    """What became of one batch: the last key it looked at (empty: there is no more), and the count."""

    last: str
    removed: int = 0


class DeleteGroups:
    """The task."""

    def __init__(
        self,
        db: Database,
        registry: Registry,
        clock: Callable[[], float],
        on_end: OnEnd = nobody_listens,
    ) -> None:
        """Take the store, the types and the clock; ``on_end`` hears of each deletion that ended here."""
        self.on_end = on_end
        self.db = db
        self.registry = registry
        self.clock = clock
        self._pruned_at = 0.0

    async def __call__(self) -> None:
        """Carry out every deletion that is under way, and forget old results."""
        waiting = self.db.read(lambda connection: stored_operations.running(connection, DELETE_GROUP))
        for operation in waiting:
            await self._carry_out(operation)
        now = self.clock()
        if now - self._pruned_at >= PRUNE_SECONDS:
            await self.db.write(lambda c: stored_operations.prune(c, now - operations.KEPT), aside=True)
            self._pruned_at = now

    async def _carry_out(self, operation: Operation) -> None:
        """Walk over the group again and again, until it is gone or a walk removes nothing."""
        while True:
            refused: dict[str, ArmError] = {}
            removed, last = 0, operation.target_id.lower()
            while last:
                step = await self.step(operation, refused, last)
                removed, last = removed + step.removed, step.last
            if not refused:
                return
            if not removed:
                await self._give_up(operation, refused)
                return

    async def step(self, operation: Operation, refused: dict[str, ArmError], after: str) -> Step:
        """Remove the batch of resources behind the key ``after``.

        One that cannot be removed is noted in ``refused``, by its id. Without any refusal the
        last step removes the group.
        """
        try:
            return await self._remove(operation, refused, after, BATCH)
        except StoreUnavailable:
            raise  # nothing else can go on either
        except Exception as error:
            logger.info("a batch of a deletion is tried one by one", extra={"fields": {"reason": str(error)}})
        return await self._one_by_one(operation, refused, after)

    async def _remove(
        self, operation: Operation, refused: dict[str, ArmError], after: str, limit: int
    ) -> Step:
        effects, ended = Effects(), False

        def work(connection: Connection) -> Step:
            nonlocal ended
            if not _still_wanted(connection, operation):
                return Step("")  # another node was faster: the name may be in use again
            rows = resources.find(connection, self._query(operation, after, limit))
            for row in rows:
                remove(connection, self.registry, row.key, effects)
            if len(rows) == limit or refused:
                return Step(rows[-1].key if rows else "", len(rows))
            remove(connection, self.registry, operation.target_id.lower(), effects)
            operations.succeed(connection, operation.operation_id, self.clock())
            ended = True
            return Step("", len(rows))

        step = await self.db.write(work, aside=True)
        effects.run()
        if ended:
            self.on_end(operation, None)
        return step

    async def _one_by_one(self, operation: Operation, refused: dict[str, ArmError], after: str) -> Step:
        """Remove a batch that failed as a whole; what fails again is noted."""
        removed, last = 0, after
        for _ in range(BATCH):
            rows = self._next(operation, last)
            what = rows[0].resource_id if rows else operation.target_id
            try:
                step = await self._remove(operation, refused, last, 1)
            except StoreUnavailable:
                raise
            except ArmError as error:
                refused[what] = error
            except Exception as error:
                fields = {"operation": operation.operation_id, "resource": what}
                logger.error("deletion failed", exc_info=error, extra={"fields": fields})
                refused[what] = ArmError("InternalServerError", "The control plane met an error of its own.")
            else:
                removed += step.removed
                if not step.last:
                    return Step("", removed)
            if not rows:
                return Step("", removed)
            last = rows[0].key
        return Step(last, removed)

    def _next(self, operation: Operation, after: str) -> list[Stored]:
        query = self._query(operation, after, 1)
        return self.db.read(lambda connection: resources.find(connection, query))

    def _query(self, operation: Operation, after: str, limit: int) -> Query:
        group = operation.target_id.lower()
        return Query(
            subscription_id=operation.subscription_id, tracked=True, below=group, after=after, limit=limit
        )

    async def _give_up(self, operation: Operation, refused: dict[str, ArmError]) -> None:
        """End as Failed: the group is a group again, with what is left in it."""
        error = blocked(operation, refused)

        def work(connection: Connection) -> bool:
            wanted = _still_wanted(connection, operation)
            if wanted:
                restore(connection, operation.target_id.lower())
                operations.fail(connection, operation.operation_id, error, self.clock())
            return wanted

        if await self.db.write(work):
            self.on_end(operation, error)


def _still_wanted(connection: Connection, operation: Operation) -> bool:
    now = stored_operations.get(connection, operation.operation_id)
    return now is not None and now.status == stored_operations.IN_PROGRESS


def blocked(operation: Operation, refused: dict[str, ArmError]) -> ArmError:
    """Return why a group could not be deleted, in ARM's words; each detail is one resource's own error."""
    names = [_short(one) for one in list(refused)[:NAMED]]
    more = f" and {len(refused) - NAMED} more" if len(refused) > NAMED else ""
    return ArmError(
        "ResourceGroupDeletionBlocked",
        f"Deletion of resource group '{arm_id.parse(operation.target_id).group}' failed as resources with "
        f"identifiers '{','.join(names)}'{more} could not be deleted. The provisioning state of the resource "
        f"group will be rolled back. The tracking Id is '{operation.operation_id}'. "
        "Please check audit logs for more details.",
        details=tuple(
            ArmError(error.code, error.message, target=one) for one, error in list(refused.items())[:NAMED]
        ),
    )


def _short(resource_id: str) -> str:
    """Return the id as ARM names resources of a group: from the namespace on."""
    return resource_id.partition("/providers/")[2] or resource_id
