from __future__ import annotations

import pytest

from landbridge_server.store import groups, holders, principals
from landbridge_server.store.database import Database
from landbridge_server.store.groups import Group


@pytest.fixture
def connection(store_url):
    db = Database(store_url)
    with db.writing() as opened:
        for object_id, kind, user_name, app_id in (
            ("u1", "User", "Anna@Cloud.Example", None),
            ("sp1", "ServicePrincipal", None, "app-1"),
            ("mi1", "ManagedIdentity", None, "app-2"),
        ):
            row = dict.fromkeys(principals.Principal._fields) | {
                "object_id": object_id,
                "tenant_id": "t",
                "kind": kind,
                "display_name": f"The {object_id}",
                "user_name": user_name,
                "user_name_key": user_name and user_name.lower(),
                "app_id": app_id,
                "enabled": object_id != "mi1",
                "created_at": 0.0,
            }
            if "name_key" in row:
                row["name_key"] = f"the {object_id}"
            principals.add(opened, principals.Principal(**row))
        groups.add(opened, Group("g1", "t", "The SP1", "the sp1", "g", "{}", 0.0))
        yield opened
    db.close()


@pytest.mark.parametrize(
    ("object_id", "principal_type", "label", "enabled"),
    [
        ("u1", "User", "Anna@Cloud.Example", True),
        ("sp1", "ServicePrincipal", "app-1", True),
        ("mi1", "ServicePrincipal", "app-2", False),
        ("g1", "Group", "The SP1", True),
    ],
)
def test_principals_and_groups_are_found_alike(connection, object_id, principal_type, label, enabled):
    found = holders.find(connection, object_id)
    assert (found.principal_type, found.label, found.enabled) == (principal_type, label, enabled)


def test_nobody_is_found_by_an_id_that_there_is_not(connection):
    assert holders.find(connection, "x") is None
    assert holders.called(connection, "x") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("U1", ["u1"]),
        ("anna@cloud.EXAMPLE", ["u1"]),
        ("APP-2", ["mi1"]),
        ("the u1", ["u1"]),
        ("The SP1", ["g1", "sp1"]),
    ],
)
def test_a_text_names_everybody_whom_it_could_mean(connection, text, expected):
    assert [one.object_id for one in holders.called(connection, text)] == expected


def test_memberships_are_followed_outwards_and_a_cycle_ends(connection):
    for group, member in (("g1", "u1"), ("g2", "g1"), ("g1", "g2"), ("g3", "sp1")):
        groups.add_member(connection, group, member)
    assert holders.memberships_around(connection, "u1") == [("g1", "g2"), ("g2", "g1"), ("u1", "g1")]
    assert holders.memberships_around(connection, "sp1") == [("sp1", "g3")]
