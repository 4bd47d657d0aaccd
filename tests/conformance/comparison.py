"""Recorded JSON and ours: which members, which types, at any depth. Values are not compared.

- Members that are null in the recording, and ``authorization(s)``, the internals of
  Microsoft's own providers, need not be there; further members of ours are no difference.
- Each of our items of an array must have what all recorded items have. An array that held
  something may be empty here, unless one of the recorded items has an id of ``own``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_IGNORED = frozenset({"authorization", "authorizations"})


def differences(recorded: Any, ours: Any, own: set[str], path: str = "") -> Iterator[str]:
    """Yield what the recorded JSON has and ours has not: members, types, items."""
    if recorded is None:
        return
    if _kind(recorded) != _kind(ours):
        yield f"{path or 'body'} is {_kind(ours)}, recorded {_kind(recorded)}"
    elif isinstance(recorded, dict):
        for name, value in recorded.items():
            if name in _IGNORED or value is None:
                continue
            if name not in ours:
                yield f"{path}/{name} is missing"
            else:
                yield from differences(value, ours[name], own, f"{path}/{name}")
    elif isinstance(recorded, list):
        yield from _item_differences(recorded, ours, own, path)


def _item_differences(recorded: list[Any], ours: list[Any], own: set[str], path: str) -> Iterator[str]:
    objects = [one for one in recorded if isinstance(one, dict)]
    with_id = [str(one["id"]).lower() for one in objects if "id" in one]
    if recorded and not ours and (not with_id or own & set(with_id)):
        yield f"{path} is empty, recorded {len(recorded)} items"
    if not objects or not ours:
        return
    shape = _shared(objects)
    for one in ours:
        found = list(differences(shape, one, own, f"{path}[]"))
        if found:
            yield from found
            return


def _shared(objects: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what all items have, with a value of the first as the example of its type."""
    names = set.intersection(*({name for name, value in one.items() if value is not None} for one in objects))
    shape: dict[str, Any] = {}
    for name in names:
        values = [one[name] for one in objects]
        if all(isinstance(value, dict) for value in values):
            shape[name] = _shared(values)
        elif any(_kind(value) != _kind(values[0]) for value in values) or isinstance(values[0], list):
            # Arrays inside of items are long or short as the item is.
            shape[name] = [] if isinstance(values[0], list) else None
        else:
            shape[name] = values[0]
    return shape


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    names = {str: "a text", dict: "an object", list: "an array", type(None): "missing"}
    return names[type(value)]
