"""Members of resources that callers write and never read: sealed texts, apart from the documents."""

from __future__ import annotations

from sqlalchemy import Connection, or_, select

from landbridge_server.store.schema import protected


def put(connection: Connection, resource_key: str, sealed: str) -> None:
    """Keep the sealed text of a resource in place of any other; an empty one is none."""
    connection.execute(protected.delete().where(protected.c.resource_key == resource_key))
    if sealed:
        connection.execute(protected.insert().values(resource_key=resource_key, sealed=sealed))


def get(connection: Connection, resource_key: str) -> str:
    """Return the sealed text of a resource; empty when there is none."""
    query = select(protected.c.sealed).where(protected.c.resource_key == resource_key)
    return str(connection.execute(query).scalar() or "")


def remove_below(connection: Connection, key: str) -> None:
    """Forget what belongs to a resource and to everything under it."""
    column = protected.c.resource_key
    # "0" follows "/": the range holds exactly the keys that begin with the key and "/".
    under = (column > key + "/") & (column < key + "0")
    connection.execute(protected.delete().where(or_(column == key, under)))
