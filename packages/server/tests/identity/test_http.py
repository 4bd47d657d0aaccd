from __future__ import annotations

import pytest
from sqlalchemy import text

from landbridge_server.config import Config
from landbridge_server.identity import discovery
from landbridge_server.store.database import StoreUnavailable

HOST = "https://localhost:9443"


def single_tenant(cloud) -> None:
    with cloud.db.writing() as connection:
        connection.execute(text("DELETE FROM tenants WHERE tenant_id = :id"), {"id": cloud.other_tenant})


@pytest.mark.parametrize("name", ["{tenant}", "cloud.example", "Cloud.EXAMPLE"])
async def test_a_tenant_announces_its_addresses_by_its_id(cloud, name):
    name = name.format(tenant=cloud.tenant)
    answer = await cloud.http.get(f"/{name}/v2.0/.well-known/openid-configuration")
    base = f"{HOST}/{cloud.tenant}"
    found = answer.json()
    assert found["issuer"] == f"{base}/v2.0"
    assert found["authorization_endpoint"] == f"{base}/oauth2/v2.0/authorize"
    assert found["token_endpoint"] == f"{base}/oauth2/v2.0/token"
    assert found["device_authorization_endpoint"] == f"{base}/oauth2/v2.0/devicecode"
    assert found["jwks_uri"] == f"{base}/discovery/v2.0/keys"


@pytest.mark.parametrize("name", ["organizations", "common"])
async def test_the_open_words_announce_the_only_tenant(cloud, name):
    single_tenant(cloud)
    found = (await cloud.http.get(f"/{name}/v2.0/.well-known/openid-configuration")).json()
    assert found["token_endpoint"] == f"{HOST}/{cloud.tenant}/oauth2/v2.0/token"


async def test_with_several_tenants_the_open_words_stay_open(cloud):
    found = (await cloud.http.get("/organizations/v2.0/.well-known/openid-configuration")).json()
    assert found["token_endpoint"] == f"{HOST}/organizations/oauth2/v2.0/token"
    assert found["issuer"] == HOST + "/{tenantid}/v2.0"


async def test_v1_discovery_announces_v1_addresses(cloud):
    found = (await cloud.http.get(f"/{cloud.tenant}/.well-known/openid-configuration")).json()
    assert found["token_endpoint"] == f"{HOST}/{cloud.tenant}/oauth2/token"
    assert found["jwks_uri"] == f"{HOST}/{cloud.tenant}/discovery/keys"


async def test_adfs_announces_its_own_addresses(cloud):
    found = (await cloud.http.get("/adfs/.well-known/openid-configuration")).json()
    assert found["issuer"] == f"{HOST}/adfs"
    assert found["token_endpoint"] == f"{HOST}/adfs/oauth2/token"
    assert found["device_authorization_endpoint"] == f"{HOST}/adfs/oauth2/devicecode"
    assert found["jwks_uri"] == f"{HOST}/adfs/discovery/keys"


@pytest.mark.parametrize(
    "path",
    [
        "/{tenant}/v2.0/.well-known/openid-configuration",
        "/{tenant}/.well-known/openid-configuration",
        "/organizations/v2.0/.well-known/openid-configuration",
        "/adfs/.well-known/openid-configuration",
    ],
)
async def test_every_address_that_is_announced_answers(cloud, path):
    found = (await cloud.http.get(path.format(tenant=cloud.tenant))).json()
    assert (await cloud.http.get(found["jwks_uri"])).json() == cloud.keys.jwks()
    assert (await cloud.http.get(found["authorization_endpoint"])).status_code == 400
    for name in ("token_endpoint", "device_authorization_endpoint"):
        answer = await cloud.http.post(found[name], data={"x": "y"})
        assert answer.json()["error_codes"] == [900144]


@pytest.mark.parametrize(
    "path", ["/v2.0/.well-known/openid-configuration", "/discovery/v2.0/keys", "/discovery/keys"]
)
@pytest.mark.parametrize("name", ["nowhere.example", "graph", "consumers", "%00", "' OR 1=1 --"])
async def test_an_unknown_tenant_is_90002(cloud, refused, name, path):
    refused(await cloud.http.get(f"/{name}{path}"), 90002, "invalid_tenant")


async def test_with_a_domain_each_service_has_its_name(cloud, tmp_path):
    endpoints = Config(tmp_path, domain="local.azurestack.external").endpoints
    adfs = discovery.document(endpoints, "adfs", v2=False)
    assert adfs["token_endpoint"] == "https://adfs.local.azurestack.external:9443/adfs/oauth2/token"
    tenant = discovery.document(endpoints, cloud.tenant, v2=True)
    assert tenant["issuer"] == f"https://login.local.azurestack.external:9443/{cloud.tenant}/v2.0"
    assert tenant["cloud_instance_name"] == "login.local.azurestack.external:9443"


@pytest.mark.parametrize("user", ["admin@cloud.example", "nobody@elsewhere.example"])
async def test_every_account_is_managed_whether_or_not_it_exists(cloud, user):
    answer = await cloud.http.get(f"/common/userrealm/{user}?api-version=1.0")
    assert answer.json() == {
        "ver": "1.0",
        "account_type": "Managed",
        "domain_name": user.partition("@")[2],
        "cloud_instance_name": "localhost",
        "cloud_audience_urn": "urn:federation:MicrosoftOnline",
    }


async def test_while_the_database_is_away_programs_and_people_are_told_so(cloud, monkeypatch):
    page = await cloud.http.get("/devicelogin")

    def away(work):
        raise StoreUnavailable("The database postgresql://host/db cannot be used.")

    monkeypatch.setattr(cloud.db, "read", away)
    answer = await cloud.token(cloud.secret_form())
    assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
    assert answer.json()["error_codes"] == [90033]
    assert answer.headers["retry-after"] == "5"
    shown = await cloud.submit(page, user_code="BCDFGHJKL")
    assert shown.status_code == 503
    assert "cannot reach its database. Try again" in shown.text
    assert "BCDFGHJKL" in shown.text
    assert "postgresql://" not in answer.text + shown.text
