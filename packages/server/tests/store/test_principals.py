from __future__ import annotations

import pytest
from sqlalchemy.exc import IntegrityError

from landbridge_server.store import principals
from landbridge_server.store.database import Database
from landbridge_server.store.principals import Credential, Principal


@pytest.fixture
def connection(store_url):
    db = Database(store_url)
    with db.writing() as opened:
        yield opened
    db.close()


def app(name: str, **changes) -> Principal:
    base = Principal(
        f"o-{name}", "t", principals.SERVICE_PRINCIPAL, name, None, None, f"a-{name}", None, True, 1.0
    )
    return base._replace(**changes)


def test_a_principal_is_found_by_each_of_its_names(connection):
    made = app("one", user_name="One@x", user_name_key="one@x", resource_key="/m")
    principals.add(connection, made)
    assert principals.get(connection, "o-one") == made
    assert principals.by_app_id(connection, "A-ONE") == made
    assert principals.by_user_name(connection, "ONE@X") == made
    assert principals.by_resource(connection, "/m") == made
    assert principals.get(connection, "other") is None


@pytest.mark.parametrize("name", ["app_id", "resource_key", "user_name_key"])
def test_names_are_unique(connection, name):
    principals.add(connection, app("one", **{name: "same"}))
    with pytest.raises(IntegrityError):
        principals.add(connection, app("two", **{name: "same"}))


def test_a_list_is_of_one_kind_and_tenant_in_order(connection):
    principals.add(connection, app("b"))
    principals.add(connection, app("a"))
    principals.add(connection, app("c", tenant_id="u"))
    principals.add(connection, app("d", kind=principals.USER))
    kind = principals.SERVICE_PRINCIPAL
    assert [one.display_name for one in principals.of_kind(connection, kind, "t")] == ["a", "b"]
    assert [one.display_name for one in principals.of_kind(connection, kind)] == ["a", "b", "c"]


def test_a_principal_can_be_kept_out(connection):
    principals.add(connection, app("one"))
    principals.set_enabled(connection, "o-one", False)
    assert principals.get(connection, "o-one").enabled is False


def test_a_credential_counts_from_its_beginning_to_its_end(connection):
    credential = Credential("c", "o-one", "secret", "v", None, 10.0, 20.0, 10.0)
    principals.add_credential(connection, credential)
    assert principals.credentials_of(connection, "o-one", "secret") == [credential]
    assert principals.credentials_of(connection, "o-one", "password") == []
    assert [credential.valid(now) for now in (9.9, 10.0, 19.9, 20.0)] == [False, True, True, False]
    assert credential._replace(expires_at=None).valid(1e12)
    principals.remove_credentials(connection, "o-one", "secret")
    assert principals.credentials_of(connection, "o-one", "secret") == []


def test_the_label_is_the_user_name_or_the_application():
    assert app("one").label == "a-one"
    assert app("one", user_name="one@x").label == "one@x"
