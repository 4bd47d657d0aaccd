"""Registration of resource providers, per subscription.

``Registering`` becomes ``Registered`` by the passing of time, and ``Unregistering`` likewise:
the state is computed when somebody reads, so that no task can be late or lost.
"""

from __future__ import annotations

from landbridge_server.arm.registry import REGISTERED_AT_START, Provider
from landbridge_server.store import provider_registrations, subscriptions
from landbridge_server.store.database import Connection
from landbridge_server.store.provider_registrations import Registration
from landbridge_server.store.subscriptions import Subscription

SECONDS = 0.5
"""How long a change takes to show; clients poll for it."""

_BECOMES = {"Registering": "Registered", "Unregistering": "Unregistered"}
"""``az provider unregister --wait`` waits for exactly that word, without end."""


def state(registration: Registration | None, now: float) -> str:
    """Return NotRegistered, Registering, Registered, Unregistering or Unregistered."""
    if registration is None:
        return "NotRegistered"
    if now - registration.changed_at >= SECONDS:
        return _BECOMES.get(registration.state, registration.state)
    return registration.state


def takes_writes(registration: Registration | None, now: float) -> bool:
    """Say whether resources of a provider can be written; one that is registering already can."""
    return state(registration, now) in ("Registered", "Registering")


def is_registered(connection: Connection, subscription_id: str, provider: Provider, now: float) -> bool:
    """Say whether a provider takes writes in a subscription, or needs no registration."""
    if provider.free:
        return True
    return takes_writes(provider_registrations.get(connection, subscription_id, provider.namespace), now)


def register(connection: Connection, subscription_id: str, namespace: str, now: float) -> None:
    """Begin a registration; one that is there or under way stays as it is."""
    found = provider_registrations.get(connection, subscription_id, namespace)
    if state(found, now) in ("NotRegistered", "Unregistering", "Unregistered"):
        _put(connection, subscription_id, namespace, "Registering", now)


def unregister(connection: Connection, subscription_id: str, namespace: str, now: float) -> None:
    """Begin to end a registration, if there is one."""
    found = provider_registrations.get(connection, subscription_id, namespace)
    if state(found, now) in ("Registered", "Registering"):
        _put(connection, subscription_id, namespace, "Unregistering", now)


def _put(connection: Connection, subscription_id: str, namespace: str, wanted: str, now: float) -> None:
    row = Registration(subscription_id.lower(), namespace.lower(), wanted, now)
    provider_registrations.put(connection, row)


def create_subscription(
    connection: Connection, subscription_id: str, tenant_id: str, display_name: str, now: float
) -> Subscription:
    """Add a subscription with the registrations that every new one has."""
    made = Subscription(subscription_id.lower(), tenant_id, display_name, "Enabled", now)
    subscriptions.add(connection, made)
    provider_registrations.add_registered(connection, made.subscription_id, REGISTERED_AT_START, now)
    return made
