"""In which order a query is best done: conditions first, then sorting, then the rest.

Steps are moved only where that changes nothing: ``where`` and ``order by`` before ``project``
(its columns are put in place of their names), ``where`` before ``order by``. A ``limit`` is
never passed. What is left is:

    conditions, order, limit, columns      a list of resources, of which a page can be read
    or conditions, count                   a list of groups
    and further steps over the rows so far, which are few
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from landbridge_server.providers.resource_graph import tree
from landbridge_server.providers.resource_graph.lexer import refuse
from landbridge_server.providers.resource_graph.tree import (
    Count,
    Expression,
    Limit,
    Named,
    Order,
    Path,
    Pipeline,
    Project,
    Step,
    Where,
)
from landbridge_wire.errors import ArmError

COLUMNS = {
    "id": "string",
    "name": "string",
    "type": "string",
    "tenantId": "string",
    "kind": "string",
    "location": "string",
    "resourceGroup": "string",
    "subscriptionId": "string",
    "managedBy": "string",
    "sku": "object",
    "plan": "object",
    "properties": "object",
    "tags": "object",
    "identity": "object",
}
"""The columns of both tables, in their order, with their types."""

MATERIALIZED = 10_000
"""Rows that a ``limit`` may let through to a further ``where`` or ``summarize``."""


@dataclass(frozen=True)
class Plan:
    """A query as it is carried out. ``count`` is None for a list of resources.

    ``columns`` are what the rows show in the end; ``rest`` are steps over counted or limited rows.
    """

    table: str
    conditions: tuple[Expression, ...]
    order: tuple[tuple[Expression, bool], ...]
    limit: int | None
    columns: tuple[Named, ...]
    count: Count | None
    rest: tuple[Step, ...]

    def needs(self, *roots: str) -> bool:
        """Say whether conditions, order or counts look into one of these columns."""
        asked = [*self.conditions, *(one for one, _ in self.order)]
        asked += [one.value for one in self.count.by] if self.count else []
        return any(path.parts[0] in roots for one in asked for path in tree.paths(one))


def planned(pipeline: Pipeline) -> Plan:
    """Return how to carry out a query.

    Raises:
        ArmError: InvalidQuery; a column is unknown, or a limit lets too much through.
    """
    return _Planner(pipeline).plan()


class _Planner:
    def __init__(self, pipeline: Pipeline) -> None:
        self.query = pipeline.text
        self.pipeline = pipeline
        self.columns: dict[str, Expression] = {name: Path((name,)) for name in COLUMNS}
        self.conditions: list[Expression] = []
        self.order: tuple[tuple[Expression, bool], ...] = ()
        self.limit: int | None = None

    def plan(self) -> Plan:
        steps = list(self.pipeline.steps)
        while steps and self._fold(steps[0]):
            del steps[0]
        count: Count | None = None
        if steps and isinstance(steps[0], Count) and self.limit is None:
            count = self._counted(steps.pop(0))
        elif steps and (self.limit or 0) > MATERIALIZED:
            raise refuse(self.query, 0, f"a step after a limit needs a limit of at most {MATERIALIZED} rows.")
        visible = list(self.columns)
        if count is not None:
            visible = [*(one.name for one in count.by), count.name]
        return Plan(
            self.pipeline.table,
            tuple(self.conditions),
            self.order if count is None else (),
            self.limit,
            tuple(Named(name, value) for name, value in self.columns.items()),
            count,
            self._checked(steps, visible),
        )

    def _fold(self, step: Step) -> bool:
        """Take a step into the plan; say whether that was possible."""
        match step:
            case Where() if self.limit is None:
                self.conditions.append(self._resolved(step.condition, self.columns))
            case Order() if self.limit is None:
                self.order = tuple((self._resolved(one, self.columns), desc) for one, desc in step.by)
            case Limit():
                self.limit = step.rows if self.limit is None else min(self.limit, step.rows)
            case Project():
                self.columns = {one.name: self._resolved(one.value, self.columns) for one in step.columns}
            case _:
                return False
        return True

    def _counted(self, step: Step) -> Count:
        if not isinstance(step, Count):
            raise TypeError("A count was expected.")
        by = tuple(Named(one.name, self._resolved(one.value, self.columns)) for one in step.by)
        return Count(step.name, by)

    def _checked(self, steps: Sequence[Step], visible: list[str]) -> tuple[Step, ...]:
        """Resolve the names of steps that are carried out one after the other."""
        made: list[Step] = []
        for step in steps:
            columns = {name: Path((name,)) for name in visible}
            match step:
                case Where():
                    made.append(Where(self._resolved(step.condition, columns)))
                case Order():
                    made.append(Order(tuple((self._resolved(one, columns), desc) for one, desc in step.by)))
                case Project() | Count():
                    named = step.columns if isinstance(step, Project) else step.by
                    resolved = tuple(Named(one.name, self._resolved(one.value, columns)) for one in named)
                    visible = [one.name for one in resolved]
                    if isinstance(step, Project):
                        made.append(Project(resolved))
                    else:
                        visible.append(step.name)
                        made.append(Count(step.name, resolved))
                case _:
                    made.append(step)
        return tuple(made)

    def _resolved(self, expression: Expression, columns: Mapping[str, Expression]) -> Expression:
        """Return an expression with every name resolved; names of columns ignore case.

        Raises:
            ArmError: InvalidQuery; there is no such column.
        """
        wanted = {path.parts[0]: path for path in tree.paths(expression)}
        known = {name.lower(): value for name, value in columns.items()}
        for name, path in wanted.items():
            if name.lower() not in known:
                raise self._unknown(name, path.at)
        try:
            return tree.substituted(expression, {name: known[name.lower()] for name in wanted})
        except KeyError as error:
            name = str(error.args[0])
            raise self._unknown(name, wanted[name].at) from error

    def _unknown(self, name: str, at: int) -> ArmError:
        return refuse(self.query, at, f"Failed to resolve column or scalar expression named '{name}'.", name)


def type_of(value: Expression) -> str:
    """Return the type of a column in a table of results."""
    match value:
        case Path():
            return COLUMNS.get(value.parts[0], "object") if len(value.parts) == 1 else "object"
        case tree.Function():
            return "boolean" if value.name.startswith("is") else "string"
        case tree.Literal():
            return _literal_type(value.value)
    return "boolean"


def _literal_type(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "integer" if isinstance(value, int) else "number" if isinstance(value, float) else "string"
