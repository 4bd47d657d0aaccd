"""changed role assignments."""

import sqlalchemy as sa
from alembic import op

NAME = sa.String().with_variant(sa.String(collation="C"), "postgresql")

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("role_assignments", sa.Column("changed_at", sa.Float(), nullable=True))
    op.add_column("role_assignments", sa.Column("changed_by", NAME, nullable=True))
