"""nodes that share a store."""

import sqlalchemy as sa
from alembic import op

NAME = sa.String().with_variant(sa.String(collation="C"), "postgresql")

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("presence", sa.Column("holder", NAME, nullable=True))
    op.add_column("presence", sa.Column("version", sa.BigInteger(), server_default="0", nullable=False))
    op.create_index("presence_by_version", "presence", ["version"], unique=False)
    op.create_table(
        "nodes",
        sa.Column("node_id", NAME, nullable=False),
        sa.Column("address", NAME, nullable=False),
        sa.Column("beat_at", sa.Float(), nullable=False),
        sa.Column("clock_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("node_id"),
    )
    op.create_table(
        "mail",
        sa.Column("mail_id", NAME, nullable=False),
        sa.Column("recipient", NAME, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("sent_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("mail_id"),
    )
    op.create_index(op.f("ix_mail_recipient"), "mail", ["recipient"], unique=False)
