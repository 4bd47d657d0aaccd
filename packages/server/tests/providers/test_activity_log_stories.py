"""Who changed what: what the activity log shows after writes that were accepted and refused."""

from __future__ import annotations

import json

import pytest

from landbridge_server.reconcile import flush_activity
from landbridge_server.store import events
from landbridge_wire.errors import ArmError

LOG = "providers/Microsoft.Insights/eventtypes/management/values"
MACHINE = "resourceGroups/demo/providers/Microsoft.HybridCompute/machines/web1"
VERSION = "api-version=2022-09-01"
SINCE = "eventTimestamp ge '2020-01-01T00:00:00Z'"


def code(answer):
    return answer.json()["error"]["code"]


@pytest.fixture
async def log(arm, cloud):
    """Read the log, after everything that happened is written."""

    async def read(condition="", path=LOG, **more):
        await cloud.plane.settle()
        text = f"{SINCE} and {condition}" if condition else SINCE
        parameters = {"$filter": text, "api-version": "2015-04-01"} | more.pop("query", {})
        return await arm("GET", path, version="", params=parameters, **more)

    await arm.group()
    return read


async def shown(log, condition="", **more):
    answer = await log(condition, **more)
    assert answer.status_code == 200, answer.text
    return answer.json()["value"]


async def test_an_accepted_write_is_an_event(arm, cloud, log):
    headers = {"x-ms-correlation-request-id": "corr-1", "x-ms-client-request-id": "client-1"}
    made = await arm("PUT", MACHINE, {"location": "local"}, headers=headers)
    (event,) = await shown(log, "correlationId eq 'CORR-1'")
    resource = f"{cloud.subscription}/{MACHINE}"
    assert event["authorization"] == {
        "action": "Microsoft.HybridCompute/machines/write",
        "scope": resource,
    }
    assert event["operationName"]["value"] == "Microsoft.HybridCompute/machines/write"
    assert event["caller"] == cloud.admin["clientId"]
    assert event["status"]["value"] == "Succeeded"
    assert event["subStatus"]["value"] == "OK"
    assert event["httpRequest"] == {
        "clientRequestId": "client-1",
        "clientIpAddress": "127.0.0.1",
        "method": "PUT",
    }
    assert event["resourceId"] == resource
    assert (event["resourceGroupName"], event["level"]) == ("demo", "Informational")
    assert event["properties"]["serviceRequestId"] == made.headers["x-ms-request-id"]
    assert event["id"].startswith(f"{resource}/events/{event['eventDataId']}/ticks/")


async def test_the_correlation_id_is_the_one_that_the_answer_told(arm, log):
    made = await arm.machine()
    (event,) = await shown(log, f"correlationId eq '{made.headers['x-ms-correlation-request-id']}'")
    assert event["operationId"] == made.headers["x-ms-correlation-request-id"]


async def test_a_refused_write_is_an_event_with_its_reason(arm, log):
    await arm.principal("nobody")
    refused = await arm("PUT", MACHINE, {"location": "local"}, by="nobody")
    (event,) = await shown(log, "status eq 'Failed'")
    assert (event["status"]["value"], event["level"]) == ("Failed", "Error")
    assert event["subStatus"] == {
        "value": "Forbidden",
        "localizedValue": "Forbidden (HTTP Status Code: 403)",
    }
    assert json.loads(event["properties"]["statusMessage"])["error"]["code"] == code(refused)


async def test_reading_is_no_event_and_neither_is_nonsense(arm, log):
    before = len(await shown(log))
    await arm("GET", MACHINE)
    await arm("PUT", "providers/Contoso.X/things/one", {})
    await arm("PUT", f"{MACHINE}/licenseProfiles/default", {})
    await arm("PUT", MACHINE, {"location": "local"}, version="")
    assert len(await shown(log)) == before


async def test_another_tenants_subscription_gets_no_events(arm, cloud, log):
    await arm("PUT", f"/subscriptions/{'0' * 8}-0000-0000-0000-{'0' * 12}/resourcegroups/x", {})
    await arm("PUT", "/subscriptions/nonsense/resourcegroups/x", {})
    await cloud.plane.settle()
    wanted = events.Wanted("", cloud.admin["tenantId"], 0, float("1e12"))
    with cloud.plane.db.reading() as connection:
        found = [json.loads(one.document) for one in events.find(connection, wanted)]
    assert {one["category"]["value"] for one in found} == {"SignIn"}


@pytest.mark.parametrize(
    ("method", "path", "action"),
    [
        ("PUT", "resourcegroups/other", "Microsoft.Resources/subscriptions/resourceGroups/write"),
        ("DELETE", "resourcegroups/other", "Microsoft.Resources/subscriptions/resourceGroups/delete"),
        (
            "POST",
            "providers/Microsoft.HybridConnectivity/register",
            "Microsoft.HybridConnectivity/register/action",
        ),
        (
            "POST",
            f"{MACHINE}/upgradeExtensions",
            "Microsoft.HybridCompute/machines/upgradeExtensions/action",
        ),
        (
            "DELETE",
            f"{MACHINE}/extensions/one",
            "Microsoft.HybridCompute/machines/extensions/delete",
        ),
    ],
)
async def test_the_action_follows_from_method_and_path(arm, log, method, path, action):
    await arm(method, path, {"location": "local"} if method != "DELETE" else None)
    newest = (await shown(log))[0]
    assert newest["operationName"]["value"] == action


async def test_events_are_chosen_by_group_resource_provider_and_caller(arm, cloud, log):
    await arm.group("other")
    await arm.machine()
    await arm.machine("web2", "other")

    async def names(condition):
        return [one["resourceId"].rpartition("/")[2] for one in await shown(log, condition)]

    assert await names("resourceGroupName eq 'DEMO'") == ["web1", "demo"]
    resource = f"{cloud.subscription}/{MACHINE}"
    assert await names(f"resourceUri eq '{resource}'") == ["web1"]
    assert await names(f"resourceId eq '{resource}'") == ["web1"]
    assert sorted(await names("resourceProvider eq microsoft.hybridcompute")) == ["web1", "web2"]
    assert await names("caller eq 'nobody'") == []
    assert len(await names(f"caller eq '{cloud.admin['clientId'].upper()}'")) == 4
    assert await names("eventTimestamp le '2020-01-02T00:00:00Z'") == []


async def test_the_newest_come_first_and_pages_lead_to_all(arm, cloud, log, monkeypatch):
    monkeypatch.setattr("landbridge_server.providers.insights.activity_log.PAGE", 2)
    for number in range(5):
        cloud.clock.advance(1)
        await arm.machine(f"web{number}")
    names = []
    answer = await log()
    while True:
        page = answer.json()
        names += [one["resourceId"].rpartition("/")[2] for one in page["value"]]
        if "nextLink" not in page:
            break
        answer = await arm("GET", page["nextLink"], version="")
    assert names == ["web4", "web3", "web2", "web1", "web0", "demo"]


async def test_only_what_is_selected_is_shown(arm, log):
    (event,) = await shown(log, query={"$select": "id, eventName ,level"})
    assert set(event) == {"id", "eventName", "level"}


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "resourceGroupName eq 'demo'",
        "eventTimestamp ge 'yesterday'",
        "eventTimestamp eq '2020-01-01T00:00:00Z'",
        f"{SINCE} or {SINCE}",
        f"{SINCE} and",
        f"{SINCE} and color eq 'red'",
        f"{SINCE} and startswith(caller, 'a')",
        f"{SINCE} and caller eq 'a",
        "eventTimestamp ge '" + "9" * 5000 + "'",
    ],
)
async def test_a_filter_that_cannot_be_used_is_400_and_says_how(arm, wrong):
    answer = await arm("GET", LOG, version="", params={"$filter": wrong, "api-version": "2015-04-01"})
    assert (answer.status_code, code(answer)) == (400, "BadRequest")
    assert "eventTimestamp ge" in answer.json()["error"]["message"]


async def test_who_may_read_a_group_reads_its_events_and_no_others(arm, log):
    await arm.principal("limited", ("Reader", "resourceGroups/demo"))
    await arm.principal("nobody")
    assert len(await shown(log, "resourceGroupName eq 'demo'", by="limited")) == 1
    for by, condition in (
        ("limited", ""),
        ("limited", "resourceGroupName eq 'other'"),
        ("nobody", "resourceGroupName eq 'demo'"),
    ):
        answer = await log(condition, by=by)
        assert (answer.status_code, code(answer)) == (403, "AuthorizationFailed")


async def test_the_tenants_own_log_and_the_categories(arm, cloud, log):
    before = await shown(log, path=f"/{LOG}")
    assert {one["category"]["value"] for one in before} == {"SignIn"}
    assignment = {"properties": {"roleDefinitionId": "no", "principalId": "no"}}
    name = "2ecfc027-3dfa-4146-9d33-dee3cb5c7c94"
    await arm("PUT", f"/providers/Microsoft.Authorization/roleAssignments/{name}", assignment)
    for query in ({}, {"$filter": SINCE}):
        await cloud.plane.settle()
        answer = await arm("GET", f"/{LOG}", params=query | {"api-version": "2015-04-01"}, version="")
        (event,) = [one for one in answer.json()["value"] if one["category"]["value"] == "Administrative"]
        assert event["operationName"]["value"] == "Microsoft.Authorization/roleAssignments/write"
        assert "subscriptionId" not in event
    categories = await arm("GET", "/providers/Microsoft.Insights/eventcategories", version="2015-04-01")
    assert [one["value"] for one in categories.json()["value"]] == [
        "Administrative",
        "Directory",
        "SignIn",
    ]


async def test_events_that_the_store_could_not_take_are_written_later(arm, cloud, log, monkeypatch):
    await shown(log)

    def broken(connection, batch):
        raise ArmError("ServiceUnavailable", "no")

    await arm.machine()
    with monkeypatch.context() as broke:
        broke.setattr(events, "add", broken)
        with pytest.raises(ArmError):
            await cloud.plane.settle()
    assert (await shown(log))[0]["resourceId"].endswith("web1")


async def test_old_events_go_and_so_do_too_many(arm, cloud, log, monkeypatch):
    cloud.clock.advance(1)
    await arm.machine()
    assert len(await shown(log)) == 2
    monkeypatch.setattr(flush_activity, "MOST", 1)
    cloud.clock.advance(flush_activity.PRUNE_SECONDS)
    await cloud.plane.settle()
    arm.tokens.clear()
    (left,) = await shown(log)
    assert left["resourceId"].endswith("web1")
    cloud.clock.advance(flush_activity.KEPT + 1)
    arm.tokens.clear()
    assert await shown(log) == []


async def test_each_write_of_a_batch_is_an_event(arm, log):
    requests = [
        {
            "httpMethod": "PUT",
            "name": name,
            "url": f"{arm.cloud.subscription}/resourcegroups/{name}?{VERSION}",
        }
        | {"content": {"location": "local"}}
        for name in ("one", "two")
    ]
    answer = await arm("POST", "/batch", {"requests": requests})
    assert answer.status_code == 200, answer.text
    names = {one["resourceId"].rpartition("/")[2]: one for one in await shown(log)}
    assert {"one", "two"} <= set(names)
    assert names["one"]["correlationId"] == answer.headers["x-ms-request-id"]


async def test_a_deletion_that_was_accepted_is_an_event_again_when_it_ended(arm, cloud, log):
    await arm.machine()
    await arm.principal("ops", ("Contributor", ""))
    assert (await arm("DELETE", "resourcegroups/demo", by="ops")).status_code == 202
    await cloud.plane.settle()
    ended, accepted = [one for one in await shown(log) if one["operationName"]["value"].endswith("/delete")]
    assert (accepted["status"]["value"], ended["status"]["value"]) == ("Accepted", "Succeeded")
    assert ended["caller"] == accepted["caller"]
    assert ended["operationName"] == accepted["operationName"]


async def test_a_deletion_that_failed_says_why(arm, cloud, log, monkeypatch):
    await arm.machine()

    def broken(*_arguments):
        raise ArmError("ScopeLocked", "not this one")

    monkeypatch.setattr("landbridge_server.reconcile.delete_groups.remove", broken)
    assert (await arm("DELETE", "resourcegroups/demo")).status_code == 202
    await cloud.plane.settle()
    (ended,) = await shown(log, "status eq 'Failed'")
    assert "ResourceGroupDeletionBlocked" in ended["properties"]["statusMessage"]
    assert ended["caller"] == cloud.admin["clientId"]
