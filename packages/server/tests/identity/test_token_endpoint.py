from __future__ import annotations

import base64
import json
from urllib.parse import quote_plus

import pytest

from landbridge_server.identity import directory, passwords
from landbridge_server.identity.clients import AZCMAGENT, AZURE_CLI
from landbridge_server.identity.keys import unverified_parts


def claims(token: str) -> dict:
    return unverified_parts(token)[1]


def edit(cloud, work) -> None:
    with cloud.db.writing() as connection:
        work(connection)


@pytest.mark.parametrize(
    "path", ["/{tenant}/oauth2/v2.0/token", "/{tenant}/oauth2/token", "/adfs/oauth2/token"]
)
async def test_a_secret_gives_a_token_at_every_address(cloud, path):
    answer = await cloud.token(cloud.secret_form(), path.format(tenant=cloud.tenant))
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert body["token_type"] == "Bearer"
    assert body["expires_in"] == body["ext_expires_in"] == 3599
    assert set(body) == {"token_type", "expires_in", "ext_expires_in", "access_token"}
    caller = cloud.authenticator.caller(f"Bearer {body['access_token']}", cloud.endpoints.audiences)
    assert caller.object_id == cloud.first.service_principal_object_id


@pytest.mark.parametrize("name", ["cloud.example", "CLOUD.Example", "common", "organizations"])
async def test_a_tenant_goes_by_its_domain_and_by_the_open_words(cloud, name):
    answer = await cloud.token(cloud.secret_form(), f"/{name}/oauth2/v2.0/token")
    assert claims(answer.json()["access_token"])["tid"] == cloud.tenant


@pytest.mark.parametrize(
    "asked", ["https://localhost:9443", "https://localhost:9443/", "https://localhost:9443/graph"]
)
async def test_the_audience_is_exactly_the_one_asked_for(cloud, asked):
    answer = await cloud.token(cloud.secret_form(scope=asked + "/.default"))
    assert claims(answer.json()["access_token"])["aud"] == asked


async def test_v1_asks_by_resource_and_reads_when_the_token_ends(cloud):
    form = cloud.secret_form(resource="https://localhost:9443/")
    del form["scope"]
    body = (await cloud.token(form, f"/{cloud.tenant}/oauth2/token")).json()
    assert claims(body["access_token"])["aud"] == body["resource"] == "https://localhost:9443/"
    assert body["expires_on"] == int(cloud.clock()) + 3599


async def test_a_secret_may_come_by_http_basic(cloud):
    form = {"grant_type": "client_credentials", "scope": cloud.arm_scope}
    pair = f"{quote_plus(cloud.first.client_id)}:{quote_plus(cloud.first.client_secret)}"
    header = {"authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
    assert (await cloud.token(form, headers=header)).status_code == 200


async def test_a_wrong_secret_is_7000215(cloud, refused):
    answer = await cloud.token(cloud.secret_form(client_secret="wrong"))
    body = refused(answer, 7000215, "invalid_client", 401)
    assert body["error_description"].startswith("AADSTS7000215: Invalid client secret provided.")
    assert cloud.first.client_id in body["error_description"]
    assert "www-authenticate" not in answer.headers


async def test_a_wrong_secret_by_http_basic_is_challenged(cloud, refused):
    form = {"grant_type": "client_credentials", "scope": cloud.arm_scope}
    header = {"authorization": "Basic " + base64.b64encode(f"{cloud.first.client_id}:x".encode()).decode()}
    answer = await cloud.token(form, headers=header)
    refused(answer, 7000215, "invalid_client", 401)
    assert answer.headers["www-authenticate"].startswith("Basic")


async def test_an_unknown_application_is_700016(cloud, refused):
    answer = await cloud.token(cloud.secret_form(client_id="00000000-0000-0000-0000-000000000000"))
    refused(answer, 700016, "unauthorized_client")


async def test_an_application_of_another_tenant_is_unknown_there(cloud, refused):
    answer = await cloud.token(cloud.secret_form(), f"/{cloud.other_tenant}/oauth2/v2.0/token")
    refused(answer, 700016, "unauthorized_client")


async def test_an_unknown_tenant_is_90002(cloud, refused):
    answer = await cloud.token(cloud.secret_form(), "/nowhere.example/oauth2/v2.0/token")
    refused(answer, 90002, "invalid_tenant")


async def test_an_unknown_audience_is_500011(cloud, refused):
    answer = await cloud.token(cloud.secret_form(scope="https://vault.azure.net/.default"))
    body = refused(answer, 500011, "invalid_resource")
    assert "https://vault.azure.net was not found" in body["error_description"]


async def test_the_agents_audience_is_for_machines_only(cloud, refused):
    answer = await cloud.token(cloud.secret_form(scope="api://landbridge-agent/.default"))
    refused(answer, 500011, "invalid_resource")
    answer = await cloud.token(cloud.password_form(scope="api://landbridge-agent/.default"))
    refused(answer, 500011, "invalid_resource")


async def test_an_expired_secret_says_so(cloud, refused):
    cloud.clock.advance(366 * 86400)
    refused(await cloud.token(cloud.secret_form()), 7000222, "invalid_client", 401)


async def test_a_disabled_application_says_so_only_to_who_has_its_secret(cloud, refused):
    edit(
        cloud,
        lambda connection: directory.set_enabled(
            connection, cloud.first.service_principal_object_id, False, cloud.clock()
        ),
    )
    refused(await cloud.token(cloud.secret_form()), 7000112, "invalid_client", 401)
    refused(await cloud.token(cloud.secret_form(client_secret="x")), 7000215, "invalid_client", 401)


async def test_a_program_must_ask_for_a_resource(cloud, refused):
    refused(await cloud.token(cloud.secret_form(scope="openid")), 70011, "invalid_scope")


@pytest.mark.parametrize("missing", ["grant_type", "client_id", "scope"])
async def test_a_missing_parameter_is_named(cloud, refused, missing):
    form = cloud.secret_form()
    del form[missing]
    body = refused(await cloud.token(form), 900144, "invalid_request")
    assert body["error_description"].endswith(f"'{missing}'.")


async def test_a_missing_secret_is_7000218(cloud, refused):
    form = cloud.secret_form()
    del form["client_secret"]
    refused(await cloud.token(form), 7000218, "invalid_client", 401)


async def test_grants_that_do_not_exist_are_unsupported(cloud, refused):
    refused(await cloud.token({"grant_type": "magic"}), 70003, "unsupported_grant_type")
    refused(await cloud.token({"grant_type": "implicit"}), 70003, "unsupported_grant_type")


async def test_a_password_gives_what_msal_reads(cloud):
    answer = await cloud.token(cloud.password_form())
    body = answer.json()
    assert body["scope"] == cloud.arm_scope
    assert body["refresh_token"]
    padded = body["client_info"] + "=" * (-len(body["client_info"]) % 4)
    assert json.loads(base64.urlsafe_b64decode(padded)) == {
        "uid": cloud.first.user_object_id,
        "utid": cloud.tenant,
    }
    identity = claims(body["id_token"])
    assert (identity["aud"], identity["tid"], identity["oid"]) == (
        AZURE_CLI,
        cloud.tenant,
        cloud.first.user_object_id,
    )
    assert identity["preferred_username"] == identity["upn"] == "admin@cloud.example"
    assert identity["iss"] == f"https://localhost:9443/{cloud.tenant}/v2.0"
    assert {"sub", "exp", "iat", "name"} < identity.keys()


async def test_user_names_have_no_case(cloud):
    answer = await cloud.token(cloud.password_form(username="ADMIN@Cloud.Example", client_id=AZCMAGENT))
    assert claims(answer.json()["access_token"])["appid"] == AZCMAGENT


async def test_without_openid_and_offline_access_there_is_only_an_access_token(cloud):
    form = cloud.password_form(scope=cloud.arm_scope)
    del form["client_info"]
    body = (await cloud.token(form)).json()
    assert not {"id_token", "refresh_token", "client_info"} & body.keys()


async def test_openid_alone_gives_an_id_token(cloud):
    body = (await cloud.token(cloud.password_form(scope="openid profile"))).json()
    assert body["scope"] == "openid profile"
    assert claims(body["access_token"])["aud"] == cloud.endpoints.graph


async def test_adfs_names_itself_in_the_id_token(cloud):
    body = (await cloud.token(cloud.password_form(), "/adfs/oauth2/token")).json()
    assert claims(body["id_token"])["iss"] == "https://localhost:9443/adfs"
    assert claims(body["access_token"])["tid"] == cloud.tenant


@pytest.mark.parametrize(
    "wrong", [{"password": "wrong"}, {"username": "nobody@cloud.example"}, {"username": "x" * 5000}]
)
async def test_a_wrong_password_and_an_unknown_user_read_alike(cloud, refused, wrong):
    body = refused(await cloud.token(cloud.password_form(**wrong)), 50126, "invalid_grant")
    assert body["error_description"] == (
        "AADSTS50126: Error validating credentials due to invalid username or password."
    )


async def test_a_disabled_user_says_so_only_to_who_knows_the_password(cloud, refused):
    edit(
        cloud,
        lambda connection: directory.set_enabled(
            connection, cloud.first.user_object_id, False, cloud.clock()
        ),
    )
    refused(await cloud.token(cloud.password_form()), 50057, "invalid_grant")
    refused(await cloud.token(cloud.password_form(password="x")), 50126, "invalid_grant")


async def test_a_user_of_another_tenant_is_sent_there(cloud, refused):
    form = cloud.password_form(username="eve@other.example", password="eves-password")
    refused(await cloud.token(form), 50020, "invalid_grant")
    body = (await cloud.token(form, "/organizations/oauth2/v2.0/token")).json()
    assert claims(body["access_token"])["tid"] == cloud.other_tenant


async def test_an_unknown_program_cannot_sign_people_in(cloud, refused):
    refused(await cloud.token(cloud.password_form(client_id="x")), 700016, "unauthorized_client")
    # A service principal is no public client either.
    form = cloud.password_form(client_id=cloud.first.client_id)
    refused(await cloud.token(form), 700016, "unauthorized_client")


async def test_after_ten_wrong_passwords_even_the_right_one_waits(cloud, refused):
    for _ in range(10):
        refused(await cloud.token(cloud.password_form(password="x")), 50126, "invalid_grant")
    answer = await cloud.token(cloud.password_form())
    refused(answer, 50053, "invalid_grant")
    assert answer.headers["retry-after"] == "300"
    refused(await cloud.token(cloud.password_form(username="Admin@cloud.example")), 50053, "invalid_grant")
    cloud.clock.advance(300)
    assert (await cloud.token(cloud.password_form())).status_code == 200


async def test_a_password_that_could_not_be_checked_is_not_counted(cloud, monkeypatch):
    monkeypatch.setattr(passwords, "WAITING", 0)
    for _ in range(10):
        answer = await cloud.token(cloud.password_form())
        assert (answer.status_code, answer.json()["error_codes"]) == (503, [90033])
    monkeypatch.undo()
    assert (await cloud.token(cloud.password_form())).status_code == 200


async def test_the_claims_parameter_of_az_is_ignored(cloud):
    wanted = json.dumps({"access_token": {"xms_cc": {"values": ["CP1"]}}})
    assert (await cloud.token(cloud.secret_form(claims=wanted))).status_code == 200


async def test_a_refusal_names_the_clients_own_request(cloud):
    name = "6d3a9f6a-1111-4222-8333-444455556666"
    answer = await cloud.token({}, headers={"client-request-id": name})
    assert answer.json()["correlation_id"] == name
    answer = await cloud.token({}, headers={"client-request-id": "<script>"})
    assert "<" not in answer.text


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (b"{}", "application/json", 400),
        (b"grant_type=a&grant_type=b", "application/x-www-form-urlencoded", 400),
        (b"x" * 100_000, "application/x-www-form-urlencoded", 413),
        (b"\xff\xfe", "application/x-www-form-urlencoded", 400),
        (b"", "application/x-www-form-urlencoded", 400),
    ],
)
async def test_a_body_that_is_no_form_gets_a_clear_refusal(cloud, content, content_type, status):
    answer = await cloud.http.post(
        f"/{cloud.tenant}/oauth2/v2.0/token", content=content, headers={"content-type": content_type}
    )
    assert answer.status_code == status
    assert answer.json()["error"] == "invalid_request"
