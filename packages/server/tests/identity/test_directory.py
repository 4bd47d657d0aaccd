from __future__ import annotations

import pytest

from landbridge_server.identity import directory
from landbridge_server.identity.directory import DirectoryError
from landbridge_server.identity.passwords import WeakPassword, hash_secret
from landbridge_server.store import principals

NOW = 1_800_000_000.0


def user(connection, cloud, name="anna@cloud.example", password="long-enough"):
    return directory.create_user(connection, cloud.tenant, name, "Anna", password, NOW)


def test_a_user_keeps_the_casing_of_the_name_and_is_found_without(connection, cloud):
    made = user(connection, cloud, "Anna@Cloud.example")
    assert principals.by_user_name(connection, "ANNA@cloud.EXAMPLE") == made
    assert made.user_name == "Anna@Cloud.example"
    assert made in directory.list_users(connection, cloud.tenant)


@pytest.mark.parametrize(
    "name",
    ["anna", "@cloud.example", "anna@", "anna@other.example", "an na@cloud.example", "a\n@cloud.example"],
)
def test_a_name_that_is_none_of_the_tenant_is_refused(connection, cloud, name):
    with pytest.raises(DirectoryError):
        user(connection, cloud, name)


def test_a_taken_name_is_refused(connection, cloud):
    user(connection, cloud)
    with pytest.raises(DirectoryError, match="already"):
        user(connection, cloud, "ANNA@cloud.example")


@pytest.mark.parametrize("password", ["", "short", "x" * 257])
def test_a_weak_password_is_refused(connection, cloud, password):
    with pytest.raises(WeakPassword):
        user(connection, cloud, password=password)


def test_an_unknown_tenant_is_refused(connection):
    with pytest.raises(DirectoryError, match="no tenant"):
        directory.create_user(connection, "nowhere", "a@nowhere", "A", "long-enough", NOW)


def test_a_password_is_kept_as_argon2id_and_replaced_by_a_reset(connection, cloud):
    made = user(connection, cloud)
    (old,) = principals.credentials_of(connection, made.object_id, "password")
    directory.reset_password(connection, "anna@cloud.example", "another-one", NOW)
    (new,) = principals.credentials_of(connection, made.object_id, "password")
    assert old.verifier.startswith("$argon2id$")
    assert new.verifier != old.verifier
    with pytest.raises(DirectoryError, match="no user"):
        directory.reset_password(connection, "nobody@cloud.example", "another-one", NOW)


def test_a_secret_is_returned_once_and_kept_as_a_hash(connection, cloud):
    object_id, app_id, secret = directory.create_service_principal(connection, cloud.tenant, "ci", NOW)
    (kept,) = principals.credentials_of(connection, object_id, "secret")
    assert kept.verifier == hash_secret(secret)
    assert len(secret) == 40
    assert secret.isalnum()
    assert principals.by_app_id(connection, app_id.upper()).object_id == object_id


def test_a_secret_that_a_person_made_up_is_refused(connection, cloud):
    with pytest.raises(DirectoryError, match="machine-made"):
        directory.create_service_principal(connection, cloud.tenant, "ci", NOW, secret="hunter2")


def test_a_reset_ends_the_old_secret(connection, cloud):
    object_id, _app_id, secret = directory.create_service_principal(connection, cloud.tenant, "ci", NOW)
    renewed = directory.reset_secret(connection, object_id, NOW)
    (kept,) = principals.credentials_of(connection, object_id, "secret")
    assert kept.verifier == hash_secret(renewed) != hash_secret(secret)
    with pytest.raises(DirectoryError):
        directory.reset_secret(connection, cloud.first.user_object_id, NOW)


def test_a_service_principal_goes_by_application_object_and_display_name(connection, cloud):
    object_id, app_id, _secret = directory.create_service_principal(connection, cloud.tenant, "CI", NOW)
    for name in (object_id, app_id, app_id.upper(), "ci"):
        assert directory.service_principal(connection, name).object_id == object_id
    directory.create_service_principal(connection, cloud.tenant, "ci", NOW)
    with pytest.raises(DirectoryError, match="2 service principals"):
        directory.service_principal(connection, "ci")
    with pytest.raises(DirectoryError, match="no service principal"):
        directory.service_principal(connection, cloud.first.user_object_id)
    assert len(directory.list_service_principals(connection, cloud.tenant)) == 3


@pytest.mark.parametrize("name", ["", "  ", "x" * 300, "a\nb"])
def test_a_display_name_is_printable(connection, cloud, name):
    with pytest.raises(DirectoryError, match="display name"):
        directory.create_service_principal(connection, cloud.tenant, name, NOW)


def test_a_resource_has_one_identity(connection, cloud):
    made = directory.create_managed_identity(connection, cloud.tenant, "/m", "m", NOW)
    assert (made.kind, made.resource_key) == ("ManagedIdentity", "/m")
    assert made.app_id
    with pytest.raises(DirectoryError, match="already"):
        directory.create_managed_identity(connection, cloud.tenant, "/m", "m", NOW)
    directory.delete_principal(connection, made.object_id)
    directory.create_managed_identity(connection, cloud.tenant, "/m", "m", NOW)


def test_a_deleted_principal_leaves_no_credential(connection, cloud):
    made = user(connection, cloud)
    directory.delete_principal(connection, made.object_id)
    directory.delete_principal(connection, made.object_id)
    assert principals.get(connection, made.object_id) is None
    assert principals.credentials_of(connection, made.object_id, "password") == []
