"""the activity log is a chain."""

import hashlib

import msgspec
import sqlalchemy as sa
from alembic import op

NAME = sa.String().with_variant(sa.String(collation="C"), "postgresql")
COLUMNS = (
    "event_id",
    "at",
    "subscription_id",
    "tenant_id",
    "group_key",
    "resource_key",
    "provider_key",
    "correlation_id",
    "document",
)
BATCH = 1000

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    # The defaults are for the rows that are there, until the next lines link them.
    op.add_column("events", sa.Column("sequence", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("events", sa.Column("hash", NAME, nullable=False, server_default=""))
    _link()
    op.drop_index("events_by_age", "events")
    op.create_index("events_in_order", "events", ["sequence"], unique=True)


def _link() -> None:
    connection = op.get_bind()
    events = sa.table("events", sa.column("sequence"), sa.column("hash"), *map(sa.column, COLUMNS))
    place = (
        events.update()
        .where(events.c.event_id == sa.bindparam("which"))
        .values(sequence=sa.bindparam("place"), hash=sa.bindparam("linked"))
    )
    wanted = sa.select(*(events.c[name] for name in COLUMNS)).order_by(events.c.at, events.c.event_id)
    sequence, previous = 0, ""
    last: tuple[float, str] | None = None
    while True:
        page = wanted.limit(BATCH)
        if last is not None:
            at, event_id = last
            later = sa.and_(events.c.at == at, events.c.event_id > event_id)
            page = page.where(sa.or_(events.c.at > at, later))
        rows = connection.execute(page).all()
        if not rows:
            return
        links = []
        for row in rows:
            sequence += 1
            content = msgspec.json.encode([previous, sequence, *row])
            previous = hashlib.sha256(content).hexdigest()
            links.append({"which": row[0], "place": sequence, "linked": previous})
        connection.execute(place, links)
        last = (rows[-1][1], rows[-1][0])
