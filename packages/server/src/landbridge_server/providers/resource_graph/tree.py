"""What a query says: expressions and the steps of the pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Literal:
    """A text, a number, true, false or null."""

    value: str | int | float | bool | None


@dataclass(frozen=True)
class Path:
    """A column, or something inside one: ``properties.osName``, ``tags['cost center']``."""

    parts: tuple[str, ...]
    at: int = 0


@dataclass(frozen=True)
class Function:
    """A function of one value, in lower case."""

    name: str
    argument: Expression


@dataclass(frozen=True)
class Compare:
    """``left operator right``; for ``in`` and its kin ``right`` is a list."""

    operator: str
    left: Expression
    right: tuple[Expression, ...]


@dataclass(frozen=True)
class All:
    """Every one of them holds."""

    terms: tuple[Expression, ...]


@dataclass(frozen=True)
class Any:
    """At least one of them holds."""

    terms: tuple[Expression, ...]


@dataclass(frozen=True)
class Not:
    """It does not hold."""

    term: Expression


Expression = Literal | Path | Function | Compare | All | Any | Not


@dataclass(frozen=True)
class Named:
    """An expression that becomes a column."""

    name: str
    value: Expression


@dataclass(frozen=True)
class Where:
    """Keep the rows for which it holds."""

    condition: Expression


@dataclass(frozen=True)
class Project:
    """Keep these columns."""

    columns: tuple[Named, ...]


@dataclass(frozen=True)
class Order:
    """Sort by these, each descending or not."""

    by: tuple[tuple[Expression, bool], ...]


@dataclass(frozen=True)
class Limit:
    """Keep the first so many rows."""

    rows: int


@dataclass(frozen=True)
class Count:
    """Count the rows by the values of these columns."""

    name: str
    by: tuple[Named, ...]


Step = Where | Project | Order | Limit | Count


@dataclass(frozen=True)
class Pipeline:
    """A query: a table in lower case, and the steps."""

    text: str
    table: str
    steps: tuple[Step, ...]


def paths(expression: Expression) -> Iterator[Path]:
    """Yield every path in an expression."""
    match expression:
        case Path():
            yield expression
        case Function():
            yield from paths(expression.argument)
        case Compare():
            yield from paths(expression.left)
            for one in expression.right:
                yield from paths(one)
        case All() | Any():
            for one in expression.terms:
                yield from paths(one)
        case Not():
            yield from paths(expression.term)


def substituted(expression: Expression, columns: Mapping[str, Expression]) -> Expression:
    """Return an expression over earlier columns: each name is replaced by what it stands for.

    Raises:
        KeyError: there is no such column, or something inside a computed one is asked for.
    """
    match expression:
        case Path():
            found = columns[expression.parts[0]]
            if len(expression.parts) == 1:
                return found
            if not isinstance(found, Path):
                raise KeyError(expression.parts[0])
            return replace(found, parts=found.parts + expression.parts[1:])
        case Function():
            return replace(expression, argument=substituted(expression.argument, columns))
        case Compare():
            return replace(
                expression,
                left=substituted(expression.left, columns),
                right=tuple(substituted(one, columns) for one in expression.right),
            )
        case All() | Any():
            return replace(expression, terms=tuple(substituted(one, columns) for one in expression.terms))
        case Not():
            return Not(substituted(expression.term, columns))
    return expression
