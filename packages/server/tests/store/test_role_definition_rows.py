from __future__ import annotations

import pytest
from sqlalchemy.exc import IntegrityError

from landbridge_server.store import role_definitions
from landbridge_server.store.database import Database
from landbridge_server.store.role_definitions import Definition

FIRST = Definition("t", "a", "Mine", "mine", "", "[]", "[]", 1.0, "x", 1.0, "x")


@pytest.fixture
def db(store_url):
    opened = Database(store_url)
    with opened.writing() as connection:
        role_definitions.put(connection, FIRST, is_new=True)
    yield opened
    opened.close()


def test_a_role_is_found_by_guid_and_by_name_in_any_casing(db):
    assert db.read(lambda connection: role_definitions.get(connection, "t", "a")) == FIRST
    assert db.read(lambda connection: role_definitions.named(connection, "t", "MINE")) == FIRST
    assert db.read(lambda connection: role_definitions.get(connection, "other", "a")) is None
    assert db.read(lambda connection: role_definitions.named(connection, "other", "mine")) is None


def test_a_change_replaces_the_row_and_adds_none(db):
    with db.writing() as connection:
        role_definitions.put(connection, FIRST._replace(name="A", name_key="a"), is_new=False)
    assert db.read(lambda connection: role_definitions.count(connection, "t")) == 1
    assert [one.name for one in db.read(lambda connection: role_definitions.of_tenant(connection, "t"))] == [
        "A"
    ]


def test_roles_are_listed_by_name(db):
    with db.writing() as connection:
        role_definitions.put(
            connection, FIRST._replace(guid="b", name="First", name_key="first"), is_new=True
        )
        role_definitions.put(connection, FIRST._replace(guid="c", tenant_id="u"), is_new=True)
    found = db.read(lambda connection: role_definitions.of_tenant(connection, "t"))
    assert [one.name for one in found] == ["First", "Mine"]


def test_a_name_cannot_be_there_twice(db):
    with pytest.raises(IntegrityError), db.writing() as connection:
        role_definitions.put(connection, FIRST._replace(guid="b"), is_new=True)


def test_what_is_removed_is_gone(db):
    with db.writing() as connection:
        role_definitions.remove(connection, "t", "a")
    assert db.read(lambda connection: role_definitions.get(connection, "t", "a")) is None
