from __future__ import annotations

import pytest

from landbridge_server.identity import directory
from landbridge_server.identity.authentication import Authenticator
from landbridge_server.identity.caller import Caller
from landbridge_server.identity.clients import AZURE_CLI
from landbridge_server.store import principals
from landbridge_wire.errors import ArmError


@pytest.fixture
def audiences(cloud):
    return cloud.endpoints.audiences


async def bearer(cloud, form) -> str:
    answer = await cloud.token(form)
    assert answer.status_code == 200, answer.text
    return "Bearer " + answer.json()["access_token"]


def refusal(cloud, header, audiences) -> ArmError:
    with pytest.raises(ArmError) as refused:
        cloud.authenticator.caller(header, audiences)
    assert refused.value.status == 401
    return refused.value


async def test_a_service_principal_is_known_by_its_application(cloud, audiences):
    caller = cloud.authenticator.caller(await bearer(cloud, cloud.secret_form()), audiences)
    assert caller == Caller(
        object_id=cloud.first.service_principal_object_id,
        tenant_id=cloud.tenant,
        kind="ServicePrincipal",
        label=cloud.first.client_id,
        app_id=cloud.first.client_id,
    )


async def test_a_user_is_known_by_name_and_program(cloud, audiences):
    caller = cloud.authenticator.caller(await bearer(cloud, cloud.password_form()), audiences)
    assert (caller.kind, caller.label, caller.app_id) == ("User", "admin@cloud.example", AZURE_CLI)


async def test_a_machine_is_known_by_its_resource(cloud, audiences):
    def work(connection):
        return directory.create_managed_identity(connection, cloud.tenant, "/machine", "m", cloud.clock())

    machine = await cloud.db.write(work)
    token = cloud.service.issuer.access_token(machine, cloud.tenant, cloud.endpoints.audience, "a")
    caller = cloud.authenticator.caller(f"bearer {token}", audiences)
    assert (caller.kind, caller.resource_key, caller.app_id) == (
        "ManagedIdentity",
        "/machine",
        machine.app_id,
    )


def test_no_header_is_authentication_failed_with_a_challenge(cloud, audiences):
    error = refusal(cloud, "", audiences)
    assert error.code == "AuthenticationFailed"
    assert error.message == "Authentication failed. The 'Authorization' header is missing."
    assert error.challenge == (
        'Bearer authorization_uri="https://localhost:9443/t", error="invalid_token", '
        "error_description=\"The authentication failed because of missing 'Authorization' header.\""
    )


@pytest.mark.parametrize("header", ["Basic abc", "Bearer", "Bearer ", "abc.def.ghi"])
def test_another_scheme_is_an_invalid_header(cloud, audiences, header):
    assert refusal(cloud, header, audiences).code == "AuthenticationFailedInvalidHeader"


@pytest.mark.parametrize("token", ["abc", "a.b.c", "e30.e30.", "Bearer x", "é.é.é", "\udce9.a.b"])
def test_nonsense_is_an_invalid_token(cloud, audiences, token):
    error = refusal(cloud, f"Bearer {token}", audiences)
    assert (error.code, error.message) == ("InvalidAuthenticationToken", "The access token is invalid.")
    assert error.challenge.endswith('error_description="The access token is missing or invalid."')


async def test_a_disabled_principal_is_out_with_the_next_call_and_back_when_enabled(cloud, audiences):
    header = await bearer(cloud, cloud.secret_form())
    object_id = cloud.first.service_principal_object_id
    for enabled in (False, True):
        with cloud.db.writing() as connection:
            directory.set_enabled(connection, object_id, enabled, cloud.clock())
        if enabled:
            assert cloud.authenticator.caller(header, audiences).object_id == object_id
        else:
            assert refusal(cloud, header, audiences).code == "InvalidAuthenticationToken"


async def test_a_deleted_principal_is_out_with_the_next_call(cloud, audiences):
    header = await bearer(cloud, cloud.password_form())
    cloud.authenticator.caller(header, audiences)
    with cloud.db.writing() as connection:
        directory.delete_principal(connection, cloud.first.user_object_id)
    error = refusal(cloud, header, audiences)
    assert (error.code, error.internal) == ("InvalidAuthenticationToken", "its principal was deleted")


async def test_a_principal_acts_only_in_tenants_that_it_belongs_to(cloud, audiences):
    app = cloud.db.read(
        lambda connection: principals.get(connection, cloud.first.service_principal_object_id)
    )
    token = cloud.service.issuer.access_token(app, cloud.other_tenant, cloud.endpoints.audience, "a")
    assert refusal(cloud, f"Bearer {token}", audiences).code == "InvalidAuthenticationToken"
    guests = Authenticator(cloud.db, cloud.verifier, lambda _connection, _principal, _tenant: True)
    assert guests.caller(f"Bearer {token}", audiences).tenant_id == cloud.other_tenant
