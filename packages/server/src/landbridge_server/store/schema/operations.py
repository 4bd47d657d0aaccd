"""What takes its time, what waits for machines, and what was done."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, LargeBinary, Table, Text

from landbridge_server.store.schema.columns import NAME, metadata

operations = Table(
    "operations",
    metadata,
    Column("operation_id", NAME, primary_key=True),
    Column("subscription_id", NAME, nullable=False),
    Column("kind", NAME, nullable=False),
    Column("target_id", NAME, nullable=False),
    Column("principal_id", NAME, nullable=False),
    Column("status", NAME, nullable=False, index=True),  # InProgress | Succeeded | Failed | Canceled
    Column("error", Text),  # JSON: the inner error object
    Column("started_at", Float, nullable=False),
    Column("ended_at", Float),
)

# What a machine is asked to do: one row until it has reported the end (docs/adr/0006).
work = Table(
    "work",
    metadata,
    Column("work_id", NAME, primary_key=True),  # id of the operation that ends with it
    Column("machine_key", NAME, nullable=False),
    Column("sequence", BigInteger, nullable=False),  # the order in which the machine gets its work
    Column("target_key", NAME, nullable=False),  # the resource that it is about
    Column("kind", NAME, nullable=False),  # apply | remove | the name of an action
    Column("content", Text, nullable=False),  # JSON: what the resource does not say; no secrets
    Column("created_at", Float, nullable=False),
    Column("fetched_at", Float),  # empty while no agent has it
    Column("detached_at", Float),  # since when the machine goes on although the operation has ended
    Index("work_by_machine", "machine_key", "sequence"),
    Index("work_by_target", "target_key"),
)

# Which machines have something new to fetch; a row goes when its machine has fetched.
machine_news = Table(
    "machine_news",
    metadata,
    Column("machine_key", NAME, primary_key=True),
    Column("kind", NAME, primary_key=True),  # work | assignments
    Column("version", BigInteger, nullable=False),  # grows with every change of any row
    Index("machine_news_by_version", "version"),
)

# What the newest run of a resource has printed: how much, and the bytes themselves.
output_streams = Table(
    "output_streams",
    metadata,
    Column("resource_key", NAME, primary_key=True),
    Column("stream", NAME, primary_key=True),  # stdout | stderr
    Column("run", NAME, nullable=False),  # id of the item of work that printed it
    Column("held", BigInteger, nullable=False),  # bytes in output_chunks
    Column("total", BigInteger, nullable=False),  # bytes printed, kept or not
)

output_chunks = Table(
    "output_chunks",
    metadata,
    Column("resource_key", NAME, primary_key=True),
    Column("stream", NAME, primary_key=True),
    Column("start", BigInteger, primary_key=True),  # offset of the first byte
    Column("content", LargeBinary, nullable=False),
)

# The activity log: who did what, and how it ended, each row linked to the one before
# (store/event_chain.py). Old rows go, from the beginning.
events = Table(
    "events",
    metadata,
    Column("event_id", NAME, primary_key=True),
    Column("at", Float, nullable=False),
    Column("subscription_id", NAME, nullable=False),  # empty: of the tenant
    Column("tenant_id", NAME, nullable=False),
    Column("group_key", NAME, nullable=False),
    Column("resource_key", NAME, nullable=False),
    Column("provider_key", NAME, nullable=False),  # lower-case namespace
    Column("correlation_id", NAME, nullable=False),
    Column("document", Text, nullable=False),  # JSON: the event as clients see it
    Column("sequence", BigInteger, nullable=False),  # the place in the chain, without gaps
    Column("hash", NAME, nullable=False),  # of the hash before, the sequence and all other columns
    Index("events_in_order", "sequence", unique=True),
    Index("events_by_subscription", "subscription_id", "at", "event_id"),
    Index("events_by_group", "subscription_id", "group_key", "at", "event_id"),
    Index("events_by_resource", "resource_key", "at", "event_id"),
    Index("events_by_correlation", "correlation_id", "at", "event_id"),
)
