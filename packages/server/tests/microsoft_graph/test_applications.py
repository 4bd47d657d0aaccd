from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from landbridge_server.testing import START

KEY = rsa.generate_private_key(65537, 2048)


def certificate(name="deploy", key=KEY, days=365):
    begins = datetime.fromtimestamp(START, UTC) - timedelta(days=1)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    return made


def key_credential(made, **more):
    der = made.public_bytes(serialization.Encoding.DER)
    return {"type": "AsymmetricX509Cert", "usage": "Verify", "key": base64.encodebytes(der).decode()} | more


async def test_a_secret_of_the_application_signs_its_service_principal_in(graph, cloud):
    app, sp = await graph.app()
    made = await graph.ok(
        "POST", f"/applications/{app['id']}/addPassword", {"passwordCredential": {"displayName": "rbac"}}
    )
    assert made["secretText"].startswith(made["hint"])
    assert (made["displayName"], made["customKeyIdentifier"]) == ("rbac", None)
    token = await cloud.token(app["appId"], made["secretText"])
    graph.give(sp["id"], "Reader", cloud.subscription)
    assert (await cloud.arm("GET", cloud.subscription, token=token)).status_code == 200
    (shown,) = (await graph.ok("GET", f"/applications/{app['id']}"))["passwordCredentials"]
    assert (shown["keyId"], shown["secretText"]) == (made["keyId"], None)
    assert (await graph.ok("GET", f"/servicePrincipals/{sp['id']}"))["passwordCredentials"] == []
    await graph.ok("POST", f"/applications/{app['id']}/removePassword", {"keyId": made["keyId"].upper()})
    with pytest.raises(Exception, match="401"):
        await cloud.token(app["appId"], made["secretText"])


async def test_a_secret_of_the_service_principal_signs_it_in_between_its_times(graph, cloud):
    app, sp = await graph.app()
    at = datetime.fromtimestamp(START, UTC)
    wanted = {
        "startDateTime": (at + timedelta(hours=1)).isoformat(),
        "endDateTime": (at + timedelta(hours=2)).isoformat().replace("+00:00", "Z"),
    }
    made = await graph.ok(
        "POST", f"/servicePrincipals/{sp['id']}/addPassword", {"passwordCredential": wanted}
    )
    for hours, works in ((0, False), (1, True), (2, False)):
        cloud.clock.now = START + hours * 3600 + 1
        if works:
            assert await cloud.token(app["appId"], made["secretText"])
        else:
            with pytest.raises(Exception, match="401"):
                await cloud.token(app["appId"], made["secretText"])


async def test_deleting_the_application_ends_its_tokens_at_once(graph, cloud):
    app, sp = await graph.app()
    made = await graph.ok("POST", f"/applications/{app['id']}/addPassword")
    graph.give(sp["id"], "Reader", cloud.subscription)
    token = await cloud.token(app["appId"], made["secretText"])
    await graph.ok("DELETE", f"/applications/{app['id']}")
    assert (await cloud.arm("GET", cloud.subscription, token=token)).status_code == 401
    assert (await graph.refused("GET", f"/servicePrincipals/{sp['id']}"))[0] == 404
    with pytest.raises(Exception, match=r"40[01]"):
        await cloud.token(app["appId"], made["secretText"])


async def test_a_service_principal_can_be_deleted_and_made_again(graph, cloud):
    app, sp = await graph.app()
    made = await graph.ok("POST", f"/applications/{app['id']}/addPassword")
    await graph.ok("DELETE", f"/servicePrincipals(appId='{app['appId']}')")
    with pytest.raises(Exception, match=r"40[01]"):
        await cloud.token(app["appId"], made["secretText"])
    again = await graph.ok("POST", "/servicePrincipals", {"appId": app["appId"], "accountEnabled": True})
    assert again["id"] != sp["id"]
    assert await cloud.token(app["appId"], made["secretText"])


async def test_a_disabled_service_principal_is_out(graph, cloud):
    app, sp = await graph.app()
    made = await graph.ok("POST", f"/applications/{app['id']}/addPassword")
    graph.give(sp["id"], "Reader", cloud.subscription)
    token = await cloud.token(app["appId"], made["secretText"])
    await graph.ok("PATCH", f"/servicePrincipals/{sp['id']}", {"accountEnabled": False})
    assert (await cloud.arm("GET", cloud.subscription, token=token)).status_code == 401


async def test_certificates_are_set_by_patch_and_kept_by_their_key_id(graph):
    first, second = certificate(), certificate("other")
    app = await graph.ok(
        "POST", "/applications", {"displayName": "deploy", "keyCredentials": [key_credential(first)]}
    )
    (kept,) = app["keyCredentials"]
    assert (kept["key"], kept["usage"]) == (None, "Verify")
    assert kept["customKeyIdentifier"] == first.fingerprint(hashes.SHA1()).hex().upper()
    both = [kept, key_credential(second, displayName="two")]
    await graph.ok("PATCH", f"/applications/{app['id']}", {"keyCredentials": both})
    shown = (await graph.ok("GET", f"/applications/{app['id']}"))["keyCredentials"]
    assert {one["displayName"] for one in shown} == {None, "two"}
    assert kept["keyId"] in {one["keyId"] for one in shown}
    await graph.ok("PATCH", f"/applications/{app['id']}", {"keyCredentials": []})
    assert (await graph.ok("GET", f"/applications/{app['id']}"))["keyCredentials"] == []


async def test_certificates_that_cannot_be_used_are_refused(graph):
    app = await graph.ok("POST", "/applications", {"displayName": "deploy"})
    small, ended = rsa.generate_private_key(65537, 1024), certificate(days=1)
    good = certificate()
    for entries, said in [
        ("x", "Invalid value specified for property 'keyCredentials'"),
        ([key_credential(certificate(key=small))], "at least 2048 bits"),
        ([key_credential(ended)], "has ended"),
        ([key_credential(good), key_credential(good)], "given twice"),
        ([key_credential(good, type="Symmetric")], "must be of type"),
        ([key_credential(good, key=None)], "needs 'key'"),
        ([key_credential(good, key="%%%")], "not base64"),
        ([key_credential(good, key="aGVsbG8=")], "no X.509 certificate"),
        ([key_credential(good, endDateTime="2099-01-01T00:00:00Z")], "end date is invalid"),
        ([key_credential(good, endDateTime="2001-01-01T00:00:00Z")], "end date is invalid"),
        ([key_credential(good, endDateTime="soon")], "a time in UTC is expected"),
    ]:
        status, code, message = await graph.refused(
            "PATCH", f"/applications/{app['id']}", {"keyCredentials": entries}
        )
        assert (status, code) == (400, "Request_BadRequest"), said
        assert said in message
    assert (await graph.ok("GET", f"/applications/{app['id']}"))["keyCredentials"] == []


async def test_an_application_is_found_by_all_its_names(graph):
    uri = "api://deploy.example/x"
    app, sp = await graph.app("deploy tool", identifierUris=[uri])
    await graph.app("other")
    for asked in (
        f"/applications?$filter=appId eq '{app['appId'].upper()}'",
        "/applications?$filter=startswith(displayName,'Deploy')",
        f"/applications?$filter=identifierUris/any(s:s eq '{uri}')",
        f"/applications?$filter=startswith(displayName,'deploy tool') and identifierUris/any(s:s eq '{uri}')",
    ):
        assert [one["id"] for one in (await graph.ok("GET", asked))["value"]] == [app["id"]], asked
    for asked in (
        f"/servicePrincipals?$filter=servicePrincipalNames/any(c:c eq '{uri}')",
        f"/servicePrincipals?$filter=servicePrincipalNames/any(c:c eq '{app['appId']}')",
        "/servicePrincipals?$filter=displayName eq 'deploy tool'",
        f"/servicePrincipals?$filter=id eq '{sp['id']}' and servicePrincipalType eq 'Application'",
    ):
        assert [one["id"] for one in (await graph.ok("GET", asked))["value"]] == [sp["id"]], asked
    assert (await graph.ok("GET", f"/applications(appId='{app['appId']}')"))["id"] == app["id"]
    assert sp["servicePrincipalNames"] == [app["appId"], uri]


async def test_a_new_name_of_the_application_is_its_service_principals(graph):
    app, sp = await graph.app()
    await graph.ok(
        "PATCH",
        f"/applications/{app['id']}",
        {"displayName": "Renamed", "web": {"redirectUris": ["https://x"]}},
    )
    assert (await graph.ok("GET", f"/servicePrincipals/{sp['id']}"))["displayName"] == "Renamed"
    shown = await graph.ok("GET", f"/applications/{app['id']}")
    assert shown["web"]["redirectUris"] == ["https://x"]
    assert shown["web"]["implicitGrantSettings"]["enableIdTokenIssuance"] is False


async def test_what_is_wrong_with_an_application_is_said(graph):
    await graph.app("first", identifierUris=["api://taken"])
    for body, said in [
        ({}, "A value is required for property 'displayName'"),
        ({"displayName": "x", "signInAudience": "AzureADMultipleOrgs"}, "only be 'AzureADMyOrg'"),
        ({"displayName": "x", "identifierUris": ["api://taken"]}, "property identifierUris already exists"),
        ({"displayName": "x", "identifierUris": ["no uri"]}, "is not a URI"),
        ({"displayName": "x", "passwordCredentials": []}, "Invalid property 'passwordCredentials'"),
    ]:
        status, code, message = await graph.refused("POST", "/applications", body)
        assert (status, code) == (400, "Request_BadRequest"), said
        assert said in message
    assert len((await graph.ok("GET", "/applications"))["value"]) == 2  # and the administrator's


async def test_a_service_principal_needs_an_application_and_there_is_one_for_each(graph):
    app, _ = await graph.app()
    nobody = "00000000-0000-0000-0000-000000000000"
    status, code, message = await graph.refused("POST", "/servicePrincipals", {"appId": nobody})
    assert (status, code) == (400, "NoBackingApplicationObject")
    assert "does not reference a valid application object" in message
    status, code, message = await graph.refused("POST", "/servicePrincipals", {"appId": app["appId"]})
    assert (status, code) == (409, "Request_MultipleObjectsWithSameKeyValue")
    assert app["appId"] in message


async def test_secrets_that_cannot_be_are_refused(graph):
    app, _ = await graph.app()
    path = f"/applications/{app['id']}"
    for body in (
        {"passwordCredential": [1]},
        {"passwordCredential": {"endDateTime": "2001-01-01T00:00:00Z"}},
        {"passwordCredential": {"endDateTime": 7}},
        {"passwordCredential": {"displayName": 7}},
        {
            "passwordCredential": {
                "startDateTime": "2033-01-01T00:00:00Z",
                "endDateTime": "2032-01-01T00:00:00Z",
            }
        },
    ):
        assert (await graph.refused("POST", f"{path}/addPassword", body))[:2] == (400, "Request_BadRequest")
    status, _, message = await graph.refused("POST", f"{path}/removePassword", {"keyId": app["id"]})
    assert (status, message) == (400, "No password credential found with keyId.")


async def test_what_landbridge_sp_makes_is_the_same_directory(graph, cloud):
    _, client_id, secret = cloud.create_service_principal("by hand")
    (app,) = (await graph.ok("GET", "/applications?$filter=displayName eq 'by hand'"))["value"]
    (sp,) = (await graph.ok("GET", "/servicePrincipals?$filter=displayName eq 'by hand'"))["value"]
    assert app["appId"] == sp["appId"] == client_id
    (kept,) = sp["passwordCredentials"]
    await graph.ok("POST", f"/servicePrincipals/{sp['id']}/removePassword", {"keyId": kept["keyId"]})
    with pytest.raises(Exception, match="401"):
        await cloud.token(client_id, secret)
