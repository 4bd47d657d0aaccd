from __future__ import annotations

import pytest

from landbridge_server.store import groups, role_assignments, settings
from landbridge_server.store.database import Database
from landbridge_server.store.role_assignments import Assignment, Held, Wanted
from landbridge_server.store.schema import metadata


@pytest.fixture
def connection(tmp_path):
    db = Database(f"sqlite:///{tmp_path / 'store.db'}")
    metadata.create_all(db.engine)
    with db.writing() as opened:
        yield opened
    db.close()


def give(connection, scope, principal="p", role="r", tenant="t"):
    key = f"{scope.rstrip('/')}/{principal}/{role}"
    role_assignments.add(
        connection,
        Assignment(key, "n", scope, scope.lower(), tenant, role, principal, "User", "", 1.0, ""),
    )


def test_roles_are_found_at_any_number_of_scopes(connection):
    give(connection, "/")
    give(connection, "/a/29")
    give(connection, "/a/29", principal="other")
    scopes = ["/", *(f"/a/{number}" for number in range(30))]
    assert role_assignments.held_at(connection, "p", scopes) == [Held("/", "r", "t"), Held("/a/29", "r", "t")]
    assert role_assignments.held_at(connection, "p", ["/a"]) == []
    assert role_assignments.held_at(connection, "p", []) == []


def test_removing_below_spares_neighbours_with_a_similar_name(connection):
    for scope in ("/a", "/a/b", "/a0", "/a-b", "/"):
        give(connection, scope)
    role_assignments.remove_below(connection, "/a")
    left = role_assignments.held(connection, "p")
    assert sorted(one.scope_key for one in left) == ["/", "/a-b", "/a0"]


def test_lists_stay_in_the_tenant(connection):
    give(connection, "/")
    give(connection, "/", principal="other", tenant="u")
    give(connection, "/a/b")
    listed = role_assignments.listed(connection, Wanted("t", ("/",), "/"))
    assert sorted(one.scope for one in listed) == ["/", "/a/b"]
    assert [one.scope for one in role_assignments.listed(connection, Wanted("t", ("/",)))] == ["/"]


@pytest.fixture
def db(store_url):
    opened = Database(store_url)
    yield opened
    opened.close()


def test_every_change_of_who_holds_what_is_counted_in_an_embedded_store_and_nothing_else(db):
    """What is kept across commits is right only as long as these triggers are there."""

    def counted():
        return db.read(role_assignments.changes)

    def remove_assignment(connection):
        role_assignments.remove(connection, "/p/r")

    changes = [
        lambda connection: give(connection, "/"),
        lambda connection: role_assignments.describe(connection, "/p/r", "more", 1.0, "p"),
        remove_assignment,
        lambda connection: groups.add_member(connection, "g", "p"),
        lambda connection: groups.remove_member(connection, "g", "p"),
        lambda connection: groups.add_member(connection, "g", "p"),
        lambda connection: groups.remove(connection, "g"),
        lambda connection: give(connection, "/a/b"),
        lambda connection: role_assignments.remove_below(connection, "/a"),
        lambda connection: give(connection, "/"),
        lambda connection: role_assignments.remove_of_principal(connection, "p"),
    ]
    seen = [counted()]
    assert seen == [None]
    for change in changes:
        with db.writing() as connection:
            change(connection)
        seen.append(counted())
        with db.writing() as connection:
            settings.put(connection, "x", str(len(seen)))
        assert counted() == seen[-1]
    assert set(seen) == {None} if db.shared else len(set(seen)) == len(seen)


def test_within_a_write_nothing_is_counted_because_it_may_be_undone(db):
    with db.writing() as connection:
        give(connection, "/")
        assert role_assignments.changes(connection) is None
