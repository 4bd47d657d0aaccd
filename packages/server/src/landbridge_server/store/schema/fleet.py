"""The agents behind the machines, and the nodes that hold their channels."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, Table, Text

from landbridge_server.store.schema.columns import NAME, metadata

# The agent behind a machine: what is hot or secret-adjacent stays out of the document.
machines = Table(
    "machines",
    metadata,
    Column("machine_key", NAME, primary_key=True),
    Column("principal_id", NAME, nullable=False, unique=True),
    Column("vm_id", NAME, nullable=False),
    Column("enrolled_at", Float),  # empty until the first certificate was issued
    Column("facts", Text, nullable=False),  # JSON: properties reported by the agent
    Column("facts_digest", NAME, nullable=False),
    Column("fingerprint", NAME),  # of the computer that its agent first came from
)

# What machines were called before: whoever asks for such a name is told the new one.
former_names = Table(
    "former_names",
    metadata,
    Column("former_key", NAME, primary_key=True),
    Column("principal_id", NAME, nullable=False, index=True),  # its identity stays, whatever it is called
)

presence = Table(
    "presence",
    metadata,
    Column("machine_key", NAME, primary_key=True),
    Column("last_seen", Float, nullable=False),
    Column("departed_at", Float),  # when the control channel closed, empty while it is open
    Column("status_changed_at", Float, nullable=False),
    Column("agent_version", NAME, nullable=False),
    Column("holder", NAME),  # the node that holds the control channel, when nodes share the store
    Column("version", BigInteger, nullable=False, server_default="0"),  # grows with every write
    Index("presence_by_version", "version"),
)

certificates = Table(
    "certificates",
    metadata,
    Column("serial", NAME, primary_key=True),
    Column("principal_id", NAME, nullable=False, index=True),
    Column("thumbprint", NAME, nullable=False, unique=True),  # sha-256 of the DER, base64url
    Column("pem", Text, nullable=False),
    Column("not_before", Float, nullable=False),
    Column("not_after", Float, nullable=False),
    Column("revoked_at", Float),
)

# The nodes that serve this cloud together; empty when there is only one, on SQLite.
nodes = Table(
    "nodes",
    metadata,
    Column("node_id", NAME, primary_key=True),
    Column("address", NAME, nullable=False),  # for people: where its machines meet their callers
    Column("beat_at", Float, nullable=False),  # by the database's clock: the lease
    Column("clock_at", Float, nullable=False),  # the same moment by the node's own clock
)

# What one node asks another; a row lives for milliseconds.
mail = Table(
    "mail",
    metadata,
    Column("mail_id", NAME, primary_key=True),
    Column("recipient", NAME, nullable=False, index=True),  # node id
    Column("body", Text, nullable=False),  # JSON; holds secrets
    Column("sent_at", Float, nullable=False),
)
