"""What a machine does for the cloud, over HTTP: what ``landbridge_wire.work_api`` describes, answered.

Each request carries the token of the machine's own identity, and concerns that machine alone:
no id in a path or a body can lead to another's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from landbridge_server.arm import access, refusals, work
from landbridge_server.arm.call import decode_object
from landbridge_server.arm.resource_type import Effects, ResourceType
from landbridge_server.fleet.copies import Copies
from landbridge_server.fleet.machine_work import MachineWork
from landbridge_server.identity.caller import Caller
from landbridge_server.store import machine_news, outputs
from landbridge_server.store.database import Connection
from landbridge_wire import arm_id
from landbridge_wire.agent_api import MalformedMessage
from landbridge_wire.errors import STATUS, ArmError
from landbridge_wire.work_api import (
    OUTPUT_LIMIT,
    Assignments,
    Stored,
    Work,
    WorkReport,
    WorkRequest,
)

STREAMS = ("stdout", "stderr")
_OFFSET = re.compile(r"[0-9]{1,15}", re.ASCII)
M = TypeVar("M")
_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")


class Configurations(Protocol):
    """The guest configuration of machines."""

    def of_machine(self, connection: Connection, machine_key: str) -> Assignments:
        """Return all assignments of a machine, and its tags."""

    def add_report(
        self,
        connection: Connection,
        machine_key: str,
        assignment: str,
        report_id: str,
        unverified_report: dict[str, Any],
        now: float,
    ) -> None:
        """Add what a machine found; the same report twice is one.

        Raises:
            ArmError: there is no such assignment, or the report is not of the right shape.
        """


class WorkHttp:
    """The handlers."""

    def __init__(
        self,
        machine_work: MachineWork,
        configurations: Configurations,
        copies: Copies,
        roots: Callable[[], str],
        news: Callable[[], None],
    ) -> None:
        """Take the parts.

        ``roots`` says which roots machines are to trust (PEM), ``news`` has machines told that there
        is something new.
        """
        self.work = machine_work
        self.db = machine_work.db
        self.clock = machine_work.clock
        self.configurations = configurations
        self.copies = copies
        self.roots = roots
        self.news = news

    async def fetch(self, request: Request) -> Response:
        """Answer 200 with everything that the machine has to do."""
        caller = _machine(request)
        message = _read(WorkRequest.from_json, await request.body() or b"{}")
        self.copies.check_computer(caller.resource_key, message.fingerprint)
        items = await self.work.fetch(caller.resource_key)
        return JSONResponse(Work(items, self.roots()).to_json())

    async def report(self, request: Request) -> Response:
        """Answer 204 once what became of an item is kept."""
        caller = _machine(request)
        # What a program prints may hold NUL, which no store takes: it is shown as what cannot be shown.
        message = _read(WorkReport.from_json, _NUL.sub(rb"\1\\ufffd", await request.body()))
        said = work.Report(message.properties, message.ended, _error(message))
        work_id, now, effects = str(request.path_params["id"]), self.clock(), Effects()
        await self.db.write(
            lambda connection: work.report(
                connection, self.work.registry, caller.resource_key, work_id, said, now, effects
            )
        )
        effects.run()
        if message.ended:
            self.news()
        return Response(status_code=204)

    async def output(self, request: Request) -> Response:
        """Answer 200 with where the next bytes of a stream begin, once these are kept."""
        caller = _machine(request)
        stream = str(request.path_params["stream"])
        if stream not in STREAMS:
            raise ArmError("NotFound", f"There is no stream '{stream[:100]}': stdout or stderr is possible.")
        given = request.query_params.get("offset", "")
        if not _OFFSET.fullmatch(given):
            raise refusals.wrong_parameter("offset", "It must be the number of bytes before these.")
        offset, data, work_id = int(given), await request.body(), str(request.path_params["id"])
        end = await self.db.write(
            lambda connection: self._append(connection, caller.resource_key, work_id, stream, offset, data)
        )
        return JSONResponse(Stored(end).to_json())

    def _append(
        self, connection: Connection, machine_key: str, work_id: str, stream: str, offset: int, data: bytes
    ) -> int:
        item = work.item_of(connection, machine_key, work_id)
        kind = self.work.registry.find(arm_id.parse(item.target_key).type)
        if item.kind != work.APPLY or not isinstance(kind, ResourceType) or not kind.runs:
            raise ArmError("OperationNotAllowed", "Only the output of run commands is kept.")
        if not work.is_shown(connection, item):
            return offset + len(data)  # nobody will ever read it: another run takes its place
        try:
            return outputs.append(connection, item.target_key, work_id, stream, offset, data, OUTPUT_LIMIT)
        except outputs.Gap as gap:
            text = f"Bytes before {offset} are missing: go on at offset {gap.held}."
            raise ArmError("Conflict", text, extra={"offset": gap.held}) from gap

    async def assignments(self, request: Request) -> Response:
        """Answer 200 with the machine's guest configuration assignments."""
        caller = _machine(request)
        self.copies.check_computer(caller.resource_key, request.query_params.get("fingerprint", "")[:256])
        found = await self._assignments(caller.resource_key)
        return JSONResponse(found.to_json())

    async def _assignments(self, machine_key: str) -> Assignments:
        """A machine that has nothing new costs no write."""

        def unless_new(connection: Connection) -> Assignments | None:
            if machine_news.ASSIGNMENTS in machine_news.kinds(connection, machine_key):
                return None
            return self.configurations.of_machine(connection, machine_key)

        def take(connection: Connection) -> Assignments:
            machine_news.clear(connection, machine_key, machine_news.ASSIGNMENTS)
            return self.configurations.of_machine(connection, machine_key)

        found = self.db.read(unless_new)
        return await self.db.write(take) if found is None else found

    async def assignment_report(self, request: Request) -> Response:
        """Answer 204 once a report about an assignment is kept."""
        caller = _machine(request)
        said = decode_object(_NUL.sub(rb"\1\\ufffd", await request.body()))
        name, report_id = str(request.path_params["name"]), str(request.path_params["id"])
        now = self.clock()
        await self.db.write(
            lambda connection: self.configurations.add_report(
                connection, caller.resource_key, name, report_id, said, now
            )
        )
        return Response(status_code=204)


def _machine(request: Request) -> Caller:
    # A machine's right over its own work comes from its identity alone, not from a role.
    access.decided()
    caller: Caller = request.state.caller
    return caller


def _read(read: Callable[[object], M], body: bytes) -> M:
    try:
        return read(decode_object(body))
    except MalformedMessage as error:
        raise ArmError("InvalidRequestContent", f"The request content was invalid: {error}") from error


def _error(message: WorkReport) -> ArmError | None:
    """Return why an item has failed, as the machine says; a code that is not known here stays readable."""
    if not message.errorCode and not message.errorMessage:
        return None
    text = message.errorMessage or "The machine does not say why."
    if message.errorCode in STATUS:
        return ArmError(message.errorCode, text)
    return ArmError("Conflict", f"{text} ({message.errorCode})" if message.errorCode else text)
