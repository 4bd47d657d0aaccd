"""tags by name alone."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_index(
        "resource_tags_by_name_alone", "resource_tags", ["name_key", "resource_key"], unique=False
    )
