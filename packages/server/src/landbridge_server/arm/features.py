"""The state of a feature in a subscription: computed from what was asked, and when.

Every feature is approved by itself: ``Registering`` becomes ``Registered`` by the passing of
time, as for providers. Whoever depends on a feature asks ``is_on``.
"""

from __future__ import annotations

from landbridge_server.arm.registrations import SECONDS
from landbridge_server.store import feature_registrations
from landbridge_server.store.database import Connection
from landbridge_server.store.feature_registrations import Asked

_BECOMES = {"Registering": "Registered", "Unregistering": "Unregistered"}


def state(asked: Asked | None, now: float) -> str:
    """Return NotRegistered, Registering, Registered, Unregistering or Unregistered."""
    if asked is None:
        return "NotRegistered"
    return _BECOMES[asked.state] if now - asked.changed_at >= SECONDS else asked.state


def is_asked(asked: Asked | None) -> bool:
    """Say whether the last word about a feature was to register it."""
    return asked is not None and asked.state == "Registering"


def is_on(connection: Connection, subscription_id: str, feature: str, now: float) -> bool:
    """Say whether a feature (``namespace/name``) works in a subscription."""
    return state(feature_registrations.get(connection, subscription_id, feature), now) == "Registered"
