"""Which members of a body a provider keeps, and of which kind they must be.

A shape is written as the body looks: ``str``, ``int``, ``bool``, ``Choice``, a dict of
members, ``[item]`` for a list, or ``ANY``. Members that a shape does not name are dropped:
they are read-only, or from a version that is not known yet. ``null`` means not given.
"""

from __future__ import annotations

from dataclasses import dataclass
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


Shape = Any
"""``str | int | bool | Choice | Text | ANY | dict[str, Shape] | list[Shape]``."""

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
    if isinstance(shape, Text):
        if not isinstance(value, str) or len(value) > shape.most:
            raise refusals.invalid(f"'{path}' must be a string of at most {shape.most} characters.", path)
        return value
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


def _choice(shape: Choice, value: Any, path: str) -> str:
    for word in shape.words:
        if isinstance(value, str) and value.lower() == word.lower():
            return word
    raise refusals.invalid(f"'{path}' must be one of {', '.join(shape.words)}.", path)
