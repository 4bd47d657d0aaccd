"""extensions that were asked to upgrade."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    op.create_table(
        "extension_upgrades",
        sa.Column(
            "resource_key", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "version", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("asked_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("resource_key"),
    )
    op.create_index(op.f("ix_extension_upgrades_asked_at"), "extension_upgrades", ["asked_at"], unique=False)
