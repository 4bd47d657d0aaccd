"""What a filter means for a kind of object: which of its properties can be asked about, and how."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from landbridge_server.microsoft_graph.errors import unsupported
from landbridge_server.microsoft_graph.odata_filter import (
    And,
    AnyEquals,
    Compare,
    Filter,
    Negation,
    Or,
    StartsWith,
    Value,
)
from landbridge_server.store.conditions import Always, Begins, Both, Condition, Either, HasUri, Is, Not

Meaning = Callable[[Value], Condition]


class Fields:
    """The properties of a kind that can be filtered by; names are in lower case.

    ``equal`` says what ``eq`` means, ``begin`` which column ``startswith`` looks at (lower-case
    texts), ``any`` what ``/any(x:x eq '...')`` means.
    """

    def __init__(
        self,
        type_name: str,
        equal: Mapping[str, Meaning],
        begin: Mapping[str, str],
        any_: Mapping[str, Callable[[str], Condition]] | None = None,
    ) -> None:
        """Take what there is."""
        self.type_name = type_name
        self.equal = equal
        self.begin = begin
        self.any = any_ or {}

    def condition(self, wanted: Filter) -> Condition:
        """Return the condition that a filter means.

        Raises:
            GraphError: Request_UnsupportedQuery; it asks about something else.
        """
        if isinstance(wanted, And):
            return Both(self.condition(wanted.left), self.condition(wanted.right))
        if isinstance(wanted, Or):
            return Either(self.condition(wanted.left), self.condition(wanted.right))
        if isinstance(wanted, Negation):
            return Not(self.condition(wanted.inner))
        if isinstance(wanted, StartsWith) and wanted.path in self.begin:
            return Begins(self.begin[wanted.path], wanted.value.lower())
        if isinstance(wanted, AnyEquals) and wanted.path in self.any:
            return self.any[wanted.path](wanted.value)
        if isinstance(wanted, Compare) and wanted.path in self.equal:
            return self._one_of(wanted)
        raise unsupported(
            "Unsupported or invalid query filter clause specified for property "
            f"'{wanted.path[:100]}' of resource '{self.type_name}'."
        )

    def _one_of(self, wanted: Compare) -> Condition:
        first, *others = (self.equal[wanted.path](value) for value in wanted.values)
        found = first
        for other in others:
            found = Either(found, other)
        return found


def text(column: str) -> Meaning:
    """Return a property whose column holds lower-case texts; nothing else ever equals one."""
    return lambda value: Is(column, value.lower()) if isinstance(value, str) else Always(False)


def flag(column: str) -> Meaning:
    """Return a property whose column is true or false."""
    return lambda value: Is(column, value) if isinstance(value, bool) else Always(False)


def fixed(own: Value) -> Meaning:
    """Return a property that is the same for every object."""
    return lambda value: Always(value == own)


def app_or_uri(value: str) -> Condition:
    """Return the condition of a service principal name: an application id or an identifier URI."""
    return HasUri(value, value.lower())
