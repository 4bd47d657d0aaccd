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


_LAST = Prepared(select(func.max(work.c.sequence)).where(work.c.machine_key == bindparam("machine")))
_ADD = Prepared(work.insert())


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
    """Add a thing to do, behind everything that the machine is asked already.

    And behind what it was asked, has not told the end of, and a store from a backup knows nothing
    of: that is why sequences follow the clock (milliseconds) and do not begin anew.
    """
    last = _LAST.first(connection, {"machine": machine_key})
    sequence = max((last[0] or 0) + 1, int(now * 1000))
    item = Item(work_id, machine_key, sequence, target_key, kind, content, now, None)
    _ADD.run(connection, item._asdict())
    machine_news.mark(connection, machine_key, machine_news.WORK)
    return item


_GET = Prepared(select(work).where(work.c.work_id == bindparam("one")))


def get(connection: Connection, work_id: str) -> Item | None:
    """Return the thing to do with this id; None: it has ended, or never was."""
    row = _GET.first(connection, {"one": work_id})
    return Item(*row) if row is not None else None


_OF_TARGET = Prepared(select(work).where(work.c.target_key == bindparam("target")).order_by(work.c.sequence))


def of_target(connection: Connection, target_key: str) -> list[Item]:
    """Return what is still to be done about a resource, the oldest first."""
    return [Item(*row) for row in _OF_TARGET.rows(connection, {"target": target_key})]


_OF_MACHINE = Prepared(
    select(work)
    .where(work.c.machine_key == bindparam("machine"))
    .order_by(work.c.sequence)
    .limit(bindparam("most"))
)


def of_machine(connection: Connection, machine_key: str, limit: int = 1000) -> list[Item]:
    """Return what a machine has still to do, the oldest first."""
    return [Item(*row) for row in _OF_MACHINE.rows(connection, {"machine": machine_key, "most": limit})]


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


_SET_FETCHED = Prepared(
    update(work)
    .where(work.c.work_id == bindparam("one"), work.c.fetched_at.is_(None))
    .values(fetched_at=bindparam("now"))
)


def set_fetched(connection: Connection, work_ids: list[str], now: float) -> None:
    """Note that the machine's agent holds these; the first time counts."""
    if work_ids:
        _SET_FETCHED.run_all(connection, [{"one": one, "now": now} for one in work_ids])


_SET_DETACHED = Prepared(
    update(work).where(work.c.work_id == bindparam("one")).values(detached_at=bindparam("now"))
)


def set_content(connection: Connection, work_ids: list[str], content: str) -> None:
    """Replace what is noted with these."""
    if work_ids:
        connection.execute(update(work).where(work.c.work_id.in_(work_ids)).values(content=content))


def set_detached(connection: Connection, work_id: str, now: float) -> None:
    """Note that the operation of an item has ended and its machine goes on."""
    _SET_DETACHED.run(connection, {"one": work_id, "now": now})


_REMOVE = Prepared(work.delete().where(work.c.work_id == bindparam("one")))


def remove(connection: Connection, work_ids: list[str]) -> None:
    """Forget these: they have ended."""
    if work_ids:
        _REMOVE.run_all(connection, [{"one": one} for one in work_ids])
