"""Which resource providers a subscription has registered, and since when."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, select

from landbridge_server.store.prepared import Prepared
from landbridge_server.store.schema import provider_registrations


class Registration(NamedTuple):
    """The last step that was asked for; what it means by now depends on the time."""

    subscription_id: str
    namespace_key: str
    state: str
    changed_at: float


_GET = Prepared(
    select(provider_registrations).where(
        provider_registrations.c.subscription_id == bindparam("subscription_id"),
        provider_registrations.c.namespace_key == bindparam("namespace_key"),
    )
)


def get(connection: Connection, subscription_id: str, namespace: str) -> Registration | None:
    """Return the registration of a namespace, in any casing; None when it was never registered."""
    key = {"subscription_id": subscription_id.lower(), "namespace_key": namespace.lower()}
    row = _GET.first(connection, key)
    return Registration(*row) if row is not None else None


def of_subscription(connection: Connection, subscription_id: str) -> dict[str, Registration]:
    """Return the registrations of a subscription by lower-case namespace."""
    rows = connection.execute(
        select(provider_registrations).where(
            provider_registrations.c.subscription_id == subscription_id.lower()
        )
    )
    return {row[1]: Registration(*row) for row in rows}


def put(connection: Connection, registration: Registration) -> None:
    """Write a registration, replacing an older one."""
    connection.execute(
        provider_registrations.delete().where(
            provider_registrations.c.subscription_id == registration.subscription_id,
            provider_registrations.c.namespace_key == registration.namespace_key,
        )
    )
    connection.execute(provider_registrations.insert().values(**registration._asdict()))


def add_registered(
    connection: Connection, subscription_id: str, namespaces: Iterable[str], now: float
) -> None:
    """Register namespaces at once, as for a new subscription."""
    for namespace in namespaces:
        put(connection, Registration(subscription_id.lower(), namespace.lower(), "Registered", now))
