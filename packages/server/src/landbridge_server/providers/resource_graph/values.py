"""What an expression is worth for a row, as Kusto has it where the documents say so.

Texts compare with case for ``==``, ``in`` and ``_cs``, without for the others. What is missing
is null: it is unequal to everything, and empty as a text. Names inside ``tags`` ignore case,
as they do everywhere in ARM. Texts are ordered without case, so that the store can do it too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from landbridge_server.providers.resource_graph import tree
from landbridge_server.providers.resource_graph.tree import (
    Compare,
    Expression,
    Function,
    Literal,
    Named,
    Not,
    Path,
)

Row = Mapping[str, Any]
Evaluate = Callable[[Row], Any]


def text(value: Any) -> str:
    """Return a value as a text: null is empty, what is structured is JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return msgspec.json.encode(value).decode()


def compiled(expression: Expression) -> Evaluate:
    """Return a function that says what an expression is worth for a row."""
    match expression:
        case Literal():
            constant = expression.value
            return lambda row: constant
        case Path():
            return _path(expression.parts)
        case Function():
            function, argument = _FUNCTIONS[expression.name], compiled(expression.argument)
            return lambda row: function(argument(row))
        case Compare():
            return _comparison(expression)
        case tree.All():
            terms = [compiled(one) for one in expression.terms]
            return lambda row: all(_true(one(row)) for one in terms)
        case tree.Any():
            terms = [compiled(one) for one in expression.terms]
            return lambda row: any(_true(one(row)) for one in terms)
        case Not():
            term = compiled(expression.term)
            return lambda row: not _true(term(row))


def condition(expression: Expression) -> Callable[[Row], bool]:
    """Return a function that says whether a condition holds for a row."""
    value = compiled(expression)
    return lambda row: _true(value(row))


def _true(value: Any) -> bool:
    return value is True


def _path(parts: tuple[str, ...]) -> Evaluate:
    first, rest = parts[0], parts[1:]
    if not rest:
        return lambda row: row.get(first)
    if first == "tags" and len(rest) == 1:
        wanted = rest[0].lower()

        def tag(row: Row) -> Any:
            tags = row.get("tags") or {}
            return next((value for name, value in tags.items() if name.lower() == wanted), None)

        return tag

    def inside(row: Row) -> Any:
        value = row.get(first)
        for part in rest:
            if not isinstance(value, Mapping):
                return None
            value = value.get(part)
        return value

    return inside


_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "tostring": text,
    "tolower": lambda value: text(value).lower(),
    "toupper": lambda value: text(value).upper(),
    "isempty": lambda value: text(value) == "",
    "isnotempty": lambda value: text(value) != "",
    "isnull": lambda value: value is None,
    "isnotnull": lambda value: value is not None,
}


@lru_cache(maxsize=256)
def _term(word: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![^\W_]){re.escape(word)}(?![^\W_])")


_TEXTUAL: dict[str, Callable[[str, str], bool]] = {
    "contains": lambda value, wanted: wanted in value,
    "startswith": lambda value, wanted: value.startswith(wanted),
    "endswith": lambda value, wanted: value.endswith(wanted),
    "has": lambda value, wanted: _term(wanted).search(value) is not None,
}


def _comparison(expression: Compare) -> Evaluate:
    left = compiled(expression.left)
    right = [compiled(one) for one in expression.right]
    operator = expression.operator
    negated = operator[0] == "!"
    bare = operator.removeprefix("!")
    if bare in ("in", "in~"):
        fold = bare == "in~"
        return lambda row: _is_one_of(left(row), [one(row) for one in right], fold) != negated
    other = right[0]
    if bare.removesuffix("_cs") in _TEXTUAL:
        test, cased = _TEXTUAL[bare.removesuffix("_cs")], bare.endswith("_cs")
        return lambda row: test(_folded(left(row), cased), _folded(other(row), cased)) != negated
    if operator in ("==", "!="):
        return lambda row: _equal(left(row), other(row), False) != negated
    if operator in ("=~", "!~"):
        return lambda row: _equal(left(row), other(row), True) != negated
    return lambda row: _ordered(operator, left(row), other(row))


def _folded(value: Any, cased: bool) -> str:
    return text(value) if cased else text(value).lower()


def _equal(left: Any, right: Any, fold: bool) -> bool:
    if fold:
        return text(left).lower() == text(right).lower()
    if isinstance(left, bool) != isinstance(right, bool):
        return False
    return left is not None and right is not None and bool(left == right)


def _is_one_of(value: Any, wanted: Sequence[Any], fold: bool) -> bool:
    return any(_equal(value, one, fold) for one in wanted)


def _ordered(operator: str, left: Any, right: Any) -> bool:
    a, b = sorting(left), sorting(right)
    if a[0] != b[0] or left is None:
        return False
    match operator:
        case "<":
            return a < b
        case "<=":
            return a <= b
        case ">":
            return a > b
    return a >= b


def sorting(value: Any) -> tuple[int, Any]:
    """Return a key by which any two values can be ordered: null, false and true, numbers, texts."""
    if value is None:
        return (0, 0)
    if isinstance(value, bool):
        return (1, value)
    if isinstance(value, int | float):
        return (2, value)
    return (3, text(value).lower())


def projection(columns: Sequence[Named]) -> Callable[[Row], dict[str, Any]]:
    """Return a function that makes the projected row of a row."""
    made = [(one.name, compiled(one.value)) for one in columns]
    return lambda row: {name: value(row) for name, value in made}
