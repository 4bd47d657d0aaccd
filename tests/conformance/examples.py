"""The replay of Microsoft's examples: one case for every operation and example.

A case makes what the example supposes, sends the request in this cloud's names, and passes when

- the status is one that the document declares, and every body in the case fits its schema;
- PUT and PATCH: every value of the request that is not read-only comes back;
- PUT: GET answers the same, the list holds it, DELETE removes it, then GET 404 and DELETE 204;
- GET of a list: it holds what was put there; DELETE: then GET 404 and DELETE 204;
- 202: the header is there that leads to the result, and its address answers; an operation that
  waits for a machine may wait.

What is not offered must say so, and is counted apart. An operation without an example of
Microsoft's is sent with names and, where it needs one, a body of ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.conformance import scope
from tests.conformance.openapi import Document, Example, Operation, documents, without_nulls
from tests.conformance.prerequisites import Prerequisites, chain
from tests.conformance.substitution import Names, Request
from tests.conformance.world import Answered, World

POLLING = {"location": "location", "azure-async-operation": "azure-asyncoperation"}
PASSED, FAILED, NOT_OFFERED = "passed", "failed", "not offered"


@dataclass
class Case:
    """The outcome of one example."""

    document: str
    operation: str
    title: str
    outcome: str = PASSED
    faults: list[str] = field(default_factory=list)


def in_scope() -> list[Document]:
    """Return the documents that count."""
    found = documents()
    return [found[name] for name in scope.DOCUMENTS if name in found]


async def replay(world: World, document: Document, number: int = 0) -> list[Case]:
    """Replay all examples of a document."""
    cases = []
    for operation in document.operations:
        if scope.LEFT_OUT.search(operation.name):
            continue
        for example in operation.examples:
            group = f"g{number}-{len(cases)}"
            cases.append(await _case(world, operation, example, group))
    return cases


async def _case(world: World, operation: Operation, example: Example, group: str) -> Case:
    case = Case(operation.document.name, operation.name, example.title)
    names = Names(world, group, operation, example)
    absent = scope.not_offered(case.document, case.operation, case.title)
    if absent is not None:
        case.outcome = NOT_OFFERED
        await _refused(world, names, absent)
    else:
        await _Run(world, names).all()
    case.faults = world.taken()
    if case.faults:
        case.outcome = FAILED
    await world.clean()
    world.taken()
    return case


async def _refused(world: World, names: Names, absent: scope.Absent) -> None:
    """Send a request for what is not offered, where all above it is there."""
    request = names.request()
    body = {} if request.body is None and names.operation.method in ("PUT", "PATCH") else request.body
    await world.need(names.within, {"location": "eastus"}, "2021-04-01")
    for kind, path in chain(request.path):
        if kind == "microsoft.hybridcompute/machines":
            await world.need(path, {"location": "eastus"}, "2024-07-10")
    answer = await world.send(names.operation.method, request.path, body, request.version)
    if answer.code not in absent.codes:
        world.faults.append(f"answers {answer} though it is not offered")


class _Run:
    """One example from its prerequisites to the end."""

    def __init__(self, world: World, names: Names) -> None:
        self.world = world
        self.names = names
        self.made = Prerequisites(world, names)

    async def all(self) -> None:
        """Send the request, and what must follow from it."""
        operation = self.names.operation
        await self.made.before_names(operation)
        request = self.names.request()
        await self.made.before(request)
        answer = await self.world.send(
            operation.method, request.path, request.body, request.version, operation, **request.query
        )
        if answer.status not in operation.statuses or answer.status >= 400:
            self._fault(f"answers {answer}, declared are {sorted(operation.statuses)}")
            return
        via = operation.final_state
        if answer.status == 202 and via in POLLING and POLLING[via] not in answer.headers:
            self._fault(f"a 202 without {POLLING[via]}, which the document says leads to the result")
        finished = await self.world.follow(answer) if answer.status == 202 else answer
        if operation.method == "PUT":
            self.world.later(request.path, request.version)
            await self._after_put(request, answer)
        elif operation.method == "PATCH":
            await self._after_patch(request, answer)
        elif operation.method == "DELETE" and finished is not None:
            await self._after_delete(request)
        elif operation.method == "GET":
            self._after_get(request, answer)

    def _fault(self, text: str) -> None:
        self.world.faults.append(text)

    async def _get(self, request: Request) -> Answered | None:
        known = self._sibling("GET", request.operation.template)
        return await self.world.send("GET", request.path, version=request.version) if known else None

    def _sibling(self, method: str, template: str) -> Operation | None:
        operations = self.names.operation.document.operations
        return next((o for o in operations if (o.method, o.template) == (method, template)), None)

    async def _after_put(self, request: Request, answer: Answered) -> None:
        shown = await self._get(request)
        if shown is not None and shown.status != 200:
            self._fault(f"GET after PUT answers {shown}")
        if shown is not None and answer.status != 202 and shown.body != answer.body:
            self._fault("GET shows something else than the PUT did")
        seen = shown if shown is not None and answer.status == 202 else answer
        self._check_values(request, seen.body)
        await self._check_listed(request)
        if self._sibling("DELETE", request.operation.template):
            removed = await self.world.send("DELETE", request.path, version=request.version)
            if removed.status not in (200, 202, 204):
                self._fault(f"DELETE after PUT answers {removed}")
            elif removed.status != 202 or await self.world.follow(removed) is not None:
                await self._after_delete(request)

    async def _after_patch(self, request: Request, answer: Answered) -> None:
        shown = await self._get(request)
        if shown is not None and answer.status == 200 and shown.body != answer.body:
            self._fault("GET shows something else than the PATCH did")
        seen = shown if shown is not None and answer.status == 202 else answer
        self._check_values(request, seen.body)

    async def _after_delete(self, request: Request) -> None:
        shown = await self._get(request)
        # The tags of something are always there to be read; without any they are empty.
        gone = 200 if request.path.endswith("tags/default") else 404
        if shown is not None and shown.status != gone:
            self._fault(f"GET after DELETE answers {shown}")
        # A group that is not there is refused by name, as the real service does.
        again = 404 if request.path.lower().endswith(f"resourcegroups/{request.group}".lower()) else 204
        again = 200 if gone == 200 else again
        second = await self.world.send("DELETE", request.path, version=request.version)
        if second.status != again:
            self._fault(f"the second DELETE answers {second}, not {again}")

    def _after_get(self, request: Request, answer: Answered) -> None:
        if not isinstance(answer.body, dict | list):
            self._fault("GET answers without a body")
            return
        value = answer.body.get("value") if isinstance(answer.body, dict) else None
        if "value" in answer.body and not isinstance(value, list):
            self._fault("'value' is not an array")
        if value == [] and request.operation.name not in MAY_BE_EMPTY:
            self._fault("the list is empty though something was put there")
        if isinstance(value, list) and any(one == {} for one in value):
            self._fault("the list holds an empty object")

    def _check_values(self, request: Request, body: Any) -> None:
        if request.body is None:
            return
        document = request.operation.document
        operation = request.operation
        for path, value in document.writable(operation.body_schema, request.body):
            if not document.declares(operation.answer_schema, path):
                continue  # what only the request has, such as the operation of a PATCH of tags
            found = _at(body, path)
            if not _same(path, value, found):
                self._fault(f"{path} was {_short(value)}, comes back as {_short(found)}")

    async def _check_listed(self, request: Request) -> None:
        above = self._sibling("GET", request.operation.template.rpartition("/")[0])
        if above is None or request.path.endswith("tags/default"):
            return
        listed = await self.world.send("GET", request.path.rpartition("/")[0], version=request.version)
        value = listed.body.get("value", []) if listed.status == 200 else []
        wanted = f"/{request.path}".replace("//", "/").lower()
        if not any(str(one.get("id", "")).lower() == wanted for one in value):
            self._fault(f"the list ({listed}) does not hold it")


# Lists of what this cloud has none of, truthfully; the document's schema still holds.
MAY_BE_EMPTY = frozenset(
    {
        "ClassicAdministrators_List",
        "DenyAssignments_List",
        "DenyAssignments_ListForResource",
        "DenyAssignments_ListForResourceGroup",
        "DenyAssignments_ListForScope",
        "Providers_ProviderPermissions",
        "TenantActivityLogs_List",  # what happens to a tenant itself happens in no group
    }
)


def _at(body: Any, path: str) -> Any:
    for name in path.strip("/").split("/"):
        if not name:
            continue
        body = body.get(name) if isinstance(body, dict) else None
    return body


def _same(path: str, sent: Any, found: Any) -> bool:
    if path == "/location":
        return isinstance(found, str) and found.replace(" ", "").lower() == sent.replace(" ", "").lower()
    if isinstance(sent, dict) and isinstance(found, dict):
        return all(_same("", one, found.get(name)) for name, one in sent.items() if one is not None)
    if isinstance(sent, list) and isinstance(found, list):
        return len(sent) == len(found) and all(map(lambda one, other: _same("", one, other), sent, found))
    if isinstance(sent, str) and isinstance(found, str):
        return sent.lower() == found.lower()
    return without_nulls(sent) == without_nulls(found)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 60 else text[:57] + "..."
