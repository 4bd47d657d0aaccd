"""The members of a body, checked against the properties that a kind of object has.

Annotations (names with ``@``) are passed over, as OData wants it. A property that is not kept
here is refused: a client must not believe that it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from landbridge_server.microsoft_graph.errors import bad

TEXT_LIMIT = 1024
LIST_LIMIT = 250

TEXT, TEXTS, FLAG, NUMBER, OBJECT, OBJECTS = "text", "texts", "flag", "number", "object", "objects"


def checked(resource: str, known: Mapping[str, str], body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties of a body under their right names; ``known`` says of which kind each is.

    Raises:
        GraphError: Request_BadRequest; one is unknown or of the wrong kind.
    """
    spelled = {name.lower(): name for name in known}
    found: dict[str, Any] = {}
    for given, value in body.items():
        if given.endswith("@odata.bind"):
            raise bad(f"'{given[:100]}' cannot be given here: use '{given.partition('@')[0][:50]}/$ref'.")
        if "@" in given:
            continue
        name = spelled.get(given.lower())
        if name is None:
            raise bad(f"Invalid property '{given[:100]}'. This cloud keeps no such property of '{resource}'.")
        if value is not None and not fits(known[name], value):
            raise bad(f"Invalid value specified for property '{name}' of resource '{resource}'.")
        found[name] = value
    return found


def fits(kind: str, value: object) -> bool:
    """Say whether a value is of a kind."""
    if kind == TEXT:
        return isinstance(value, str) and len(value) <= TEXT_LIMIT
    if kind == FLAG:
        return isinstance(value, bool)
    if kind == NUMBER:
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**31
    if kind == OBJECT:
        return isinstance(value, dict)
    inner = TEXT if kind == TEXTS else OBJECT
    return isinstance(value, list) and len(value) <= LIST_LIMIT and all(fits(inner, one) for one in value)


def required(resource: str, given: Mapping[str, Any], *names: str) -> None:
    """Return if a new object has these properties.

    Raises:
        GraphError: Request_BadRequest; one is missing or empty.
    """
    for name in names:
        if given.get(name) in (None, ""):
            raise bad(f"A value is required for property '{name}' of resource '{resource}'.")


def merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return old properties with new ones in their place; null takes one away, objects are merged."""
    found = dict(old)
    for name, value in new.items():
        if value is None:
            found.pop(name, None)
        elif isinstance(value, dict) and isinstance(found.get(name), dict):
            found[name] = merged(found[name], value)
        else:
            found[name] = value
    return found
