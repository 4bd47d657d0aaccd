"""tokens of a principal end."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.add_column("principals", sa.Column("tokens_from", sa.Float(), nullable=True))
