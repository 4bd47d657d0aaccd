"""Notices between the nodes that share a PostgreSQL: NOTIFY when they commit, LISTEN to hear.

A notice says only that there is news and where to look: it holds no secret, as everybody who
may connect to the database can listen, and it is far below PostgreSQL's 8000 bytes. One that
was missed costs time, never truth: what it points at is in the tables.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, text

from landbridge_server.store import postgresql

CHANNEL = "landbridge"
LIMIT = 7900
"""Bytes of a notice; one that were longer asks to read everything again."""

REREAD = "reread"
RETRY_SECONDS = 0.5

_NOTIFY = text("SELECT pg_notify(:channel, :payload)")


def post(connection: Connection, kind: str, **body: str) -> None:
    """Tell all nodes, this one included, once the transaction commits. No-op on SQLite."""
    if connection.dialect.name != "postgresql":
        return
    payload = json.dumps({"kind": kind} | body)
    if len(payload.encode()) > LIMIT:
        payload = json.dumps({"kind": REREAD})
    connection.execute(_NOTIFY, {"channel": CHANNEL, "payload": payload})


async def listen(
    url: str, on_notice: Callable[[dict[str, Any]], None], on_trouble: Callable[[str], None]
) -> None:
    """Hear notices until cancelled; connect again, for ever, when the connection is lost.

    ``on_notice`` gets ``{"kind": "reread"}`` after every connect: something may have been
    missed. ``on_trouble`` gets the text of an error when the connection is lost.
    """
    import psycopg  # only nodes that share a store need it

    known = postgresql.parsed(url)
    given = known.get_dialect()().create_connect_args(known)[1]
    alive = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "connect_timeout": 3}
    arguments: dict[str, Any] = {**given, **alive}
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(**arguments, autocommit=True) as connection:
                await connection.execute(f"LISTEN {CHANNEL}")
                on_notice({"kind": REREAD})
                async for notice in connection.notifies():
                    on_notice(_parsed(notice.payload))
        except psycopg.Error as error:
            on_trouble(" ".join(str(error).split()))
        await asyncio.sleep(RETRY_SECONDS)


def _parsed(payload: str) -> dict[str, Any]:
    try:
        found = json.loads(payload)
    except ValueError:
        found = None
    # Whoever may connect may also notify: what cannot be read is only a hint to look.
    return found if isinstance(found, dict) else {"kind": REREAD}
