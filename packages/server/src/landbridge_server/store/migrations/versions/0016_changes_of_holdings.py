"""changes of holdings."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

TABLES = ("role_assignments", "group_members")


def upgrade() -> None:
    op.create_table(
        "changes_of_holdings",
        sa.Column("only", sa.Integer(), nullable=False),
        sa.Column("changes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("only"),
    )
    if op.get_bind().dialect.name != "sqlite":
        return  # where nodes share the store nothing is remembered between two questions
    for table in TABLES:
        for event in ("INSERT", "UPDATE", "DELETE"):
            op.execute(  # names of this file, nobody else's
                f"CREATE TRIGGER {table}_{event.lower()}_changes_holdings AFTER {event} ON {table} BEGIN "  # noqa: S608
                "INSERT INTO changes_of_holdings (only, changes) VALUES (1, 1) "
                "ON CONFLICT (only) DO UPDATE SET changes = changes + 1; END"
            )
