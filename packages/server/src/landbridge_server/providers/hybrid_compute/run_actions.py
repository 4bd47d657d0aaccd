"""What can be asked about a run command by POST: reading what it has printed, and ending it.

Neither is in the documents, whose run commands give back four kilobytes and end only when they
are deleted. Both need an action of their own, which whoever may write run commands has in the
built-in roles.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Mapping
from typing import Any

from landbridge_server.arm import documents, operations, refusals, shape, work
from landbridge_server.arm.call import Answer, Call, answer
from landbridge_server.arm.engine import Engine, check_group
from landbridge_server.arm.resource_type import Action, Reference
from landbridge_server.arm.shape import Choice, Whole
from landbridge_server.identity.caller import Caller
from landbridge_server.store import outputs
from landbridge_server.store import work as stored_work
from landbridge_server.store.database import Connection
from landbridge_server.store.operations import Operation
from landbridge_server.store.resources import Stored
from landbridge_wire import arm_id
from landbridge_wire.errors import ArmError

READ_OUTPUT, CANCEL = "readOutput", "cancel"
STREAMS = {"output": "stdout", "error": "stderr"}
"""The streams by the names that ``instanceView`` has for them."""

MOST = 1024 * 1024
"""Bytes of output in one answer."""

LONGEST_CHARACTER = 4
"""Bytes of a character in UTF-8 (RFC 3629)."""

CANCELED_EARLY = "The run was canceled before the machine had begun."

_ASKED = {
    "stream": Choice(tuple(STREAMS)),
    "offset": Whole(0, 2**53),
    "count": Whole(1, MOST),
}


class RunActions:
    """The handlers."""

    def __init__(self, engine: Callable[[], Engine]) -> None:
        """Take who keeps the run commands."""
        self.engine = engine

    def by_name(self) -> Mapping[str, Action]:
        """Return the actions by their names."""
        return {READ_OUTPUT: self.read_output, CANCEL: self.cancel}

    async def read_output(self, call: Call, reference: Reference) -> Answer:
        """Answer 200 with a part of what the newest run has printed, also while it prints."""
        asked = shape.keep(_ASKED, await call.json(optional=True), "readOutputParameters")
        stream = asked.get("stream", "output")
        offset, count = asked.get("offset", 0), asked.get("count", MOST)
        engine = self.engine()

        def read(connection: Connection) -> dict[str, Any]:
            stored = engine.existing(connection, reference)
            return page(connection, stored.key, stream, offset, count)

        return answer(engine.db.read(read), cache_control="no-store")

    async def cancel(self, call: Call, reference: Reference) -> Answer:
        """Answer 202: the machine will kill the run. One that no machine has begun ends at once."""
        engine = self.engine()
        now = engine.clock()

        def ask(connection: Connection) -> tuple[Operation, str]:
            stored = engine.existing(connection, reference, "write")
            check_group(connection, reference, to_write=True)
            return cancel(connection, stored, call.caller, now), stored.location

        asked, location = await engine.db.write(ask)
        engine.on_news()
        place = operations.Place(reference.type.namespace, location)
        return operations.accepted(engine.base, asked, call.api_version, place)


def page(connection: Connection, key: str, stream: str, offset: int, count: int) -> dict[str, Any]:
    """Return a part of a stream as text, and how it goes on.

    No character is cut: ``nextOffset`` is where the next page begins. What is no UTF-8 is replaced.
    ``complete``: the run has ended, and nothing follows the page.

    Raises:
        ArmError: InvalidParameter; the stream is shorter than ``offset``, as after a new run.
    """
    known = outputs.stream(connection, key, STREAMS[stream])
    held, total = (known.held, known.total) if known else (0, 0)
    if offset > held:
        raise refusals.wrong_parameter("offset", f"There are {held} bytes of '{stream}' so far.")
    ended = not any(
        one.kind == work.APPLY and one.content != work.OVERTAKEN
        for one in stored_work.of_target(connection, key)
    )
    data = outputs.read(connection, key, STREAMS[stream], offset, count + LONGEST_CHARACTER)
    content, taken = _text(data, count, ended and offset + len(data) >= held)
    return {
        "stream": stream,
        "offset": offset,
        "content": content,
        "nextOffset": offset + taken,
        "totalLength": total,
        "truncated": total > held,
        "complete": ended and offset + taken >= held,
    }


def _text(data: bytes, count: int, is_last: bool) -> tuple[str, int]:
    """Return about ``count`` bytes as text, and how many they were; ``is_last``: nothing follows data."""
    for end in range(min(count, len(data)), len(data) + 1):
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        text = decoder.decode(data[:end], is_last and end == len(data))
        pending = len(decoder.getstate()[0])
        if end > pending:
            return text, end - pending
    return "", 0


def cancel(connection: Connection, stored: Stored, caller: Caller, now: float) -> Operation:
    """End the newest run of a run command, and return the operation of that.

    Raises:
        ArmError: OperationNotAllowed; it has ended, or is being deleted.
    """
    items = stored_work.of_target(connection, stored.key)
    if any(one.kind == work.REMOVE for one in items):
        raise ArmError(
            "OperationNotAllowed",
            "The run command is being deleted, which ends its run: there is nothing to cancel.",
        )
    runs = [one for one in items if one.kind == work.APPLY and one.content != work.OVERTAKEN]
    if not runs:
        state = documents.decode(stored)["properties"].get("instanceView", {}).get("executionState")
        raise ArmError("OperationNotAllowed", f"The run has ended ({state}): there is nothing to cancel.")
    begun = [one for one in runs if one.fetched_at is not None]
    waiting = [one for one in runs if one.fetched_at is None]
    if waiting:
        _withdraw(connection, stored, waiting, begun, now)
    if not begun:
        target = arm_id.parse(stored.resource_id)
        return operations.done(connection, operations.ACTION, target, caller.object_id, now)
    return work.ask_to_cancel(connection, stored, begun[-1], caller, now)


def _withdraw(
    connection: Connection,
    stored: Stored,
    waiting: list[stored_work.Item],
    begun: list[stored_work.Item],
    now: float,
) -> None:
    """Take back runs that no machine has begun; those that it has begun have still to end."""
    early = ArmError("OperationPreempted", CANCELED_EARLY)
    for one in waiting:
        operations.cancel(connection, one.work_id, early, now)
    stored_work.remove(connection, [one.work_id for one in waiting])
    document = documents.decode(stored)
    properties = document["properties"]
    if begun:
        # What is shown is the earlier one again: in the background it had succeeded already.
        if all(one.detached_at is not None for one in begun):
            properties["provisioningState"] = work.SUCCEEDED
        properties["instanceView"] = {"executionState": "Running"}
        work.rewrite(connection, stored, document, now)
        return
    # Canceled says that no machine ever had the resource: it can be deleted without one.
    never_had = work.next_state(document) == work.CREATING
    properties["provisioningState"] = work.CANCELED if never_had else work.FAILED
    properties["instanceView"] = {
        "executionState": "Canceled",
        "executionMessage": CANCELED_EARLY,
        "endTime": documents.iso(now),
    }
    work.rewrite(connection, stored, document, now)
