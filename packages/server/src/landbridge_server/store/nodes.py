"""The nodes that share a store: who is alive, and what they tell one another.

A node lives as long as it beats. Its lease is judged by the database's clock alone, because
the clocks of two hosts differ. Only PostgreSQL has nodes.
"""

from __future__ import annotations

import uuid

from sqlalchemy import Connection, Float, cast, func, select, update

from landbridge_server.store import notices
from landbridge_server.store.machines import next_version
from landbridge_server.store.schema import mail, nodes, presence

MAIL_SECONDS = 60.0
"""How long a message may wait; whoever it was for is gone by then."""

_NOW = cast(func.extract("epoch", func.clock_timestamp()), Float)
_BEGAN = cast(func.extract("epoch", func.transaction_timestamp()), Float)
"""Before this transaction waited for other writers: what kept it waiting kept all nodes from beating."""


def beat(connection: Connection, node_id: str, address: str, now: float) -> bool:
    """Prolong a node's lease; return False if it had none: it is new, or was given up for dead."""
    values = {"address": address, "beat_at": _NOW, "clock_at": now}
    if connection.execute(update(nodes).where(nodes.c.node_id == node_id).values(**values)).rowcount:
        return True
    connection.execute(nodes.insert().values(node_id=node_id, **values))
    return False


def bury(connection: Connection, lease: float) -> list[str]:
    """Remove the nodes whose last beat is older than ``lease`` seconds, and return them.

    The machines that they held have departed with the node's last beat.
    """
    dead = connection.execute(
        select(nodes.c.node_id, nodes.c.clock_at).where(nodes.c.beat_at < _BEGAN - lease)
    ).all()
    for node_id, clock_at in dead:
        leave(connection, node_id, clock_at)
    if dead:
        connection.execute(mail.delete().where(mail.c.sent_at < _NOW - MAIL_SECONDS))
    return [node_id for node_id, _ in dead]


def leave(connection: Connection, node_id: str, now: float) -> None:
    """Remove a node, its mail, and its hold on machines, which depart at ``now``."""
    connection.execute(
        update(presence)
        .where(presence.c.holder == node_id)
        .values(holder=None, departed_at=now, version=next_version(connection))
    )
    connection.execute(mail.delete().where(mail.c.recipient == node_id))
    connection.execute(nodes.delete().where(nodes.c.node_id == node_id))
    notices.post(connection, "presence")


def alive(connection: Connection) -> list[str]:
    """Return the ids of all nodes."""
    return list(connection.execute(select(nodes.c.node_id).order_by(nodes.c.node_id)).scalars())


def send(connection: Connection, recipient: str, body: str) -> None:
    """Leave a message for a node and tell it so.

    It need not outlive a crash of the database, so nobody waits for the disk.
    """
    connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
    connection.execute(
        mail.insert().values(mail_id=uuid.uuid4().hex, recipient=recipient, body=body, sent_at=_NOW)
    )
    notices.post(connection, "mail", to=recipient)


def receive(connection: Connection, recipient: str) -> list[str]:
    """Take the messages for a node, the oldest first."""
    connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
    rows = connection.execute(
        mail.delete().where(mail.c.recipient == recipient).returning(mail.c.sent_at, mail.c.body)
    )
    return [body for _, body in sorted(tuple(row) for row in rows)]
