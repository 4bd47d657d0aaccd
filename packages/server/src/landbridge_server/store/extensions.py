"""Published packages of extensions: their rows, and their bytes in chunks.

A package may have gigabytes, and writers take turns: so its bytes come, and go, in many short
transactions, and only a row that is ``PUBLISHED`` exists for anybody. What a process that was
killed has left is found by its state and its age (``stale``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, select, update

from landbridge_server.store.prepared import Prepared
from landbridge_server.store.schema import extension_chunks, extension_packages

COMING, PUBLISHED, GOING = "coming", "published", "going"

CHUNK = 256 * 1024
"""Bytes of each chunk but the last; what one read of a download holds."""


class Package(NamedTuple):
    """A package. ``seal`` is over all that is said about it; ``digest`` is SHA-256 in hex."""

    package_id: str
    state: str
    published_key: str | None
    publisher: str
    type: str
    name_key: str
    version: str
    digest: str
    size: int
    seal: str
    touched_at: float


def begin(
    connection: Connection, package_id: str, publisher: str, kind: str, version: str, now: float
) -> None:
    """Make the row of a package whose bytes are to come."""
    name_key = f"{publisher}/{kind}".lower()
    row = Package(package_id, COMING, None, publisher, kind, name_key, version, "", 0, "", now)
    connection.execute(extension_packages.insert(), row._asdict())


def add(connection: Connection, package_id: str, start: int, content: bytes, now: float) -> bool:
    """Add bytes that begin at ``start``, a multiple of ``CHUNK``; False: somebody tidied the package away."""
    touched = connection.execute(
        update(extension_packages)
        .where(extension_packages.c.package_id == package_id, extension_packages.c.state == COMING)
        .values(touched_at=now)
    )
    if touched.rowcount != 1:
        return False
    for offset in range(0, len(content), CHUNK):
        row = {
            "package_id": package_id,
            "start": start + offset,
            "content": content[offset : offset + CHUNK],
        }
        connection.execute(extension_chunks.insert(), row)
    return True


def publish(
    connection: Connection, package_id: str, key: str, digest: str, size: int, seal: str, now: float
) -> bool:
    """Let everybody see a package that is whole; ``key`` is what only one may have. False: it is gone."""
    done = connection.execute(
        update(extension_packages)
        .where(extension_packages.c.package_id == package_id, extension_packages.c.state == COMING)
        .values(state=PUBLISHED, published_key=key, digest=digest, size=size, seal=seal, touched_at=now)
    )
    return done.rowcount == 1


def withdraw(connection: Connection, package_id: str, now: float) -> None:
    """Have a package exist for nobody any more; its bytes are still to be removed."""
    connection.execute(
        update(extension_packages)
        .where(extension_packages.c.package_id == package_id)
        .values(state=GOING, published_key=None, touched_at=now)
    )


def with_key(connection: Connection, key: str) -> Package | None:
    """Return the published package that has this key."""
    return _first(connection, extension_packages.c.published_key == key)


def get(connection: Connection, package_id: str) -> Package | None:
    """Return a package in whatever state."""
    return _first(connection, extension_packages.c.package_id == package_id)


def _first(connection: Connection, condition: object) -> Package | None:
    row = connection.execute(select(extension_packages).where(condition)).first()  # type: ignore[arg-type]
    return Package(*row) if row is not None else None


def everyone(connection: Connection) -> list[Package]:
    """Return all published packages, by name; versions in no order."""
    query = (
        select(extension_packages)
        .where(extension_packages.c.state == PUBLISHED)
        .order_by(extension_packages.c.name_key)
    )
    return [Package(*row) for row in connection.execute(query)]


_NAMED = Prepared(
    select(extension_packages).where(
        extension_packages.c.name_key == bindparam("name_key"),
        extension_packages.c.state == PUBLISHED,
    )
)


def named(connection: Connection, name_key: str) -> list[Package]:
    """Return the published packages of ``publisher/type`` in lower case, in no order."""
    return [Package(*row) for row in _NAMED.rows(connection, {"name_key": name_key})]


def stale(connection: Connection, before: float) -> list[Package]:
    """Return what never became, or is no longer, published and was not touched since ``before``."""
    query = select(extension_packages).where(
        extension_packages.c.state != PUBLISHED, extension_packages.c.touched_at < before
    )
    return [Package(*row) for row in connection.execute(query)]


def discard(connection: Connection, package_id: str, limit: int) -> bool:
    """Remove up to ``limit`` chunks of a package that is not published; True: nothing is left of it."""
    found = get(connection, package_id)
    if found is None or found.state == PUBLISHED:
        return True
    first = select(extension_chunks.c.start).where(extension_chunks.c.package_id == package_id)
    starts: Sequence[int] = list(
        connection.execute(first.order_by(extension_chunks.c.start).limit(limit)).scalars()
    )
    if starts:
        connection.execute(
            delete(extension_chunks).where(
                extension_chunks.c.package_id == package_id, extension_chunks.c.start <= starts[-1]
            )
        )
    if len(starts) == limit:
        return False
    connection.execute(delete(extension_packages).where(extension_packages.c.package_id == package_id))
    return True


_CHUNK = Prepared(
    select(extension_chunks.c.content).where(
        extension_chunks.c.package_id == bindparam("package_id"),
        extension_chunks.c.start == bindparam("start"),
    )
)


def chunk(connection: Connection, package_id: str, start: int) -> bytes | None:
    """Return the chunk that begins at ``start``; None: it is gone."""
    row = _CHUNK.first(connection, {"package_id": package_id, "start": start})
    return bytes(row[0]) if row is not None else None
