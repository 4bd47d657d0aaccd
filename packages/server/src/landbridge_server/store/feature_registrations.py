"""Which features of providers a subscription has asked for, and since when."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, bindparam, select

from landbridge_server.store.prepared import Prepared
from landbridge_server.store.schema import feature_registrations


class Asked(NamedTuple):
    """The last step that was asked for; what it means by now depends on the time.

    ``feature_key`` is namespace/name in lower case; ``document`` is JSON.
    """

    subscription_id: str
    feature_key: str
    state: str
    changed_at: float
    document: str


_GET = Prepared(
    select(feature_registrations).where(
        feature_registrations.c.subscription_id == bindparam("subscription_id"),
        feature_registrations.c.feature_key == bindparam("feature_key"),
    )
)


def get(connection: Connection, subscription_id: str, feature: str) -> Asked | None:
    """Return what was asked about ``namespace/name``, in any casing; None: nothing ever."""
    key = {"subscription_id": subscription_id.lower(), "feature_key": feature.lower()}
    row = _GET.first(connection, key)
    return Asked(*row) if row is not None else None


def of_subscription(connection: Connection, subscription_id: str) -> dict[str, Asked]:
    """Return all that a subscription has asked, by lower-case ``namespace/name``."""
    rows = connection.execute(
        select(feature_registrations).where(
            feature_registrations.c.subscription_id == subscription_id.lower()
        )
    )
    return {row[1]: Asked(*row) for row in rows}


def put(connection: Connection, asked: Asked) -> None:
    """Write what is asked in place of what was asked before."""
    connection.execute(
        feature_registrations.delete().where(
            feature_registrations.c.subscription_id == asked.subscription_id,
            feature_registrations.c.feature_key == asked.feature_key,
        )
    )
    connection.execute(feature_registrations.insert().values(**asked._asdict()))
