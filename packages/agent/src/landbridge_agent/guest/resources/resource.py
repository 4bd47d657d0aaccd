"""What every resource of a configuration is: properties, a test that explains, and a way to make it so.

A resource is made from the properties that a configuration gives. ``test`` changes nothing and
returns why the machine is not as wanted, with what was found; ``set`` makes it so, twice is the same
as once, and what it cannot do it refuses with a reason.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

from landbridge_agent.guest.system import System

TEXT, FLAG, NUMBER, TEXTS = "text", "true or false", "a whole number", "a list of strings"
"""Kinds of properties; a tuple of words is a choice of these, in any case."""

Kind = str | tuple[str, ...]
PRESENT, ABSENT = "Present", "Absent"
ENSURE = (PRESENT, ABSENT)


class Reason(NamedTuple):
    """Why a resource is as it is: ``code`` for programs, ``phrase`` for people."""

    code: str
    phrase: str


class Found(NamedTuple):
    """What a test found: no reasons where all is as wanted. ``state`` is what is there, as JSON."""

    reasons: list[Reason]
    state: dict[str, Any]


class BadProperty(Exception):
    """A property is missing, unknown, or not of its kind; the text says which."""


class CannotApply(Exception):
    """A resource cannot be made so on this machine; the text says why and what to do."""


class Resource(ABC):
    """One resource. ``values`` are its properties, by the names of ``properties``."""

    type: ClassVar[str]
    properties: ClassVar[Mapping[str, Kind]]
    required: ClassVar[tuple[str, ...]] = ()

    def __init__(self, values: Mapping[str, Any], system: System) -> None:
        """Take properties that ``read`` has read.

        Raises:
            BadProperty: they do not go together.
        """
        self.values, self.system = values, system

    @abstractmethod
    def test(self) -> Found:
        """Return why the machine is not as wanted.

        Raises:
            CannotApply, FileRefused, NoProgram: it cannot be told.
        """

    @abstractmethod
    def set(self) -> None:
        """Make it so.

        Raises:
            CannotApply, FileRefused, NoProgram: it cannot be done.
        """

    def text(self, name: str) -> str:
        """Return a property that is a text; empty where it is not given."""
        return str(self.values.get(name, ""))

    def on(self, name: str) -> bool:
        """Return whether a property is given as true."""
        return self.values.get(name) is True

    @property
    def wanted(self) -> bool:
        """Whether ``Ensure`` is Present, as it is where it is not given."""
        return str(self.values.get("Ensure", PRESENT)) == PRESENT

    def reason(self, code: str, phrase: str) -> Reason:
        """Return a reason with a code as nxtools forms them."""
        return Reason(f"{self.type}:{self.type}:{code}", phrase)


def read(kind: type[Resource], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties of a resource by their right names, each of its kind; ``null`` is not given.

    A parameter's value is always a text, so a text is taken for every kind.

    Raises:
        BadProperty: one is unknown, missing, or not of its kind.
    """
    names = {name.lower(): name for name in kind.properties}
    found: dict[str, Any] = {}
    for name, value in given.items():
        known = names.get(name.lower())
        if known is None:
            raise BadProperty(f"{kind.type} has no property {name}; it has {', '.join(kind.properties)}.")
        if value is not None:
            found[known] = _converted(f"{kind.type}.{known}", kind.properties[known], value)
    for name in kind.required:
        if not found.get(name):
            raise BadProperty(f"{kind.type} needs the property {name}.")
    return found


def _converted(name: str, kind: Kind, value: Any) -> Any:
    if isinstance(kind, tuple):
        for word in kind:
            if isinstance(value, str) and value.lower() == word.lower():
                return word
        raise BadProperty(f"{name} must be one of {', '.join(kind)}, not {value!r:.60}.")
    if kind == TEXT and isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value)
    if kind == FLAG:
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
    if kind == NUMBER:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 19:
            return int(value)
    if kind == TEXTS:
        if isinstance(value, str):
            return [one.strip() for one in value.split(";") if one.strip()]
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            return value
    raise BadProperty(f"{name} must be {kind}, not {value!r:.60}.")
