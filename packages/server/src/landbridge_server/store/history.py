"""Resources of which only the newest few are kept."""

from __future__ import annotations

from sqlalchemy import Connection, select

from landbridge_server.store.schema import resources


def beyond(connection: Connection, parent_key: str, type_key: str, keep: int) -> list[str]:
    """Return the keys of all but the ``keep`` newest resources of a type below a parent."""
    rows = connection.execute(
        select(resources.c.key)
        .where(resources.c.parent_key == parent_key, resources.c.type_key == type_key)
        .order_by(resources.c.created_at.desc(), resources.c.key)
        .offset(keep)
    )
    return [row[0] for row in rows]
