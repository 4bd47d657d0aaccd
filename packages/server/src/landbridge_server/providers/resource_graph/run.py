"""Carries out a plan, on a thread beside the event loop, within bounds of time and memory.

Three ways, the cheapest that is right:
- the store looks after all conditions: it counts, sorts, groups, and gives one page;
- it does not: candidates are read a chunk at a time and looked at here; what is kept of each
  is no more than its key and what it is sorted by, until the page is known;
- counted or limited rows are few: further steps run over them here.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from landbridge_server.providers.resource_graph import values
from landbridge_server.providers.resource_graph.plan import Plan, type_of
from landbridge_server.providers.resource_graph.sources import (
    LOWER,
    SOURCES,
    Containers,
    Resources,
    narrowed,
)
from landbridge_server.providers.resource_graph.tree import (
    Count,
    Expression,
    Limit,
    Order,
    Path,
    Project,
    Step,
    Where,
    paths,
)
from landbridge_server.store import graph
from landbridge_server.store.database import Connection
from landbridge_wire.errors import ArmError

SECONDS = 20.0
"""How long a query may take."""

MATCHES = 200_000
"""Rows that are sorted, and groups that are counted, at most."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Page:
    """Which rows of the result are wanted: ``size`` of them behind ``given`` others.

    ``after`` is the key of the last row that was given, ``total`` how many there were then;
    both only speed up what follows from the same query.
    """

    size: int
    given: int = 0
    after: str = ""
    total: int | None = None


@dataclass(frozen=True)
class Result:
    """The rows of a page, how many there are in all, and the key of the last row where it counts."""

    rows: list[Row]
    total: int
    last: str = ""


def execute(connection: Connection, plan: Plan, source: Resources | Containers, page: Page) -> Result:
    """Return a page of what a plan yields.

    Raises:
        ArmError: BadRequest; it takes too long, or keeps too much.
    """
    return _Run(connection, plan, source, page).result()


class _Run:
    def __init__(
        self, connection: Connection, plan: Plan, source: Resources | Containers, page: Page
    ) -> None:
        self.connection = connection
        self.plan = plan
        self.source = source
        self.page = page
        self.ends_at = time.monotonic() + SECONDS
        self.condition, self.exact = narrowed(plan.conditions)
        self.stored = source if isinstance(source, Resources) else None
        self.project = values.projection(plan.columns)

    def result(self) -> Result:
        if self.plan.count is not None:
            return self._sliced(self._stepped(self._counted(self.plan.count)))
        if self.plan.rest:
            whole = Page(self.plan.limit or 0)
            return self._sliced(self._stepped(self._listed(whole).rows))
        return self._listed(self.page)

    # -- lists of resources

    def _listed(self, page: Page) -> Result:
        most = self.plan.limit
        size = page.size if most is None else min(page.size, max(0, most - page.given))
        order = _stored_order(self.plan.order)
        if self.stored and self.exact and order is not None:
            return self._from_store(self.stored, page, size, order)
        return self._sorted(page, size) if self.plan.order else self._scanned(page, size)

    def _from_store(
        self, source: Resources, page: Page, size: int, order: Sequence[tuple[str, bool]]
    ) -> Result:
        seen, condition = source.seen.resources, self.condition
        total = page.total
        if total is None:
            total = self._cut(graph.count(self.connection, seen, condition))
        found = graph.page(
            self.connection,
            seen,
            condition,
            limit=size,
            order=order,
            after="" if order else page.after,
            offset=page.given if order or not page.after else 0,
        )
        rows = [self.project(row) for row in source.rows(self.connection, found, rendered=self._rendered())]
        return Result(rows, total, found[-1].key if found and not order else "")

    def _rendered(self) -> bool:
        """Say whether the columns of the result need what only the types know."""
        roots = {path.parts[0] for one in self.plan.columns for path in paths(one.value)}
        return "properties" in roots

    def _cut(self, total: int) -> int:
        return total if self.plan.limit is None else min(total, self.plan.limit)

    def _matches(self, after: str) -> Iterator[tuple[str, Row]]:
        """Yield key and row of what fulfils the conditions, in the order of keys."""
        if self.stored:
            rendered = self.plan.needs("properties")
            rows = self.stored.scan(self.connection, self.condition, after, rendered=rendered)
        else:
            rows = self.source.scan(self.connection, after)  # type: ignore[call-arg, arg-type]
        holds = [values.condition(one) for one in self.plan.conditions]
        for number, (key, row) in enumerate(rows):
            if number % 256 == 0 and time.monotonic() > self.ends_at:
                raise _too_long()
            if all(one(row) for one in holds):
                yield key, row

    def _scanned(self, page: Page, size: int) -> Result:
        skipped = 0 if page.after else page.given
        matches = self._matches(page.after)
        if page.total is not None:
            some = list(islice(matches, skipped, skipped + size))
            return Result(self._shown(some), page.total, some[-1][0] if some else "")
        total, kept = 0, []
        for total, match in enumerate(matches, 1):
            if skipped < total <= skipped + size:
                kept.append(match)
            if self.plan.limit is not None and total >= self.plan.limit:
                break
        return Result(self._shown(kept), total, kept[-1][0] if kept else "")

    def _sorted(self, page: Page, size: int) -> Result:
        by = [(values.compiled(one), descending) for one, descending in self.plan.order]
        found: list[tuple[tuple[Any, ...], str]] = []
        for key, row in self._matches(""):
            found.append((tuple(values.sorting(one(row)) for one, _ in by), key))
            if len(found) > MATCHES:
                raise _too_much("sorts")
        for index in range(len(by) - 1, -1, -1):
            found.sort(key=lambda one: one[0][index], reverse=by[index][1])
        keys = [key for _, key in found[: self.plan.limit][page.given : page.given + size]]
        return Result(self._fetched(keys), self._cut(len(found)))

    def _fetched(self, keys: Sequence[str]) -> list[Row]:
        if self.stored is None:
            wanted = dict.fromkeys(keys)
            rows = {key: row for key, row in self._matches("") if key in wanted}
            return [self.project(rows[key]) for key in keys]
        found = graph.named(self.connection, keys)
        there = [found[key] for key in keys if key in found]
        shown = self.stored.rows(self.connection, there, rendered=self._rendered())
        return [self.project(row) for row in shown]

    def _shown(self, kept: Sequence[tuple[str, Row]]) -> list[Row]:
        if self.stored is None or not self._rendered() or self.plan.needs("properties"):
            return [self.project(row) for _, row in kept]
        return self._fetched([key for key, _ in kept])

    # -- counts

    def _counted(self, count: Count) -> list[Row]:
        names = [one.name for one in count.by]
        columns = [_stored_column(one.value) for one in count.by]
        if self.stored and self.exact and all(column in LOWER for column in columns):
            seen = self.stored.seen.resources
            if not columns:
                return [{count.name: graph.count(self.connection, seen, self.condition)}]
            found = graph.grouped(
                self.connection, seen, self.condition, [SOURCES[column] for column in columns]
            )
            return [dict(zip([*names, count.name], row, strict=True)) for row in found]
        return _counts((row for _, row in self._matches("")), count)

    def _stepped(self, rows: list[Row]) -> list[Row]:
        for step in self.plan.rest:
            rows = _step(rows, step)
        return rows

    def _sliced(self, rows: list[Row]) -> Result:
        return Result(rows[self.page.given : self.page.given + self.page.size], len(rows))


def _step(rows: list[Row], step: Step) -> list[Row]:
    match step:
        case Where():
            holds = values.condition(step.condition)
            return [row for row in rows if holds(row)]
        case Project():
            project = values.projection(step.columns)
            return [project(row) for row in rows]
        case Order():
            for expression, descending in reversed(step.by):
                value = values.compiled(expression)
                rows = sorted(rows, key=lambda row: values.sorting(value(row)), reverse=descending)
            return rows
        case Limit():
            return rows[: step.rows]
        case Count():
            return _counts(iter(rows), step)


def _counts(rows: Iterator[Row], count: Count) -> list[Row]:
    by = [values.compiled(one.value) for one in count.by]
    found: dict[tuple[Any, ...], tuple[list[Any], int]] = {}
    for row in rows:
        group = [one(row) for one in by]
        key = tuple(values.text(one) if isinstance(one, dict | list) else (type(one), one) for one in group)
        found[key] = (group, found[key][1] + 1 if key in found else 1)
        if len(found) > MATCHES:
            raise _too_much("counts")
    if not by and not found:
        return [{count.name: 0}]
    names = [one.name for one in count.by]
    made = [dict(zip(names, group, strict=True)) | {count.name: number} for group, number in found.values()]
    return sorted(made, key=lambda row: [values.sorting(row[name]) for name in names])


def _stored_column(value: Expression) -> str:
    return value.parts[0] if isinstance(value, Path) and len(value.parts) == 1 else ""


def _stored_order(order: Sequence[tuple[Expression, bool]]) -> list[tuple[str, bool]] | None:
    """Return the order in the store's columns; None where it cannot sort so."""
    columns = [(_stored_column(one), descending) for one, descending in order]
    if not all(column in SOURCES for column, _ in columns):
        return None
    return [(SOURCES[column], descending) for column, descending in columns]


def columns_of(plan: Plan) -> list[tuple[str, str]]:
    """Return name and type of the columns of the result."""
    found = [(one.name, type_of(one.value)) for one in plan.columns]
    if plan.count is not None:
        found = [*((one.name, type_of(one.value)) for one in plan.count.by), (plan.count.name, "integer")]
    for step in plan.rest:
        known = dict(found)
        if isinstance(step, Project | Count):
            named = step.columns if isinstance(step, Project) else step.by
            found = [(one.name, known.get(_stored_column(one.value), type_of(one.value))) for one in named]
            if isinstance(step, Count):
                found.append((step.name, "integer"))
    return found


def _too_long() -> ArmError:
    return ArmError(
        "BadRequest",
        f"The query took longer than {SECONDS:.0f} seconds. Narrow it by type, resourceGroup or tags.",
        cause="service",
    )


def _too_much(verb: str) -> ArmError:
    return ArmError(
        "BadRequest", f"The query {verb} more than {MATCHES} rows. Narrow it first.", cause="service"
    )
