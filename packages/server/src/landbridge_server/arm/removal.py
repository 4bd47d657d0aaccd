"""Removing a resource: with everything below it, and with the roles assigned there."""

from __future__ import annotations

from landbridge_server.arm.registry import Registry
from landbridge_server.arm.resource_type import Effects, ResourceType
from landbridge_server.store import resources, role_assignments
from landbridge_server.store.database import Connection


def remove(connection: Connection, registry: Registry, key: str, effects: Effects) -> None:
    """Remove what has this lower-case id and all that lies below, the deepest first.

    Types for which removal matters take part. The transaction is the caller's; ``effects``
    are to be run once it is committed.
    """
    mattering = [
        kind.key for kind in registry.types() if isinstance(kind, ResourceType) and kind.removal_matters
    ]
    for stored in reversed(resources.below(connection, key, mattering)):
        kind = registry.find(stored.type_key)
        if isinstance(kind, ResourceType):
            kind.on_delete(connection, stored, effects)
    resources.remove_below(connection, key)
    role_assignments.remove_below(connection, key)
