"""What the newest run of a resource has printed: two streams of bytes, kept in chunks.

A stream is kept from its beginning up to a limit; what comes behind that is only counted. Bytes
are appended: what is there already is dropped, and nothing is ever taken with a gap before it.
"""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, and_, bindparam, or_, select, update

from landbridge_server.store.prepared import Prepared
from landbridge_server.store.schema import output_chunks, output_streams

CHUNK = 64 * 1024
"""Bytes up to which small pieces are put together in one row."""


class Stream(NamedTuple):
    """How much of a stream there is: ``held`` bytes are kept of the ``total`` that were printed."""

    run: str
    held: int
    total: int


class Gap(ValueError):
    """Bytes between what is held and what came are missing; ``held`` is where to go on."""

    def __init__(self, held: int) -> None:
        """Say from where on bytes are missing."""
        super().__init__(held)
        self.held = held


_STREAM = Prepared(
    select(output_streams.c.run, output_streams.c.held, output_streams.c.total).where(
        output_streams.c.resource_key == bindparam("key"), output_streams.c.stream == bindparam("stream")
    )
)


def stream(connection: Connection, resource_key: str, name: str) -> Stream | None:
    """Return how much there is of a stream of a resource's newest run; None: nothing yet."""
    row = _STREAM.first(connection, {"key": resource_key, "stream": name})
    return Stream(*row) if row is not None else None


_ADD_STREAM = Prepared(output_streams.insert())
_SET_STREAM = Prepared(
    update(output_streams)
    .where(output_streams.c.resource_key == bindparam("key"), output_streams.c.stream == bindparam("name"))
    .values(held=bindparam("now_held"), total=bindparam("now_total"))
)


def append(
    connection: Connection, resource_key: str, run: str, name: str, offset: int, data: bytes, limit: int
) -> int:
    """Add what a run has printed from ``offset`` on, and return where the next bytes begin.

    Output of another run is forgotten. Once ``limit`` bytes are held, the end of what comes is
    counted, whatever its offset.

    Raises:
        Gap: bytes before ``offset`` are missing.
    """
    known = stream(connection, resource_key, name)
    if known is not None and known.run != run:
        remove_below(connection, resource_key)
        known = None
    held, total = (known.held, known.total) if known else (0, 0)
    if offset > held and held < limit:
        raise Gap(held)
    fresh = data[max(held - offset, 0) :][: limit - held] if held < limit else b""
    if fresh:
        _keep(connection, resource_key, name, held, fresh)
    end = Stream(run, held + len(fresh), max(total, offset + len(data)))
    if known is None:
        _ADD_STREAM.run(connection, {"resource_key": resource_key, "stream": name, **end._asdict()})
    elif end != known:
        place = {"key": resource_key, "name": name}
        _SET_STREAM.run(connection, place | {"now_held": end.held, "now_total": end.total})
    return end.total


_HERE = (output_chunks.c.resource_key == bindparam("key"), output_chunks.c.stream == bindparam("name"))
_LAST_CHUNK = Prepared(
    select(output_chunks.c.start, output_chunks.c.content)
    .where(*_HERE, output_chunks.c.start > bindparam("least"))
    .order_by(output_chunks.c.start.desc())
    .limit(1)
)
_SET_CHUNK = Prepared(
    update(output_chunks)
    .where(*_HERE, output_chunks.c.start == bindparam("begin"))
    .values(content=bindparam("joined"))
)
_ADD_CHUNK = Prepared(output_chunks.insert())


def _keep(connection: Connection, resource_key: str, name: str, held: int, fresh: bytes) -> None:
    """Write bytes behind those that are held, into the last row while that is small."""
    place = {"key": resource_key, "name": name}
    last = _LAST_CHUNK.first(connection, place | {"least": held - CHUNK})
    if last is not None and len(last[1]) + len(fresh) <= CHUNK:
        joined = bytes(last[1]) + fresh
        _SET_CHUNK.run(connection, place | {"begin": last[0], "joined": joined})
        return
    row = {"resource_key": resource_key, "stream": name, "start": held, "content": fresh}
    _ADD_CHUNK.run(connection, row)


def read(connection: Connection, resource_key: str, name: str, offset: int, count: int) -> bytes:
    """Return up to ``count`` bytes of what is held of a stream, from ``offset`` on."""
    here = (output_chunks.c.resource_key == resource_key) & (output_chunks.c.stream == name)
    first = select(output_chunks.c.start).where(here, output_chunks.c.start <= offset)
    begin = connection.execute(first.order_by(output_chunks.c.start.desc()).limit(1)).scalar()
    if begin is None:
        return b""
    within = (output_chunks.c.start >= begin) & (output_chunks.c.start < offset + count)
    query = select(output_chunks.c.content).where(here, within).order_by(output_chunks.c.start)
    found = b"".join(bytes(row[0]) for row in connection.execute(query))
    return found[offset - begin : offset - begin + count]


# "0" follows "/": the range holds exactly the keys that begin with the key and "/".
_REMOVE_BELOW = [
    Prepared(
        table.delete().where(
            or_(
                table.c.resource_key == bindparam("key"),
                and_(table.c.resource_key > bindparam("first"), table.c.resource_key < bindparam("last")),
            )
        )
    )
    for table in (output_chunks, output_streams)
]


def remove_below(connection: Connection, key: str) -> None:
    """Forget what a resource and everything under it has printed."""
    for one in _REMOVE_BELOW:
        one.run(connection, {"key": key, "first": key + "/", "last": key + "0"})
