from __future__ import annotations

import json

import pytest

from landbridge_server.arm import custom_roles
from landbridge_server.arm.roles import OWNER
from landbridge_server.store import role_definitions
from landbridge_server.store.database import Database
from landbridge_server.store.role_definitions import Definition

GUID = "00000000-0000-0000-0000-00000000000a"
GROUP = "/subscriptions/S/resourceGroups/Demo"


def definition(*sets, scopes=(GROUP,), tenant="t", name="Mine"):
    whole = [{"actions": [], "notActions": [], "dataActions": [], "notDataActions": []} | one for one in sets]
    return Definition(
        tenant, GUID, name, name.lower(), "", json.dumps(whole), json.dumps(scopes), 1.0, "a", 2.0, "b"
    )


@pytest.mark.parametrize(
    ("scope", "assignable", "below"),
    [
        (GROUP, True, True),
        (GROUP.lower() + "/", True, True),
        (f"{GROUP}/providers/N/t/x", True, False),
        (f"{GROUP}2", False, False),
        ("/subscriptions/s", False, True),
        ("/subscriptions/s2", False, False),
        ("/", False, True),
    ],
)
def test_a_role_reaches_its_scopes_and_what_is_below_them(scope, assignable, below):
    role = custom_roles.of(definition({"actions": ["*"]}))
    assert (role.is_assignable(scope), role.is_below(scope)) == (assignable, below)


def test_what_one_set_takes_off_another_may_give():
    role = custom_roles.of(
        definition({"actions": ["N/*"], "notActions": ["N/t/*"]}, {"actions": ["N/t/read"]})
    )
    assert role.allows("n/other/write")
    assert role.allows("N/T/Read")
    assert not role.allows("N/t/write")


def test_data_actions_allow_no_action():
    assert not custom_roles.of(definition({"dataActions": ["*"]})).allows("N/t/read")


def test_a_role_is_found_in_its_own_tenant_only(store_url):
    db = Database(store_url)
    with db.writing() as connection:
        role_definitions.put(connection, definition({"actions": ["*"]}), is_new=True)

    def find(tenant, guid):
        return db.read(lambda connection: custom_roles.find(connection, tenant, guid))

    assert find("t", GUID.upper()).name == "Mine"
    assert find("other", GUID) is None
    assert find("other", OWNER.guid) is OWNER
    db.close()
