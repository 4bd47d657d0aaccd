from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landbridge_server.store import resources
from landbridge_server.store.database import Database
from landbridge_server.store.resources import Query, Stored, Tag
from landbridge_server.store.schema import metadata

SUBSCRIPTION = "/subscriptions/s"


def row(key, type_key="ns/type", tracked=True, **more):
    parts = key.split("/")
    values = {
        "key": key,
        "resource_id": key,
        "subscription_id": "s",
        "group_key": parts[4] if len(parts) > 4 else "",
        "type_key": type_key,
        "name_key": parts[-1],
        "parent_key": "/".join(parts[:-2]),
        "tracked": tracked,
        "location": "local",
        "document": "{}",
        "etag": '"1"',
        "created_at": 1.0,
        "changed_at": 1.0,
    }
    return Stored(**(values | more))


@pytest.fixture
def connection(tmp_path):
    db = Database(f"sqlite:///{tmp_path / 'store.db'}")
    metadata.create_all(db.engine)
    with db.writing() as opened:
        yield opened
    db.close()


def put(connection, key, tags=None, **more):
    resources.put(connection, row(key, **more), tags or {}, is_new=True)


def found(connection, **query):
    return [one.name_key for one in resources.find(connection, Query(**query))]


G = f"{SUBSCRIPTION}/resourcegroups/g"


def test_below_holds_children_and_extensions_but_no_neighbour_with_a_similar_name(connection):
    for key in (
        f"{G}/x/a",
        f"{G}/x/a/y/b",
        f"{G}/x/a/providers/e/f",
        f"{G}/x/a0",
        f"{G}/x/a-b",
        f"{G}/x/a.",
        f"{G}0/x/a",
    ):
        put(connection, key)
    keys = [one.key for one in resources.below(connection, f"{G}/x/a")]
    assert keys == [f"{G}/x/a", f"{G}/x/a/providers/e/f", f"{G}/x/a/y/b"]
    resources.remove_below(connection, f"{G}/x/a")
    assert found(connection, below=G) == ["a-b", "a.", "a0"]
    assert found(connection, subscription_id="s") == ["a-b", "a.", "a0", "a"]


def test_removing_takes_the_tags_along(connection):
    put(connection, f"{G}/x/a", {"Env": "prod"})
    put(connection, f"{G}/x/b", {"env": "prod"})
    resources.remove_below(connection, f"{G}/x/a")
    put(connection, f"{G}/x/a")
    assert found(connection, tags=(Tag("ENV", "prod"),)) == ["b"]


def test_writing_again_replaces_the_tags(connection):
    put(connection, f"{G}/x/a", {"one": "1"})
    resources.put(connection, row(f"{G}/x/a"), {"two": "2"}, is_new=False)
    assert found(connection, tags=(Tag("one"),)) == []
    assert found(connection, tags=(Tag("two"),)) == ["a"]


def test_scopes_restrict_a_list_to_their_groups_and_resources(connection):
    for key in (f"{G}/x/a", f"{G}/x/b", f"{G}2/x/c"):
        put(connection, key)
    assert found(connection, within=(f"{G}/x/b", f"{G}2")) == ["b", "c"]
    assert found(connection, within=()) == []


@settings(max_examples=25, deadline=None)
@given(st.sets(st.text("abc-_.", min_size=1, max_size=4), max_size=12), st.integers(1, 5))
def test_pages_together_hold_every_row_once(tmp_path_factory, names, limit):
    db = Database(f"sqlite:///{tmp_path_factory.mktemp('pages') / 'store.db'}")
    metadata.create_all(db.engine)
    with db.writing() as connection:
        for name in names:
            put(connection, f"{G}/x/{name}")
        seen, after = [], ""
        while rows := resources.find(connection, Query(subscription_id="s", after=after, limit=limit)):
            seen += [one.name_key for one in rows]
            after = rows[-1].key
    db.close()
    assert seen == sorted(names)


def test_a_namespace_is_in_use_while_one_of_its_types_is(connection):
    put(connection, f"{G}/x/a", type_key="microsoft.hybridcompute/machines")
    assert resources.any_of_namespace(connection, "s", "Microsoft.HybridCompute")
    assert not resources.any_of_namespace(connection, "s", "Microsoft.Hybrid")
    assert not resources.any_of_namespace(connection, "t", "Microsoft.HybridCompute")
