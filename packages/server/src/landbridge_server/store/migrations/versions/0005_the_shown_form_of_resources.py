"""the shown form of resources."""

import sqlalchemy as sa
from alembic import op

NAME = sa.String().with_variant(sa.String(collation="C"), "postgresql")

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    # Empty for what is there: it is made when somebody reads, and kept with the next write.
    op.add_column("resources", sa.Column("shown", sa.LargeBinary(), nullable=True))
    op.add_column("resources", sa.Column("shown_etag", NAME, nullable=True))
