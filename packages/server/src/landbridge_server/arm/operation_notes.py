"""How long-running operations ended, as events of the activity log: the 202 was only accepted."""

from __future__ import annotations

from collections.abc import Callable

from landbridge_server.arm.activity import Activity
from landbridge_server.arm.event_documents import Who, about
from landbridge_server.store import principals
from landbridge_server.store.database import Database, StoreUnavailable
from landbridge_server.store.operations import Operation
from landbridge_wire.errors import ArmError

OnEnd = Callable[[Operation, ArmError | None], None]


def nobody_listens(_operation: Operation, _error: ArmError | None) -> None:
    """Take no notice."""


class OperationNotes:
    """Takes deletions that have ended, with the error if they failed."""

    def __init__(self, db: Database, activity: Activity) -> None:
        """Look names up in ``db`` and write to ``activity``."""
        self.db = db
        self.activity = activity

    def __call__(self, operation: Operation, error: ArmError | None) -> None:
        """Note one, in the name of whoever began it."""
        who = Who(object_id=operation.principal_id)
        try:
            known = self.db.read(lambda connection: principals.get(connection, operation.principal_id))
        except StoreUnavailable:
            known = None
        if known is not None:
            who = Who(known.label, known.object_id, known.tenant_id, known.app_id or "")
        self.activity.happened(
            about("DELETE", operation.target_id).action,
            operation.target_id,
            who,
            method="DELETE",
            status=error.status if error is not None else 200,
            error=(error.code, error.message) if error is not None else None,
            correlation_id=operation.operation_id,
            more={"operationId": operation.operation_id},
            equal=operation.operation_id if error is not None else None,
        )
