"""The shown form of a resource: what readers see, kept ready beside the document.

Some resources show more than their writers decided: what a machine's agent reported is
merged in. To merge for each reader would decode and encode every row of every list. So it is
merged when one of its parts is written, and kept as bytes; a list is then a matter of
copying. What changes without a write, such as a machine's status, is computed when somebody
reads, and comes last: what is kept is the JSON without its end.

Kept bytes belong to the document that had their ETag. Bytes with another one are older than
the document, whoever wrote that: they are made anew for each reader until the next write.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from landbridge_server.store import queries, resources
from landbridge_server.store.database import Connection
from landbridge_server.store.resources import Stored

COLUMNS = ("key", queries.SHOWN)
"""What ``page`` needs of each row."""

Row = tuple[str, bytes | None]

_decode = msgspec.json.decode


class Showing(Protocol):
    """What a type does whose resources have a shown form."""

    def shown(self, connection: Connection, key: str, document: dict[str, object]) -> bytes:
        """Return the JSON of a resource without its end."""

    def computed(self, keys: Sequence[str]) -> list[bytes]:
        """Return the end of the JSON of each of these resources."""


def ready(kind: Showing, stored: Stored) -> bytes | None:
    """Return the JSON of a resource as readers see it now; None when it must be made by ``one``."""
    if stored.shown is None or stored.shown_etag != stored.etag:
        return None
    return stored.shown + kind.computed([stored.key])[0]


def one(kind: Showing, connection: Connection, stored: Stored) -> bytes:
    """Return the JSON of a resource as readers see it now, whatever is kept."""
    kept = kind.shown(connection, stored.key, _decode(stored.document))
    return kept + kind.computed([stored.key])[0]


def page(kind: Showing, connection: Connection, rows: Sequence[Row]) -> bytes:
    """Return the JSON of resources as readers see them now, with commas in between."""
    kept = [row[1] for row in rows]
    if None in kept:
        kept = [row[1] or _made(kind, connection, row[0]) for row in rows]
    pieces: list[bytes] = [b","] * (3 * len(rows))
    pieces[0::3] = kept  # type: ignore[assignment]
    pieces[1::3] = kind.computed([row[0] for row in rows])
    return b"".join(pieces[:-1])


def _made(kind: Showing, connection: Connection, key: str) -> bytes:
    stored = resources.get(connection, key)
    if stored is None:
        raise LookupError(f"{key} is gone within one view.")
    return kind.shown(connection, key, _decode(stored.document))
