"""What bounds sign-ins at all nodes together and over restarts: used assertions, counted attempts.

Names that were typed and the ids of assertions are kept as SHA-256 only: people type their
passwords into the wrong field. What has ended is removed by those who write later.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, bindparam, case, func, literal_column, select

from landbridge_server.store.prepared import Prepared
from landbridge_server.store.schema import sign_in_attempts, used_assertions

KEPT = 300.0
"""Seconds that something is kept beyond its end: the clocks of two nodes may differ."""


class Window(NamedTuple):
    """How many attempts were counted since a time."""

    started_at: float
    attempts: int


def _hash(*words: str) -> str:
    return hashlib.sha256("\0".join(words).encode("utf-8", "surrogatepass")).hexdigest()


def _sum(condition: ColumnElement[bool]) -> ColumnElement[int]:
    one: ColumnElement[int] = literal_column("1")
    none: ColumnElement[int] = literal_column("0")
    return func.coalesce(func.sum(case((condition, one), else_=none)), none)


# Every sign-in of every machine runs these: they are made once.
_USED = used_assertions.c
_LOOK = Prepared(
    select(
        _sum(_USED.assertion_hash == bindparam("hash")),
        _sum(_USED.ends_at > bindparam("now")),
        _sum(_USED.ends_at < bindparam("before")),
    ).where(_USED.owner == bindparam("owner"))
)
_USE = used_assertions.insert()
_FORGET = used_assertions.delete().where(_USED.ends_at < bindparam("before"))


def use_assertion(
    connection: Connection, owner: str, jti: str, ends_at: float, now: float, most: int
) -> bool:
    """Remember that an assertion was used.

    Says no when it was used before, or when ``most`` of its owner's have not ended.
    """
    digest, before = _hash(jti), now - KEPT
    looked = _LOOK.first(connection, {"owner": owner, "hash": digest, "now": now, "before": before})
    used, alive, ended = looked
    if ended:  # and so others may have some, too, that will never come again
        connection.execute(_FORGET, {"before": before})
    if used or alive >= most:
        return False
    connection.execute(_USE, {"owner": owner, "assertion_hash": digest, "ends_at": ends_at})
    return True


def window(connection: Connection, kind: str, name: str) -> Window | None:
    """Return the attempts of a kind that were counted for a name."""
    table = sign_in_attempts
    row = connection.execute(
        select(table.c.started_at, table.c.attempts).where(table.c.name_hash == _hash(kind, name))
    ).first()
    return Window(*row) if row is not None else None


def put_window(connection: Connection, kind: str, name: str, counted: Window, ends_at: float) -> None:
    """Replace what is counted for a name."""
    forget_window(connection, kind, name)
    connection.execute(
        sign_in_attempts.insert().values(name_hash=_hash(kind, name), ends_at=ends_at, **counted._asdict())
    )


def forget_window(connection: Connection, kind: str, name: str) -> None:
    """Forget what is counted for a name."""
    connection.execute(sign_in_attempts.delete().where(sign_in_attempts.c.name_hash == _hash(kind, name)))


def forget_ended_windows(connection: Connection, now: float) -> None:
    """Forget all that has ended."""
    connection.execute(sign_in_attempts.delete().where(sign_in_attempts.c.ends_at < now - KEPT))
