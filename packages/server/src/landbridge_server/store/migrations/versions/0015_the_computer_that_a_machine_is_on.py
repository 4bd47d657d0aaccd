"""the computer that a machine is on."""

import sqlalchemy as sa
from alembic import op

NAME = sa.String().with_variant(sa.String(collation="C"), "postgresql")

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.add_column("machines", sa.Column("fingerprint", NAME, nullable=True))
