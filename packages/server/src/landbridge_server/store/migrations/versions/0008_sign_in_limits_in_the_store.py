"""sign-in limits in the store."""

import sqlalchemy as sa
from alembic import op

NAME = sa.String().with_variant(sa.String(collation="C"), "postgresql")

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "used_assertions",
        sa.Column("owner", NAME, nullable=False),
        sa.Column("assertion_hash", NAME, nullable=False),
        sa.Column("ends_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "assertion_hash"),
    )
    op.create_index(op.f("ix_used_assertions_ends_at"), "used_assertions", ["ends_at"], unique=False)
    op.create_table(
        "sign_in_attempts",
        sa.Column("name_hash", NAME, nullable=False),
        sa.Column("started_at", sa.Float(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("ends_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("name_hash"),
    )
    op.create_index(op.f("ix_sign_in_attempts_ends_at"), "sign_in_attempts", ["ends_at"], unique=False)
