"""The state of a resource group: there, or leaving."""

from __future__ import annotations

import json

from landbridge_server.arm import etags
from landbridge_server.store import resources
from landbridge_server.store.database import Connection
from landbridge_server.store.resources import Stored


def mark_leaving(connection: Connection, stored: Stored) -> None:
    """Note that a group is being deleted: from now on nothing can be written in it."""
    _set(connection, stored, "Deleting")


def restore(connection: Connection, key: str) -> None:
    """Make a group that was leaving one like others again, if it is there."""
    stored = resources.get(connection, key)
    if stored is not None:
        _set(connection, stored, "Succeeded")


def _set(connection: Connection, stored: Stored, state: str) -> None:
    document = json.loads(stored.document)
    document["properties"]["provisioningState"] = state
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
    changed = stored._replace(document=text, etag=etags.new())
    resources.put(connection, changed, document.get("tags") or {}, is_new=False)
