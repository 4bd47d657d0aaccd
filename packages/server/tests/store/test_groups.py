from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landbridge_server.store import groups, principals
from landbridge_server.store.database import Database
from landbridge_server.store.groups import Group
from landbridge_server.store.principals import Principal


@pytest.fixture
def connection(store_url):
    db = Database(store_url)
    with db.writing() as opened:
        yield opened
    db.close()


def group(name: str) -> Group:
    return Group(name, "t", name.upper(), name, name, "{}", 1.0)


def test_a_group_is_read_as_it_was_written(connection):
    groups.add(connection, group("a"))
    assert groups.get(connection, "a") == group("a")
    groups.replace(connection, group("a")._replace(display_name="Other", name_key="other"))
    assert groups.get(connection, "a").display_name == "Other"
    assert groups.get(connection, "b") is None


def test_membership_counts_through_any_number_of_groups(connection):
    for outer, inner in (("a", "b"), ("b", "c"), ("c", "anna"), ("d", "anna"), ("e", "other")):
        groups.add_member(connection, outer, inner)
    assert groups.transitive_groups_of(connection, "anna") == {"a", "b", "c", "d"}
    assert groups.groups_of(connection, "anna") == ["c", "d"]
    assert groups.transitive_groups_of(connection, "nobody") == set()
    assert groups.transitive_members_of(connection, "a", "", 10) == ["anna", "b", "c"]
    assert groups.transitive_members_of(connection, "a", "anna", 1) == ["b"]


def test_cycles_end(connection):
    for outer, inner in (("a", "b"), ("b", "a"), ("a", "a"), ("b", "anna")):
        groups.add_member(connection, outer, inner)
    assert groups.transitive_groups_of(connection, "anna") == {"a", "b"}
    assert groups.transitive_groups_of(connection, "a") == {"a", "b"}
    assert groups.transitive_members_of(connection, "a", "", 10) == ["a", "anna", "b"]


def test_members_are_listed_in_pages(connection):
    for name in ("c", "a", "b"):
        groups.add_member(connection, "g", name)
    assert groups.members_of(connection, "g", "", 2) == ["a", "b"]
    assert groups.members_of(connection, "g", "b", 2) == ["c"]
    assert groups.count_members(connection, "g") == 3


def test_a_member_can_be_taken_out(connection):
    groups.add_member(connection, "g", "anna")
    assert groups.has_member(connection, "g", "anna")
    groups.remove_member(connection, "g", "anna")
    assert not groups.has_member(connection, "g", "anna")


def test_a_group_that_is_removed_leaves_no_membership(connection):
    groups.add(connection, group("g"))
    groups.add_member(connection, "g", "anna")
    groups.add_member(connection, "outer", "g")
    groups.remove(connection, "g")
    assert groups.get(connection, "g") is None
    assert groups.transitive_groups_of(connection, "anna") == set()
    assert groups.members_of(connection, "outer", "", 9) == []


def test_a_principal_that_is_removed_is_in_no_group(connection):
    anna = Principal("anna", "t", principals.USER, "Anna", "anna@x", "anna@x", None, None, True, 1.0)
    principals.add(connection, anna)
    groups.add_member(connection, "g", "anna")
    principals.remove(connection, "anna")
    assert groups.members_of(connection, "g", "", 9) == []


NAMES = st.integers(0, 6).map(str)


@settings(max_examples=60, deadline=None)
@given(edges=st.sets(st.tuples(NAMES, NAMES), max_size=20), who=NAMES)
def test_the_closure_is_what_walking_finds(tmp_path_factory, edges, who):
    db = Database(f"sqlite:///{tmp_path_factory.mktemp('closure') / 'store.db'}")
    try:
        db.migrate()
        with db.writing() as connection:
            for outer, inner in edges:
                groups.add_member(connection, outer, inner)
            found: set[str] = set()
            frontier = {who}
            while frontier:
                frontier = {outer for outer, inner in edges if inner in frontier} - found
                found |= frontier
            assert groups.transitive_groups_of(connection, who) == found
    finally:
        db.close()
