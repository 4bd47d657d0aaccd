"""Long-running operations: begun in the transaction that accepts them, resumed after a restart.

The answer to the client is 202 with a ``Location`` that says 202 while the operation runs,
and afterwards what the call would have answered at once. It can be read for a week.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple
from urllib.parse import quote

import msgspec

from landbridge_server.arm.access import Access, decided
from landbridge_server.arm.call import Answer, Call, answer
from landbridge_server.arm.documents import iso
from landbridge_server.store import operations
from landbridge_server.store.database import Connection, Database
from landbridge_server.store.operations import CANCELED, FAILED, IN_PROGRESS, SUCCEEDED, Operation
from landbridge_wire import arm_id
from landbridge_wire.arm_id import ArmId
from landbridge_wire.errors import STATUS, ArmError

RETRY_AFTER = 1
"""Seconds that a client should wait before it asks again."""

PATIENCE = ((30.0, RETRY_AFTER), (300.0, 5), (float("inf"), 15))
"""For how long an operation runs, and how many seconds a client should wait then: a machine may be off."""

KEPT = 7 * 86400.0
"""Seconds that the result of an operation stays readable."""

DELETE_GROUP = "deleteGroup"
"""The kind of operation that empties and removes a resource group."""

PUT_RESOURCE, DELETE_RESOURCE, ACTION = "putResource", "deleteResource", "action"
"""The kinds of what a machine carries out: the answer at the end is that of a PUT, a DELETE, a POST."""

MOVE = "moveResources"
"""The kind of operation that moves resources; it answers 204 in the end."""

VALIDATE_MOVE = "validateMoveResources"
"""The kind of operation that only finds out whether resources could be moved."""

READ = "Microsoft.Resources/subscriptions/operationresults/read"


def begin(
    connection: Connection, kind: str, subscription_id: str, target_id: str, principal_id: str, now: float
) -> Operation:
    """Write down an operation that a task of this ``kind`` will carry out."""
    made = Operation(
        operation_id=str(uuid.uuid4()),
        subscription_id=subscription_id.lower(),
        kind=kind,
        target_id=target_id,
        principal_id=principal_id,
        status=IN_PROGRESS,
        error=None,
        started_at=now,
        ended_at=None,
    )
    operations.add(connection, made)
    return made


def done(connection: Connection, kind: str, target: ArmId, principal_id: str, now: float) -> Operation:
    """Write down an operation that the same transaction carries out."""
    made = begin(connection, kind, target.subscription, target.text, principal_id, now)
    succeed(connection, made.operation_id, now)
    return made._replace(status=SUCCEEDED, ended_at=now)


def succeed(connection: Connection, operation_id: str, now: float) -> None:
    """Note that an operation did what it promised."""
    operations.end(connection, operation_id, SUCCEEDED, now)


def fail(connection: Connection, operation_id: str, error: ArmError, now: float) -> None:
    """Note that an operation cannot be carried out, and why."""
    operations.end(connection, operation_id, FAILED, now, msgspec.json.encode(error.to_json()).decode())


def cancel(connection: Connection, operation_id: str, error: ArmError, now: float) -> None:
    """Note that an operation was taken back before anything had been done."""
    operations.end(connection, operation_id, CANCELED, now, msgspec.json.encode(error.to_json()).decode())


class Place(NamedTuple):
    """Where a provider answers for its own operations: below its locations.

    ``words`` are the names of the two addresses there; without the first, Location alone is told.
    """

    namespace: str
    location: str
    words: tuple[str, str] = ("operationstatus", "operationresults")


def accepted(
    base: str, operation: Operation, version: str, place: Place, seconds: int = RETRY_AFTER
) -> Answer:
    """Answer 202 with where the provider says how it goes on, as recorded of the real ones.

    ``seconds``: when the client should ask.
    """
    where = f"{base}/subscriptions/{operation.subscription_id}/providers/{quote(place.namespace)}"
    where += f"/locations/{quote(place.location)}"
    tail = f"{operation.operation_id}?api-version={version}"
    status, result = place.words
    headers = {"location": f"{where}/{result}/{tail}", "retry-after": str(seconds)}
    if status:
        headers["azure-asyncoperation"] = f"{where}/{status}/{tail}"
    return Answer(202, headers=headers)


class Operations:
    """Answers for the addresses that a 202 names; ``base`` is the resource manager's own."""

    def __init__(
        self,
        db: Database,
        access: Access,
        base: str,
        clock: Callable[[], float],
        shown: Callable[[str], bytes | None] = lambda _key: None,
    ) -> None:
        """Take the store and the gate; ``shown`` returns the JSON of a resource by its key."""
        self.db = db
        self.access = access
        self.base = base
        self.clock = clock
        self.shown = shown

    def accepted(self, operation: Operation, version: str) -> Answer:
        """Answer 202 with where to ask for the result."""
        where = f"/subscriptions/{operation.subscription_id}/operationresults/{operation.operation_id}"
        location = f"{self.base}{where}?api-version={version}"
        return Answer(202, headers={"location": location, "retry-after": str(RETRY_AFTER)})

    def routes(self) -> Mapping[str, Mapping[str, Callable[[Call], Awaitable[Answer]]]]:
        """Return the rows of the table of routes."""
        where = "subscriptions/{subscription}"
        there = where + "/providers/{namespace}/locations/{location}"
        return {
            f"{where}/operationresults/{{operation}}": {"GET": self.result},
            f"{where}/operationstatuses/{{operation}}": {"GET": self.status},
            f"{there}/operationresults/{{operation}}": {"GET": self.result},
            f"{there}/operationstatus/{{operation}}": {"GET": self.status},
        }

    async def result(self, call: Call) -> Answer:
        """Answer 202 while it runs, then 200, or the error that ended it."""
        operation = self._operation(call)
        if operation.status == IN_PROGRESS:
            return self._running(call, operation)
        if operation.status in (FAILED, CANCELED):
            raise self._error(operation)
        if operation.kind == PUT_RESOURCE:
            kind = arm_id.parse(operation.target_id).type
            self.access.require(call.caller, f"{kind}/read", operation.target_id)
            shown = self.shown(operation.target_id.lower())
            return Answer(200, shown) if shown is not None else Answer(204)
        return Answer(204 if operation.kind in (MOVE, VALIDATE_MOVE) else 200)

    async def status(self, call: Call) -> Answer:
        """Answer 200 with the operation resource, whatever became of it."""
        operation = self._operation(call)
        body: dict[str, object] = {
            "id": call.path,
            "name": operation.operation_id,
            "status": operation.status,
            "startTime": iso(operation.started_at),
        }
        if operation.ended_at is not None:
            body["endTime"] = iso(operation.ended_at)
        if operation.error:
            body["error"] = msgspec.json.decode(operation.error)
        if operation.status == IN_PROGRESS:
            return Answer(200, answer(body).body, self._running(call, operation).headers)
        return answer(body)

    def _running(self, call: Call, operation: Operation) -> Answer:
        """Answer 202 with the same addresses as the answer that began the operation."""
        if "namespace" not in call.names:
            return self.accepted(operation, call.api_version)
        place = Place(call.names["namespace"], call.names["location"])
        age = self.clock() - operation.started_at
        seconds = next(wait for most, wait in PATIENCE if age < most)
        return accepted(self.base, operation, call.api_version, place, seconds)

    def _operation(self, call: Call) -> Operation:
        """Return the operation, to whoever began it or may read operations.

        Who began it keeps the right: its role may have gone together with the group.
        """
        subscription, name = call.names["subscription"].lower(), call.names["operation"].lower()
        found = self.db.read(lambda connection: operations.get(connection, name))
        if found is not None and found.subscription_id != subscription:
            found = None
        if found is not None and found.principal_id == call.caller.object_id:
            decided()
            return found
        self.access.require(call.caller, READ, f"/subscriptions/{subscription}")
        if found is None:
            raise ArmError("NotFound", f"The operation '{call.names['operation'][:100]}' was not found.")
        return found

    def _error(self, operation: Operation) -> ArmError:
        found = msgspec.json.decode(operation.error or "{}")
        code = str(found.get("code", ""))
        if code not in STATUS:
            code = "Conflict"
        details = tuple(_detail(one) for one in found.get("details", ()))
        message = str(found.get("message", "The operation failed."))
        return ArmError(code, message, details=details, cause="service")


def _detail(found: Mapping[str, str]) -> ArmError:
    code = found.get("code", "")
    return ArmError(
        code if code in STATUS else "Conflict", found.get("message", ""), target=found.get("target", "")
    )
