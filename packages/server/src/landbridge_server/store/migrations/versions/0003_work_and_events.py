"""work for machines, what is protected, and the activity log."""

import sqlalchemy as sa
from alembic import op

NAME = sa.String().with_variant(sa.String(collation="C"), "postgresql")

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "work",
        sa.Column("work_id", NAME, nullable=False),
        sa.Column("machine_key", NAME, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("target_key", NAME, nullable=False),
        sa.Column("kind", NAME, nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("fetched_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("work_id"),
    )
    op.create_index("work_by_machine", "work", ["machine_key", "sequence"], unique=False)
    op.create_index("work_by_target", "work", ["target_key"], unique=False)
    op.create_table(
        "protected",
        sa.Column("resource_key", NAME, nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("resource_key"),
    )
    op.create_table(
        "events",
        sa.Column("event_id", NAME, nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("subscription_id", NAME, nullable=False),
        sa.Column("tenant_id", NAME, nullable=False),
        sa.Column("group_key", NAME, nullable=False),
        sa.Column("resource_key", NAME, nullable=False),
        sa.Column("provider_key", NAME, nullable=False),
        sa.Column("correlation_id", NAME, nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("event_id"),
    )
    op.create_index("events_by_age", "events", ["at"], unique=False)
    op.create_index("events_by_subscription", "events", ["subscription_id", "at", "event_id"], unique=False)
    op.create_index(
        "events_by_group", "events", ["subscription_id", "group_key", "at", "event_id"], unique=False
    )
    op.create_index("events_by_resource", "events", ["resource_key", "at", "event_id"], unique=False)
    op.create_index("events_by_correlation", "events", ["correlation_id", "at", "event_id"], unique=False)
