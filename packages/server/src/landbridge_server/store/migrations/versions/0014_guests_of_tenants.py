"""guests of tenants."""

import sqlalchemy as sa
from alembic import op

NAME = sa.String().with_variant(sa.String(collation="C"), "postgresql")

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.create_table(
        "guests",
        sa.Column("object_id", NAME, nullable=False),
        sa.Column("tenant_id", NAME, nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("object_id", "tenant_id"),
    )
    op.create_index("guests_by_tenant", "guests", ["tenant_id", "created_at", "object_id"], unique=False)
