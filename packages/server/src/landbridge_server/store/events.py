"""The activity log: events in the order of their time, the newest first; old ones go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection, and_, or_, select

from landbridge_server.store.prepared import PreparedRows
from landbridge_server.store.schema import events


class Event(NamedTuple):
    """One event. Keys are in lower case; ``subscription_id`` is empty for events of the tenant."""

    event_id: str
    at: float
    subscription_id: str
    tenant_id: str
    group_key: str
    resource_key: str
    provider_key: str
    correlation_id: str
    document: str


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


def add(connection: Connection, batch: Sequence[Event]) -> None:
    """Add events; one that is there already stays as it is."""
    if not batch:
        return
    ids = [one.event_id for one in batch]
    known = {
        row[0] for row in connection.execute(select(events.c.event_id).where(events.c.event_id.in_(ids)))
    }
    fresh = [one._asdict() for one in batch if one.event_id not in known]
    if fresh:
        _ADD.run(connection, fresh)


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
        select(events)
        .where(*conditions)
        .order_by(events.c.at.desc(), events.c.event_id.desc())
        .limit(wanted.limit)
    )
    return [Event(*row) for row in connection.execute(query)]


def prune(connection: Connection, before: float, most: int) -> None:
    """Forget events from before a time, and the oldest of more than ``most``."""
    connection.execute(events.delete().where(events.c.at < before))
    oldest = connection.execute(
        select(events.c.at).order_by(events.c.at.desc()).offset(most).limit(1)
    ).scalar()
    if oldest is not None:
        connection.execute(events.delete().where(events.c.at <= oldest))
