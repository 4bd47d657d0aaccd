from __future__ import annotations

import pytest

from landbridge_server.store import queries
from landbridge_server.store.database import Database
from landbridge_server.store.queries import Query, Tag


@pytest.fixture
def driver(tmp_path):
    db = Database(f"sqlite:///{tmp_path}/store.db")
    db.migrate()
    with db.reading() as connection:
        yield connection.connection.dbapi_connection
    db.close()


@pytest.mark.parametrize(
    ("conditions", "index"),
    [
        ({}, "resources_tracked"),
        ({"after": "x"}, "resources_tracked"),
        ({"equal": (("name", "x"),)}, "resources_by_name"),
        ({"equal": (("type", "x"),)}, "resources_by_type"),
        ({"equal": (("name", "x"), ("type", "y"))}, "resources_by_name"),
        ({"unequal": (("type", "x"),)}, "resources_tracked"),
        ({"contains": (("name", "x"),)}, "resources_tracked"),
        ({"tags": (Tag("city", "Bremen"),)}, "resource_tags_by_name"),
        ({"tags": (Tag("city"),)}, "resource_tags_by_name_alone"),
        ({"type_key": "t", "parent_key": "p"}, "resources_by_parent"),
        ({"type_key": "t", "group_key": "g"}, "resources_by_group"),
    ],
)
def test_every_list_walks_along_an_index_and_sorts_nothing(driver, conditions, index):
    query = Query(subscription_id="s", tracked="type_key" not in conditions, **conditions)
    parts = tuple(part for part, _ in queries._parts(query))
    statement = queries._prepared(("key", "document"), parts)
    rows = driver.execute("EXPLAIN QUERY PLAN " + statement._text, ["1"] * len(statement._order))
    plan = [row[3] for row in rows]
    assert f"INDEX {index} (" in plan[0], plan
    assert not any("TEMP B-TREE" in step for step in plan), plan
