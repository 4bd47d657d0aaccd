"""The subscriptions of all tenants."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, select

from landbridge_server.store.prepared import Prepared
from landbridge_server.store.schema import subscriptions


class Subscription(NamedTuple):
    """A subscription; ``subscription_id`` is a lower-case GUID."""

    subscription_id: str
    tenant_id: str
    display_name: str
    state: str
    created_at: float


_GET = Prepared(select(subscriptions).where(subscriptions.c.subscription_id == bindparam("subscription_id")))


def add(connection: Connection, subscription: Subscription) -> None:
    """Add a subscription."""
    connection.execute(subscriptions.insert().values(**subscription._asdict()))


def get(connection: Connection, subscription_id: str) -> Subscription | None:
    """Return the subscription with this id, in any casing."""
    row = _GET.first(connection, {"subscription_id": subscription_id.lower()})
    return Subscription(*row) if row is not None else None


def of_tenant(connection: Connection, tenant_id: str) -> list[Subscription]:
    """Return the subscriptions of a tenant, the oldest first."""
    rows = connection.execute(
        select(subscriptions)
        .where(subscriptions.c.tenant_id == tenant_id)
        .order_by(subscriptions.c.created_at, subscriptions.c.subscription_id)
    )
    return [Subscription(*row) for row in rows]


def everyone(connection: Connection, ids: Iterable[str] | None = None) -> list[Subscription]:
    """Return all subscriptions, or those with these ids, the oldest first."""
    query = select(subscriptions).order_by(subscriptions.c.created_at, subscriptions.c.subscription_id)
    if ids is not None:
        query = query.where(subscriptions.c.subscription_id.in_(list(ids)))
    return [Subscription(*row) for row in connection.execute(query)]
