"""lists at any size."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

TRACKED: dict[str, Any] = {
    "sqlite_where": sa.text("tracked IS 1"),
    "postgresql_where": sa.text("tracked IS true"),
}

# How many rows there are, and how many have the same first, first two, ... columns of an index.
# SQLite knows nothing of that by itself, and takes each index for equally good.
LARGE = {
    ("resources", "sqlite_autoindex_resources_1"): "400000 1",
    ("resources", "resources_by_group"): "400000 200000 2000 700 1",
    ("resources", "resources_by_type"): "400000 200000 50000 1",
    ("resources", "resources_by_name"): "130000 60000 2 1",
    ("resources", "resources_tracked"): "130000 60000 1 1 1 1",
    ("resources", "resources_by_parent"): "400000 2 2 1",
    ("resource_tags", "sqlite_autoindex_resource_tags_1"): "400000 3 1",
    ("resource_tags", "resource_tags_by_name"): "400000 4000 400 1",
    ("resource_tags", "resource_tags_by_name_alone"): "400000 4000 1",
}


def upgrade() -> None:
    op.drop_index("resources_by_name", table_name="resources")
    op.drop_index("resources_tracked", table_name="resources")
    op.create_index(
        "resources_by_name", "resources", ["subscription_id", "name_key", "key"], unique=False, **TRACKED
    )
    op.create_index(
        "resources_tracked",
        "resources",
        ["subscription_id", "key", "type_key", "name_key", "location"],
        unique=False,
        **TRACKED,
    )
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("ANALYZE")  # makes the table, and nothing else while there are no rows
        connection.exec_driver_sql("DELETE FROM sqlite_stat1 WHERE tbl IN ('resources', 'resource_tags')")
        for (table, index), text in LARGE.items():
            connection.exec_driver_sql("INSERT INTO sqlite_stat1 VALUES (?, ?, ?)", (table, index, text))
