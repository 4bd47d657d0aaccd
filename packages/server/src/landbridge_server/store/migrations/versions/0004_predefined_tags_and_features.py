"""predefined tags and features."""

import sqlalchemy as sa
from alembic import op

NAME = sa.String().with_variant(sa.String(collation="C"), "postgresql")

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "feature_registrations",
        sa.Column("subscription_id", NAME, nullable=False),
        sa.Column("feature_key", NAME, nullable=False),
        sa.Column("state", NAME, nullable=False),
        sa.Column("changed_at", sa.Float(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("subscription_id", "feature_key"),
    )
    op.create_table(
        "tag_names",
        sa.Column("subscription_id", NAME, nullable=False),
        sa.Column("name_key", NAME, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.PrimaryKeyConstraint("subscription_id", "name_key"),
    )
    op.create_table(
        "tag_values",
        sa.Column("subscription_id", NAME, nullable=False),
        sa.Column("name_key", NAME, nullable=False),
        sa.Column("value", NAME, nullable=False),
        sa.PrimaryKeyConstraint("subscription_id", "name_key", "value"),
    )
