from __future__ import annotations

import base64
import json

import pytest

from landbridge_server.edge.route import Bearer, Public
from landbridge_server.edge.routes import table
from landbridge_server.testing import ControlPlane


def rows(cloud):
    for path, methods in table(cloud.plane).items():
        for method, endpoint in methods.items():
            yield method, path, endpoint


def filled(path: str) -> str:
    return path.replace("{rest:path}", "x").replace("{tenant}", "common").replace("{user}", "u")


async def test_every_row_names_its_access_and_public_ones_say_why(cloud):
    for method, path, endpoint in rows(cloud):
        assert isinstance(endpoint.access, Bearer) or endpoint.access.reason, (method, path)


async def test_nobody_gets_past_a_protected_row(cloud):
    for method, path, endpoint in rows(cloud):
        if isinstance(endpoint.access, Public):
            continue
        answer = await cloud.client.request(method, filled(path))
        assert answer.status_code == 401, (method, path)
        assert answer.headers["www-authenticate"].startswith("Bearer authorization_uri=")
        if method != "HEAD":
            assert answer.json()["error"]["code"] == "AuthenticationFailed"


async def test_an_arm_token_does_not_open_the_agent_api(cloud):
    token = await cloud.token()
    for path in ("/agent/v1/session", "/agent/v1/heartbeat", "/agent/v1/certificates"):
        answer = await cloud.client.post(path, json={}, headers={"authorization": f"Bearer {token}"})
        assert answer.status_code == 401


@pytest.mark.parametrize(
    "unverified_token",
    [
        "nonsense",
        "a.b.c",
        base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=") + ".e30.",
        "Ω" * 10,
        "x" * 20000,
    ],
)
async def test_tokens_that_are_none_are_refused_without_an_error_of_ours(cloud, unverified_token):
    headers = {"authorization": f"Bearer {unverified_token}".encode()}
    answer = await cloud.client.get("/subscriptions?api-version=2022-12-01", headers=headers)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "InvalidAuthenticationToken"


async def test_a_token_is_refused_once_its_time_is_over(cloud):
    token = await cloud.token()
    cloud.clock.advance(24 * 3600)
    answer = await cloud.arm("GET", "/subscriptions", token=token, version="2022-12-01")
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "ExpiredAuthenticationToken"


async def test_a_token_for_another_audience_is_refused(cloud):
    token = await cloud.token(scope=cloud.config.endpoints.graph + "/.default")
    answer = await cloud.arm("GET", "/subscriptions", token=token, version="2022-12-01")
    assert answer.status_code == 401


async def test_a_token_of_another_cloud_is_refused(cloud, tmp_path):
    async with ControlPlane(tmp_path / "other") as other:
        token = await other.token()
    answer = await cloud.arm("GET", "/subscriptions", token=token, version="2022-12-01")
    assert answer.status_code == 401


async def test_a_principal_loses_access_with_the_next_call_once_it_is_deleted(cloud):
    from landbridge_server.identity import directory

    object_id, client_id, secret = cloud.create_service_principal("gone", "Reader")
    token = await cloud.token(client_id, secret)
    assert (await cloud.arm("GET", cloud.subscription, token=token)).status_code == 200
    with cloud.plane.db.writing() as connection:
        directory.delete_principal(connection, object_id)
    assert (await cloud.arm("GET", cloud.subscription, token=token)).status_code == 401


async def test_a_role_that_is_taken_away_is_gone_with_the_next_call(cloud):
    from landbridge_server.store import role_assignments

    object_id, client_id, secret = cloud.create_service_principal("demoted", "Reader")
    token = await cloud.token(client_id, secret)
    assert (await cloud.arm("GET", cloud.subscription, token=token)).status_code == 200
    with cloud.plane.db.writing() as connection:
        role_assignments.remove_of_principal(connection, object_id)
    answer = await cloud.arm("GET", cloud.subscription, token=token)
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "AuthorizationFailed"


async def test_a_path_is_matched_without_case_and_without_empty_segments(cloud):
    token = await cloud.token()
    for path in ("//SUBSCRIPTIONS//", "/Subscriptions/", "/subscriptions"):
        answer = await cloud.arm("GET", path, token=token, version="2022-12-01")
        assert answer.status_code == 200, path


async def test_an_unknown_path_is_not_found_in_the_envelope(cloud):
    answer = await cloud.client.get("/nothing/of/this/kind")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "NotFound"


@pytest.mark.parametrize("method", ["TRACE", "OPTIONS", "PROPFIND"])
async def test_a_method_that_a_path_has_not_is_405_and_names_those_it_has(cloud, method):
    answer = await cloud.client.request(method, "/metadata/endpoints")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET"


async def test_control_characters_in_a_path_are_refused(cloud):
    answer = await cloud.client.get("/subscriptions/%00%07")
    assert answer.status_code == 400


async def test_a_body_over_the_bound_is_refused_by_its_declared_size(cloud):
    answer = await cloud.arm(
        "PUT", cloud.subscription + "/resourcegroups/g", content=b" " * (5 * 1024 * 1024)
    )
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "RequestEntityTooLarge"


async def test_a_body_over_the_bound_is_refused_without_a_declared_size(cloud):
    async def endless():
        for _ in range(100):
            yield b" " * 1024 * 1024

    answer = await cloud.arm("PUT", cloud.subscription + "/resourcegroups/g", content=endless())
    assert answer.status_code == 413


async def test_answers_carry_arms_headers(cloud):
    headers = {
        "x-ms-client-request-id": "mine",
        "x-ms-return-client-request-id": "true",
        "x-ms-correlation-request-id": "ours",
    }
    answer = await cloud.arm("GET", "/subscriptions", version="2022-12-01", headers=headers)
    assert answer.headers["x-ms-client-request-id"] == "mine"
    assert answer.headers["x-ms-correlation-request-id"] == "ours"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert len(answer.headers["x-ms-request-id"]) == 36


async def test_an_error_of_our_own_shows_no_traceback(cloud, monkeypatch, caplog):
    def fail(*_arguments):
        raise RuntimeError("the secret inside")

    monkeypatch.setattr(cloud.plane.portal.db, "read", fail)
    answer = await cloud.client.get("/healthz")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.json()["error"]["code"] == "InternalServerError"
    assert any(record.getMessage() == "failure" for record in caplog.records)


async def test_the_start_page_shows_the_way_and_the_fingerprint(cloud):
    answer = await cloud.client.get("/")
    assert answer.status_code == 200
    assert "az cloud register" in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    pem = await cloud.client.get("/ca.pem")
    assert pem.text.startswith("-----BEGIN CERTIFICATE-----")


async def test_a_healthy_control_plane_says_so(cloud):
    assert (await cloud.client.get("/healthz")).json() == {"status": "Healthy"}


async def test_the_log_holds_no_query(cloud, caplog):
    with caplog.at_level("INFO"):
        await cloud.client.get("/metadata/endpoints?api-version=2022-09-01&token=hidden")
    assert not any("hidden" in json.dumps(getattr(record, "fields", {})) for record in caplog.records)


async def test_the_portals_name_never_answers_404(tmp_path):
    async with ControlPlane(tmp_path, domain="cloud.example") as cloud:
        url = cloud.config.endpoints.portal + "/whatever/somebody/typed"
        page = await cloud.client.get(url)
        assert page.status_code == 200
        assert "az cloud register" in page.text
        assert (await cloud.client.get("/whatever/somebody/typed")).status_code == 404


async def test_a_domain_announces_its_names_and_adfs_announces_itself(tmp_path):
    async with ControlPlane(tmp_path, domain="cloud.example", identity_provider="adfs") as cloud:
        metadata = (await cloud.client.get("/metadata/endpoints?api-version=2022-09-01")).json()
        found = (await cloud.client.get("/adfs/.well-known/openid-configuration")).json()
    assert metadata["authentication"]["loginEndpoint"] == "https://adfs.cloud.example:9443/adfs"
    assert metadata["portal"] == "https://portal.cloud.example:9443/"
    assert found["token_endpoint"] == "https://adfs.cloud.example:9443/adfs/oauth2/token"


async def test_below_adfs_a_tenant_is_found_by_its_domain(cloud):
    """As az asks when ``--tenant`` is no GUID: it takes the first segment of the issuer's path."""
    domain = cloud.admin["userName"].rpartition("@")[2]
    found = await cloud.client.get(f"/adfs/{domain}/v2.0/.well-known/openid-configuration")
    assert found.json()["issuer"].split("/")[3] == cloud.admin["tenantId"]
    nowhere = await cloud.client.get("/adfs/nowhere.example/v2.0/.well-known/openid-configuration")
    assert (nowhere.status_code, nowhere.json()["error_codes"]) == (400, [90002])
