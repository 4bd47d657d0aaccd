"""Locks: what they forbid, asked inside the transaction of every change.

A lock holds at its scope and at everything below it. ``CanNotDelete`` forbids to delete,
``ReadOnly`` forbids every change and every POST action. What contains something locked cannot
be deleted either: the deletion would take it along. Locks themselves can always be changed and
removed by whoever holds ``Microsoft.Authorization/locks/*``; the operator's own removal of a
machine whose connect failed is not a deletion by a caller.
"""

from __future__ import annotations

import msgspec

from landbridge_server.store import locks
from landbridge_server.store.database import Connection
from landbridge_server.store.locks import Lock
from landbridge_wire.errors import ArmError

TYPE = locks.TYPE
"""The type of locks in lower case."""

LEVELS = ("CanNotDelete", "ReadOnly")
_SUFFIX = "/providers/" + TYPE


class _Properties(msgspec.Struct):
    level: str = ""


class _Document(msgspec.Struct):
    properties: _Properties


_decode = msgspec.json.Decoder(_Document).decode


def scopes_of(key: str) -> list[str]:
    """Return a lower-case id and every scope above it, the subscription first."""
    parts = key.split("/")[1:]
    return ["/" + "/".join(parts[:length]) for length in range(2, len(parts) + 1, 2)]


def refuse(verb: str, scope: str, found: list[Lock]) -> ArmError:
    """Return ScopeLocked in ARM's words; ``verb`` is write or delete."""
    held = ",".join(
        dict.fromkeys(one.resource_id[: one.resource_id.lower().rindex(_SUFFIX)] for one in found[:10])
    )
    return ArmError(
        "ScopeLocked",
        f"The scope '{scope}' cannot perform {verb} operation because following scope(s) are locked: "
        f"'{held}'. Please remove the lock and try again.",
    )


def read_only(found: list[Lock]) -> list[Lock]:
    """Return those locks that forbid every change."""
    return [one for one in found if _decode(one.document).properties.level == "ReadOnly"]


def check_write(connection: Connection, scope: str) -> None:
    """Return if what has this id may be changed, made, or acted upon.

    Raises:
        ArmError: ScopeLocked.
    """
    found = locks.at(connection, scopes_of(scope.lower()))
    if found and (holding := read_only(found)):
        raise refuse("write", scope, holding)


def check_delete(connection: Connection, scope: str) -> None:
    """Return if what has this id may be deleted, with everything below it.

    Raises:
        ArmError: ScopeLocked.
    """
    key = scope.lower()
    found = locks.at(connection, scopes_of(key)) or locks.below(connection, key)
    if found:
        raise refuse("delete", scope, found)


def check_delete_at(connection: Connection, scope: str) -> None:
    """Return if something of no id of its own may be deleted at this id; what lies below does not count.

    Raises:
        ArmError: ScopeLocked.
    """
    found = locks.at(connection, scopes_of(scope.lower()))
    if found:
        raise refuse("delete", scope, found)
