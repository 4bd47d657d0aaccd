"""The activity log: events in the order of their time, the newest first; old ones go.

How each is linked to the one before: ``event_chain``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection, and_, or_, select

from landbridge_server.store.prepared import PreparedRows
from landbridge_server.store.schema import events


class Event(NamedTuple):
    """One event. Keys are in lower case; ``subscription_id`` is empty for events of the tenant.

    ``tenant_id`` is empty for what belongs to no tenant: only operators see it.
    """

    event_id: str
    at: float
    subscription_id: str
    tenant_id: str
    group_key: str
    resource_key: str
    provider_key: str
    correlation_id: str
    document: str


class Linked(NamedTuple):
    """An event in its place: ``sequence`` counts from 1, ``hash`` covers it and all before it."""

    sequence: int
    hash: str
    event: Event


@dataclass(frozen=True)
class Wanted:
    """Which events a list holds: of a subscription, or of a tenant; within a span of time.

    Empty members do not restrict. ``before`` is the last event already seen.
    """

    subscription_id: str
    tenant_id: str
    start: float
    end: float
    group_key: str = ""
    resource_key: str = ""
    provider_key: str = ""
    correlation_id: str = ""
    before: tuple[float, str] | None = None
    limit: int = 200


_ADD = PreparedRows(events)
_EVENT = tuple(events.c[name] for name in Event._fields)


def add(connection: Connection, rows: Sequence[Linked]) -> None:
    """Add events in their places.

    Raises:
        sqlalchemy.exc.IntegrityError: one of them, or its place, is there already.
    """
    if rows:
        _ADD.run(
            connection, [row.event._asdict() | {"sequence": row.sequence, "hash": row.hash} for row in rows]
        )


def known(connection: Connection, ids: Sequence[str]) -> frozenset[str]:
    """Return those of the ids that are there already."""
    found = connection.execute(select(events.c.event_id).where(events.c.event_id.in_(ids)))
    return frozenset(row[0] for row in found)


def find(connection: Connection, wanted: Wanted) -> list[Event]:
    """Return a page of events, the newest first."""
    conditions = [
        events.c.subscription_id == wanted.subscription_id,
        events.c.tenant_id == wanted.tenant_id,
        events.c.at >= wanted.start,
        events.c.at <= wanted.end,
    ]
    for column, value in (
        (events.c.group_key, wanted.group_key),
        (events.c.resource_key, wanted.resource_key),
        (events.c.provider_key, wanted.provider_key),
        (events.c.correlation_id, wanted.correlation_id),
    ):
        if value:
            conditions.append(column == value)
    if wanted.before is not None:
        at, event_id = wanted.before
        conditions.append(or_(events.c.at < at, and_(events.c.at == at, events.c.event_id < event_id)))
    query = (
        select(*_EVENT)
        .where(*conditions)
        .order_by(events.c.at.desc(), events.c.event_id.desc())
        .limit(wanted.limit)
    )
    return [Event(*row) for row in connection.execute(query)]


def chain(connection: Connection, after: int, most: int) -> list[Linked]:
    """Return the next ``most`` events after a place, in the order of the chain."""
    query = (
        select(events.c.sequence, events.c.hash, *_EVENT)
        .where(events.c.sequence > after)
        .order_by(events.c.sequence, events.c.event_id)
        .limit(most)
    )
    return [_linked(row) for row in connection.execute(query)]


def newest(connection: Connection, most: int) -> list[Linked]:
    """Return the last ``most`` events, in the order of the chain."""
    query = select(events.c.sequence, events.c.hash, *_EVENT).order_by(events.c.sequence.desc()).limit(most)
    return [_linked(row) for row in connection.execute(query)][::-1]


def hash_at(connection: Connection, sequence: int) -> str | None:
    """Return the hash that stands at a place, if anything does."""
    return connection.execute(select(events.c.hash).where(events.c.sequence == sequence)).scalar()


def first_since(connection: Connection, at: float, after: int, most: int) -> int | None:
    """Return the first place among ``most`` after ``after`` whose event is not older than ``at``."""
    beginning = (
        select(events.c.sequence, events.c.at)
        .where(events.c.sequence > after)
        .order_by(events.c.sequence)
        .limit(most)
        .subquery()
    )
    query = select(beginning.c.sequence).where(beginning.c.at >= at).order_by(beginning.c.sequence).limit(1)
    return connection.execute(query).scalar()


def remove_to(connection: Connection, sequence: int) -> None:
    """Forget the beginning of the log, up to and with a place."""
    connection.execute(events.delete().where(events.c.sequence <= sequence))


def _linked(row: Sequence[object]) -> Linked:
    sequence, text, *rest = row
    return Linked(int(str(sequence)), str(text), Event(*rest))  # type: ignore[arg-type]
