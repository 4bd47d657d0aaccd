from __future__ import annotations

import pytest

from landbridge_server.identity import bootstrap
from landbridge_server.identity.directory import DirectoryError
from landbridge_server.identity.tenancy import home_tenant
from landbridge_server.store import principals, tenants
from landbridge_server.store.database import Database
from landbridge_server.store.schema import metadata


@pytest.fixture
def empty(tmp_path):
    db = Database(f"sqlite:///{tmp_path / 'empty.db'}")
    metadata.create_all(db.engine)
    with db.writing() as connection:
        yield connection
    db.close()


def test_the_first_start_makes_tenant_user_and_service_principal(empty):
    first = bootstrap.first_start(empty, 5.0)
    assert tenants.named(empty, "landbridge.local").tenant_id == first.tenant_id == home_tenant(empty)
    assert first.user_name == "admin@landbridge.local"
    assert principals.by_user_name(empty, first.user_name).object_id == first.user_object_id
    assert principals.by_app_id(empty, first.client_id).display_name == "admin"
    assert first.principals == (
        (first.user_object_id, "User"),
        (first.service_principal_object_id, "ServicePrincipal"),
    )
    assert len({first.tenant_id, first.subscription_id, first.client_secret, first.password}) == 4


def test_the_second_start_makes_nothing(empty):
    bootstrap.first_start(empty, 5.0, "a.example")
    assert bootstrap.first_start(empty, 6.0, "b.example") is None
    assert len(tenants.everyone(empty)) == 1


@pytest.mark.parametrize(
    "domain", ["adfs", "common", "Graph", "a b", "a..b", "-a.example", "ü.example", "a/b"]
)
def test_words_of_the_token_service_and_what_is_no_name_cannot_be_domains(empty, domain):
    with pytest.raises(DirectoryError, match="cannot be the domain"):
        bootstrap.first_start(empty, 5.0, domain)


def test_a_domain_belongs_to_one_tenant(empty):
    bootstrap.create_tenant(empty, "A.example", "", 1.0)
    with pytest.raises(DirectoryError, match="already"):
        bootstrap.create_tenant(empty, "a.EXAMPLE", "B", 2.0)


def test_a_cloud_without_a_tenant_says_what_to_do(empty):
    with pytest.raises(LookupError, match="landbridge up"):
        home_tenant(empty)
