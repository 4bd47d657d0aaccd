"""Sign-ins, refusals at the gate and floods, as the tenant's log shows them."""

from __future__ import annotations

import json

import pytest

from landbridge_server.arm import sign_in_notes
from landbridge_server.arm.activity import LOST, Activity
from landbridge_server.arm.note_bounds import WINDOW
from landbridge_server.arm.sign_in_notes import SignInNotes
from landbridge_server.identity.clients import AZURE_CLI
from landbridge_server.identity.csrf import FormGuard
from landbridge_server.identity.errors import OAuthError
from landbridge_server.identity.person import PersonCheck
from landbridge_server.identity.sign_in_log import Asking, SignIn
from landbridge_server.store import events
from landbridge_server.store.principals import MANAGED_IDENTITY
from landbridge_server.testing import HandClock

TENANT_LOG = "/providers/Microsoft.Insights/eventtypes/management/values"
CORRELATION = "7c9d3a52-0e1f-4b6a-9c55-94d1c0a7f001"


@pytest.fixture
async def log(arm, cloud):
    """The documents of the tenant's log, the newest first."""

    async def read():
        await cloud.plane.settle()
        answer = await arm("GET", TENANT_LOG, version="2015-04-01")
        assert answer.status_code == 200, answer.text
        return answer.json()["value"]

    return read


@pytest.fixture
def everything(cloud):
    """All documents, also those of no tenant, in the order of the chain."""

    async def read():
        await cloud.plane.settle()
        with cloud.plane.db.reading() as connection:
            return [json.loads(row.event.document) for row in events.chain(connection, 0, 1000)]

    return read


async def with_password(cloud, user, password, tenant="organizations"):
    form = {
        "grant_type": "password",
        "client_id": AZURE_CLI,
        "username": user,
        "password": password,
        "scope": f"{cloud.config.endpoints.audience}/.default offline_access",
    }
    return await cloud.client.post(
        f"/{tenant}/oauth2/v2.0/token", data=form, headers={"client-request-id": CORRELATION}
    )


async def test_a_sign_in_is_an_event_of_the_tenant(cloud, log):
    await cloud.token()
    (event,) = await log()
    assert event["operationName"]["value"] == sign_in_notes.ACTION
    assert event["category"]["value"] == "SignIn"
    assert (event["caller"], event["status"]["value"]) == (cloud.admin["clientId"], "Succeeded")
    assert event["httpRequest"]["clientIpAddress"] == "127.0.0.1"
    assert event["properties"]["grantType"] == "client_credentials"
    assert event["properties"]["resource"] == cloud.config.endpoints.audience
    assert event["tenantId"] == cloud.admin["tenantId"]
    assert "subscriptionId" not in event


async def test_a_refused_sign_in_names_the_aadsts_code_and_who_was_meant(cloud, log):
    refused = await with_password(cloud, cloud.admin["userName"], "not-the-password")
    assert refused.status_code == 400
    (event,) = [one for one in await log() if one["status"]["value"] == "Failed"]
    assert event["caller"] == cloud.admin["userName"]
    assert json.loads(event["properties"]["statusMessage"])["error"]["code"] == "AADSTS50126"
    assert (event["properties"]["grantType"], event["properties"]["clientAppId"]) == ("password", AZURE_CLI)
    assert event["correlationId"] == CORRELATION
    assert event["properties"]["serviceRequestId"] == refused.json()["trace_id"]
    assert "not-the-password" not in json.dumps(event)


async def test_a_user_that_does_not_exist_is_noted_under_the_tenant_of_the_domain(cloud, log):
    domain = cloud.admin["userName"].partition("@")[2]
    await with_password(cloud, f"nobody@{domain}", "x")
    assert any(one["caller"] == f"nobody@{domain}" for one in await log())


async def test_what_is_no_name_is_not_written_for_it_may_be_a_password(cloud, everything):
    await with_password(cloud, "Secret-Passw0rd!", "x")
    (event,) = await everything()
    assert event["caller"] == ""
    assert "Secret-Passw0rd!" not in json.dumps(event)


async def test_a_wrong_secret_an_unknown_client_and_an_unknown_tenant_are_noted(cloud, everything):
    audience = f"{cloud.config.endpoints.audience}/.default"
    for tenant, client, secret in (
        (cloud.admin["tenantId"], cloud.admin["clientId"], "wrong"),
        (cloud.admin["tenantId"], "00000000-0000-0000-0000-000000000001", "wrong"),
        ("no-such-tenant.example", cloud.admin["clientId"], "wrong"),
    ):
        form = {
            "grant_type": "client_credentials",
            "client_id": client,
            "client_secret": secret,
            "scope": audience,
        }
        await cloud.client.post(f"/{tenant}/oauth2/v2.0/token", data=form)
    found = await everything()
    codes = [json.loads(one["properties"]["statusMessage"])["error"]["code"] for one in found]
    assert codes == ["AADSTS7000215", "AADSTS700016", "AADSTS90002"]
    assert [one["tenantId"] for one in found] == [cloud.admin["tenantId"]] * 2 + [""]


async def test_a_malformed_request_is_no_sign_in(cloud, everything):
    await cloud.client.post("/organizations/oauth2/v2.0/token", data={"grant_type": "no-such-grant"})
    await cloud.client.post("/organizations/oauth2/v2.0/token", data={})
    assert await everything() == []


async def test_equal_sign_ins_are_one_event_a_minute_with_their_number(cloud, arm, log):
    for _ in range(5):
        await cloud.token()
    assert len(await log()) == 1
    cloud.clock.advance(WINDOW)
    counted, first = await log()
    assert (counted["properties"]["count"], "count" in first["properties"]) == ("5", False)


async def test_the_log_of_the_tenant_needs_a_right_at_the_root(cloud, arm):
    await arm.principal("limited", ("Reader", cloud.subscription))
    answer = await arm("GET", TENANT_LOG, version="2015-04-01", by="limited")
    assert answer.status_code == 403


async def test_reading_what_one_may_not_is_an_event_of_the_subscription(cloud, arm):
    await arm.group()
    await arm.principal("nobody")
    for _ in range(3):
        refused = await arm("GET", "resourcegroups/demo", by="nobody")
        assert refused.status_code == 403
    await cloud.plane.settle()
    answer = await arm(
        "GET",
        "providers/Microsoft.Insights/eventtypes/management/values",
        version="",
        params={
            "api-version": "2015-04-01",
            "$filter": "eventTimestamp ge '2020-01-01' and status eq 'Failed'",
        },
    )
    (event,) = answer.json()["value"]
    assert event["operationName"]["value"] == "Microsoft.Resources/subscriptions/resourceGroups/read"
    assert event["httpRequest"]["method"] == "GET"


async def test_requests_without_a_good_token_are_noted_for_operators_only(cloud, arm, everything, log):
    for path in ("/subscriptions", "/subscriptions/x/resourcegroups/y", "/providers"):
        await cloud.client.get(path, headers={"authorization": "Bearer secret-nonsense"})
    noted = await everything()
    assert [one["httpRequest"]["method"] for one in noted] == ["GET"]
    assert (noted[0]["caller"], noted[0]["tenantId"]) == ("", "")
    assert "secret-nonsense" not in json.dumps(noted)
    assert all(one["category"]["value"] == "SignIn" for one in await log())


async def test_a_flood_of_strangers_is_a_number(cloud, everything):
    activity = cloud.plane.activity
    notes = SignInNotes(activity)
    for number in range(2000):
        asking = Asking(f"192.0.{number // 250}.{number % 250}", "r", "c")
        notes(SignIn(50126, "no", "password", AZURE_CLI, "", f"user{number}@example.org", asking))
    found = await everything()
    assert len(found) < 600
    (lost,) = [one for one in found if one["operationName"]["value"] == LOST]
    assert "1500 refusals" in lost["properties"]["statusMessage"]


def test_a_machine_is_noted_when_it_is_new_comes_from_elsewhere_and_once_a_week():
    clock = HandClock()
    activity = Activity(clock)
    notes = SignInNotes(activity)

    def signs_in(address="10.0.0.1"):
        asking = Asking(address, "r", "c")
        notes(
            SignIn(0, "", "client_credentials", "app", "t", "app", asking, "oid", MANAGED_IDENTITY, "agent")
        )
        clock.advance(3600)
        return [json.loads(one.document) for one in activity.take(10)]

    assert len(signs_in()) == 1
    assert [signs_in() for _ in range(24)] == [[]] * 24
    assert len(signs_in("10.0.0.2")) == 1
    clock.advance(sign_in_notes.MACHINE_SECONDS)
    (event,) = signs_in("10.0.0.2")
    assert event["caller"] == "app"


async def test_a_wrong_password_on_a_page_is_noted(cloud, everything):
    person = PersonCheck(cloud.plane.identity.service, FormGuard(b"m" * 32), b"m" * 32)
    form = {"username": cloud.admin["userName"], "password": "wrong", "client_id": AZURE_CLI}
    with pytest.raises(OAuthError):
        await person.first(form, "192.0.2.7", "this cloud")
    (event,) = await everything()
    assert (event["caller"], event["properties"]["grantType"]) == (cloud.admin["userName"], "page")
