"""what machines were called before."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    op.create_table(
        "former_names",
        sa.Column(
            "former_key", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "principal_id", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.PrimaryKeyConstraint("former_key"),
    )
    op.create_index(op.f("ix_former_names_principal_id"), "former_names", ["principal_id"], unique=False)
