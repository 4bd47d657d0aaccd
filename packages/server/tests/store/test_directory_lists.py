from __future__ import annotations

import json

import pytest
from sqlalchemy import text

from landbridge_server.store import (
    applications,
    directory_lists,
    directory_roles,
    owners,
    principals,
    revisions,
)
from landbridge_server.store.applications import Application
from landbridge_server.store.conditions import Always, Begins, Both, Either, HasUri, Is, Not
from landbridge_server.store.database import Database
from landbridge_server.store.directory_lists import START
from landbridge_server.store.directory_roles import DirectoryRoleAssignment
from landbridge_server.store.principals import Credential, Principal

KINDS = (principals.SERVICE_PRINCIPAL, principals.MANAGED_IDENTITY)


@pytest.fixture
def connection(store_url):
    db = Database(store_url)
    with db.writing() as opened:
        yield opened
    db.close()


def principal(name: str, kind: str = principals.SERVICE_PRINCIPAL, tenant: str = "t") -> Principal:
    return Principal(f"o-{name}", tenant, kind, name, None, None, f"a-{name}", None, True, 1.0)


def application(name: str) -> Application:
    return Application(f"p-{name}", "t", f"a-{name}", name, name.lower(), "{}", 1.0)


def names(found) -> list[str]:
    return [one.display_name for one in found]


def test_two_kinds_come_in_one_order_page_by_page(connection):
    for name, kind in (("B", KINDS[1]), ("a", KINDS[0]), ("Ä", KINDS[1]), ("c", KINDS[0])):
        principals.add(connection, principal(name, kind))
    principals.add(connection, principal("other", tenant="u"))
    principals.add(connection, principal("user", principals.USER))
    first = directory_lists.principals_page(connection, "t", KINDS, Always(), START, 2)
    assert names(first) == ["a", "B"]
    place = (first[-1].display_name.lower(), first[-1].object_id)
    assert names(directory_lists.principals_page(connection, "t", KINDS, Always(), place, 9)) == ["c", "Ä"]
    assert directory_lists.count_principals(connection, "t", KINDS, Always()) == 4


def test_names_that_are_the_same_are_told_apart_by_their_ids(connection):
    for number in range(3):
        principals.add(connection, principal("same")._replace(object_id=f"o{number}", app_id=f"a{number}"))
    place, seen = START, []
    while page := directory_lists.principals_page(connection, "t", KINDS, Always(), place, 1):
        seen += [one.object_id for one in page]
        place = (page[-1].display_name.lower(), page[-1].object_id)
    assert seen == ["o0", "o1", "o2"]


@pytest.mark.parametrize(
    ("condition", "wanted"),
    [
        (Is("name_key", "abc"), ["abc"]),
        (Begins("name_key", "ab"), ["abc", "ABD"]),
        (Begins("name_key", "%"), []),
        (Begins("name_key", ""), ["abc", "ABD", "x_y"]),
        (Not(Begins("name_key", "ab")), ["x_y"]),
        (Both(Begins("name_key", "ab"), Not(Is("name_key", "abc"))), ["ABD"]),
        (Either(Is("app_id", "a-x_y"), Is("name_key", "abd")), ["ABD", "x_y"]),
        (Is("enabled", False), []),
        (Is("enabled", True), ["abc", "ABD", "x_y"]),
        (HasUri("api://x"), ["x_y"]),
        (HasUri("api://x", "no"), ["x_y"]),
        (HasUri("no", "a-abc"), ["abc"]),
        (Not(HasUri("no", "no")), ["abc", "ABD", "x_y"]),
        (Always(False), []),
    ],
)
def test_conditions_narrow_a_list(connection, condition, wanted):
    for name in ("abc", "ABD", "x_y"):
        principals.add(connection, principal(name))
        applications.add(connection, application(name))
    applications.set_uris(connection, application("x_y"), ["api://x"])
    found = directory_lists.principals_page(connection, "t", KINDS, condition, START, 9)
    assert names(found) == wanted
    if condition not in (Is("enabled", True), Is("enabled", False)):
        found = directory_lists.applications_page(connection, "t", condition, START, 9)
        assert names(found) == wanted
        assert directory_lists.count_applications(connection, "t", condition) == len(wanted)


def test_credentials_of_the_application_count_for_its_service_principal(connection):
    app = principal("one")
    principals.add(connection, app)
    applications.add(connection, application("one"))
    for number, owner in enumerate(("o-one", "p-one", "o-two")):
        principals.add_credential(
            connection, Credential(f"c{number}", owner, "secret", "v", None, 0.0, None, 0.0, "name", "abc")
        )
    found = applications.credentials_for(connection, app, "secret")
    assert {one.credential_id for one in found} == {"c0", "c1"}
    assert found[0].hint == "abc"
    applications.remove_credentials_for(connection, app, "secret")
    assert applications.credentials_for(connection, app, "secret") == []
    applications.remove(connection, application("one"))
    assert applications.by_app_id(connection, "A-ONE") is None


def test_a_principal_that_is_removed_owns_and_holds_nothing(connection):
    principals.add(connection, principal("one"))
    owners.add(connection, "thing", "o-one")
    assigned = DirectoryRoleAssignment("o-one", "role", "t", 1.0, "")
    assert directory_roles.assign(connection, assigned)
    assert not directory_roles.assign(connection, assigned)
    assert directory_roles.holders(connection, "t") == [assigned]
    principals.remove(connection, "o-one")
    assert owners.of(connection, "thing", "", 9) == []
    assert directory_roles.roles_of(connection, "o-one") == frozenset()


def test_details_are_kept_and_changed(connection):
    principals.add(connection, principal("one"))
    assert principals.details(connection, "o-one") == "{}"
    principals.set_details(connection, "o-one", '{"a":1}')
    principals.set_details(connection, "o-one", '{"a":2}')
    assert json.loads(principals.details(connection, "o-one")) == {"a": 2}
    principals.change(connection, principal("one")._replace(display_name="Zoe"))
    assert names(
        directory_lists.principals_page(connection, "t", KINDS, Is("name_key", "zoe"), START, 9)
    ) == ["Zoe"]


def test_what_was_there_before_gets_names_and_applications(tmp_path):
    """A database of the revision before the directory's API had tables of its own."""
    db = Database(f"sqlite:///{tmp_path / 'old.db'}")
    with db.engine.execution_options(landbridge_write="migration").begin() as connection:
        revisions.upgrade(connection, "0011")
        for name, kind in (("Deploy", KINDS[0]), ("web1", KINDS[1])):
            connection.execute(
                text(
                    "INSERT INTO principals (object_id, tenant_id, kind, display_name, app_id, enabled, "
                    "created_at) VALUES (:o, 't', :k, :n, :a, 1, 5.0)"
                ),
                {"o": f"o-{name}", "k": kind, "n": name, "a": f"a-{name.lower()}"},
            )
    db.migrate()
    with db.reading() as connection:
        found = directory_lists.principals_page(connection, "t", KINDS, Is("name_key", "deploy"), START, 9)
        assert names(found) == ["Deploy"]
        made = applications.by_app_id(connection, "a-deploy")
        assert (made.display_name, made.document, made.created_at) == ("Deploy", "{}", 5.0)
        assert applications.by_app_id(connection, "a-web1") is None
    db.close()
