"""Which members of a body a provider keeps, and of which kind they must be.

A shape is written as the body looks: ``str``, ``int``, ``bool``, ``Choice``, ``Text``, ``Whole``,
``Moment``, a dict of members, ``Named`` for an object whose names are free, ``[item]`` for a
list, or ``ANY``. Members that a shape does not name are dropped:
they are read-only, or from a version that is not known yet. ``null`` means not given.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from landbridge_server.arm import refusals


class _Any:
    """Whatever JSON it is."""


ANY = _Any()


@dataclass(frozen=True)
class Choice:
    """One of these words, in any casing; kept in the casing given here."""

    words: tuple[str, ...]


@dataclass(frozen=True)
class Text:
    """A text of bounded length."""

    most: int
    least: int = 0


@dataclass(frozen=True)
class Whole:
    """A whole number within bounds, both included."""

    least: int
    most: int


@dataclass(frozen=True)
class Named:
    """An object with any names, whose values have one shape."""

    value: Any


class Moment:
    """A date and time as RFC 3339 writes it; kept as it was written."""


Shape = Any
"""``str | int | bool | Choice | Text | Whole | Moment | Named | ANY | dict[str, Shape] | list[Shape]``."""

_WORDS = {str: "a string", int: "a whole number", bool: "true or false"}


def keep(shape: Shape, value: Any, path: str) -> Any:
    """Return what ``shape`` keeps of ``value``; ``path`` names it in a refusal.

    Raises:
        ArmError: InvalidRequestContent; a member is of the wrong kind.
    """
    if shape is ANY:
        return value
    if isinstance(shape, dict):
        return _members(shape, value, path)
    if isinstance(shape, list):
        if not isinstance(value, list):
            raise refusals.invalid(f"'{path}' must be an array.", path)
        return [keep(shape[0], one, f"{path}[{index}]") for index, one in enumerate(value)]
    if isinstance(shape, Choice):
        return _choice(shape, value, path)
    if isinstance(shape, Named):
        return _named(shape, value, path)
    if isinstance(shape, Text | Whole) or shape is Moment:
        return _bounded(shape, value, path)
    if not isinstance(value, shape) or (shape is int and isinstance(value, bool)):
        raise refusals.invalid(f"'{path}' must be {_WORDS[shape]}.", path)
    return value


def _members(shape: dict[str, Shape], value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise refusals.invalid(f"'{path}' must be an object.", path)
    return {
        name: keep(inner, value[name], f"{path}.{name}")
        for name, inner in shape.items()
        if value.get(name) is not None
    }


def _named(shape: Named, value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise refusals.invalid(f"'{path}' must be an object.", path)
    return {name: keep(shape.value, one, f"{path}.{name}") for name, one in value.items()}


def _bounded(shape: Any, value: Any, path: str) -> Any:
    if isinstance(shape, Text):
        if isinstance(value, str) and shape.least <= len(value) <= shape.most:
            return value
        bounds = f"of {shape.least} to" if shape.least else "of at most"
        raise refusals.invalid(f"'{path}' must be a string {bounds} {shape.most} characters.", path)
    if isinstance(shape, Whole):
        if isinstance(value, int) and not isinstance(value, bool) and shape.least <= value <= shape.most:
            return value
        raise refusals.invalid(f"'{path}' must be a whole number from {shape.least} to {shape.most}.", path)
    try:
        datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise refusals.invalid(f"'{path}' must be a date and time as RFC 3339 writes it.", path) from None
    return value


def _choice(shape: Choice, value: Any, path: str) -> str:
    for word in shape.words:
        if isinstance(value, str) and value.lower() == word.lower():
            return word
    raise refusals.invalid(f"'{path}' must be one of {', '.join(shape.words)}.", path)
