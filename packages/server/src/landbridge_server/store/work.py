"""What machines are asked to do: one row for each thing, until the machine has reported its end.

The order of ``sequence`` is the order in which a machine gets its work. A row that no agent
has fetched can still be taken back; one that was fetched ends with a report, or with the
machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, func, or_, select, update

from landbridge_server.store import machine_news
from landbridge_server.store.prepared import Prepared
from landbridge_server.store.schema import work


class Item(NamedTuple):
    """One thing to do. ``work_id`` is the id of the operation; ``content`` is JSON without secrets."""

    work_id: str
    machine_key: str
    sequence: int
    target_key: str
    kind: str
    content: str
    created_at: float
    fetched_at: float | None
    detached_at: float | None = None


def add(
    connection: Connection,
    *,
    work_id: str,
    machine_key: str,
    target_key: str,
    kind: str,
    content: str,
    now: float,
) -> Item:
    """Add a thing to do, behind everything that the machine is asked already."""
    last = connection.execute(
        select(func.max(work.c.sequence)).where(work.c.machine_key == machine_key)
    ).scalar()
    item = Item(work_id, machine_key, (last or 0) + 1, target_key, kind, content, now, None)
    connection.execute(work.insert(), item._asdict())
    machine_news.mark(connection, machine_key, machine_news.WORK)
    return item


def get(connection: Connection, work_id: str) -> Item | None:
    """Return the thing to do with this id; None: it has ended, or never was."""
    row = connection.execute(select(work).where(work.c.work_id == work_id)).first()
    return Item(*row) if row is not None else None


def of_target(connection: Connection, target_key: str) -> list[Item]:
    """Return what is still to be done about a resource, the oldest first."""
    query = select(work).where(work.c.target_key == target_key).order_by(work.c.sequence)
    return [Item(*row) for row in connection.execute(query)]


def of_machine(connection: Connection, machine_key: str, limit: int = 1000) -> list[Item]:
    """Return what a machine has still to do, the oldest first."""
    query = select(work).where(work.c.machine_key == machine_key).order_by(work.c.sequence).limit(limit)
    return [Item(*row) for row in connection.execute(query)]


def later(connection: Connection, machine_key: str, sequence: int, kinds: Sequence[str]) -> list[Item]:
    """Return what a machine was asked after ``sequence``, of these kinds only, the oldest first."""
    query = select(work).where(
        work.c.machine_key == machine_key, work.c.sequence > sequence, work.c.kind.in_(kinds)
    )
    return [Item(*row) for row in connection.execute(query.order_by(work.c.sequence))]


# One walk along the index. "0" follows "/": what is neither the key nor behind the key and "/"
# has a name that only begins alike.
_AT_OR_BELOW = Prepared(
    select(work).where(
        work.c.target_key >= bindparam("key"),
        work.c.target_key < bindparam("last"),
        or_(work.c.target_key == bindparam("key"), work.c.target_key > bindparam("first")),
    )
)


def at_or_below(connection: Connection, key: str) -> list[Item]:
    """Return what is still to be done about a resource and everything under it."""
    place = {"key": key, "first": key + "/", "last": key + "0"}
    return [Item(*row) for row in _AT_OR_BELOW.rows(connection, place)]


def set_fetched(connection: Connection, work_ids: list[str], now: float) -> None:
    """Note that the machine's agent holds these; the first time counts."""
    if work_ids:
        new = (work.c.work_id.in_(work_ids), work.c.fetched_at.is_(None))
        connection.execute(update(work).where(*new).values(fetched_at=now))


def set_detached(connection: Connection, work_id: str, now: float) -> None:
    """Note that the operation of an item has ended and its machine goes on."""
    connection.execute(update(work).where(work.c.work_id == work_id).values(detached_at=now))


def remove(connection: Connection, work_ids: list[str]) -> None:
    """Forget these: they have ended."""
    if work_ids:
        connection.execute(work.delete().where(work.c.work_id.in_(work_ids)))
