"""Locks, which are resources like others: at which scopes there are any, as one question.

The lower-case id of the lock's scope is its row's parent. The questions are asked with every
write, so each is one walk along an index, whatever else the store holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, bindparam, or_, select

from landbridge_server.store.prepared import Prepared
from landbridge_server.store.resources import Stored
from landbridge_server.store.schema import resources

TYPE = "microsoft.authorization/locks"

MOST = 1000
"""How many locks below a scope are looked at."""

# Scopes are asked for in rows of this many, so that the statement stays the same one.
_WIDTH = 8
_FOUND = (resources.c.resource_id, resources.c.document)
_AT = Prepared(
    select(*_FOUND).where(
        resources.c.type_key == bindparam("type"),
        resources.c.parent_key.in_([bindparam(f"scope{number}") for number in range(_WIDTH)]),
    )
)
_ANY = Prepared(
    select(resources.c.key)
    .where(
        resources.c.subscription_id == bindparam("subscription"), resources.c.type_key == bindparam("type")
    )
    .limit(1)
)
_BELOW = (
    select(*_FOUND)
    .where(
        resources.c.subscription_id == bindparam("subscription"),
        resources.c.type_key == TYPE,
        resources.c.key > bindparam("first"),
        resources.c.key < bindparam("last"),
    )
    .order_by(resources.c.key)
    .limit(MOST)
)


class Lock(NamedTuple):
    """A lock as it is found on the way of a write; ``document`` is its JSON envelope."""

    resource_id: str
    document: str


def at(connection: Connection, scopes: Sequence[str]) -> list[Lock]:
    """Return the locks at exactly these scopes, which are lower-case ids of one subscription."""
    found: list[Lock] = []
    # Most subscriptions have none, and that is quickly seen.
    if not scopes or _ANY.first(connection, {"subscription": scopes[0].split("/")[2], "type": TYPE}) is None:
        return found
    for start in range(0, len(scopes), _WIDTH):
        some = scopes[start : start + _WIDTH]
        names: dict[str, Any] = {
            f"scope{number}": some[min(number, len(some) - 1)] for number in range(_WIDTH)
        }
        found += [Lock(*row) for row in _AT.rows(connection, names | {"type": TYPE})]
    return found


def below(connection: Connection, scope: str) -> list[Lock]:
    """Return up to ``MOST`` locks at or under a scope, which is a lower-case id in a subscription."""
    # "0" follows "/": the range holds exactly the keys that begin with the scope and "/".
    place = {"subscription": scope.split("/")[2], "first": scope + "/", "last": scope + "0"}
    return [Lock(*row) for row in connection.execute(_BELOW, place)]


def listed(
    connection: Connection, above: Sequence[str], below: str | None, after: str, limit: int
) -> list[Stored]:
    """Return the locks at the scopes ``above`` and at or under the scope ``below``, in order of key."""
    places: list[ColumnElement[bool]] = [resources.c.parent_key.in_(list(above))]
    if below is not None:
        subscription = below.split("/")[2]
        places.append(
            and_(
                resources.c.subscription_id == subscription,
                resources.c.key > below + "/",
                resources.c.key < below + "0",
            )
        )
    statement = (
        select(resources)
        .where(resources.c.type_key == TYPE, or_(*places), resources.c.key > after)
        .order_by(resources.c.key)
        .limit(limit)
    )
    return [Stored._make(row) for row in connection.execute(statement)]
