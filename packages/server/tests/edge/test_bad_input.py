"""Input that was made to break something: each gets its refusal, and none gets a 500."""

from __future__ import annotations

import asyncio
import base64
import json

import pytest

from landbridge_server.identity import directory
from landbridge_wire import agent_api

MACHINE = "resourceGroups/demo/providers/Microsoft.HybridCompute/machines/web1"
ENDPOINT = f"{MACHINE}/providers/Microsoft.HybridConnectivity/endpoints/default"


def code(answer):
    return answer.json()["error"]["code"]


@pytest.mark.parametrize(
    "path",
    [
        "providers/a/b/c/" * 1000 + "providers/Microsoft.HybridConnectivity/endpoints/x",
        "providers/a/" + "b/c/" * 300 + "providers/Microsoft.Authorization/roleAssignments",
        "resourceGroups/" + "x" * 20_000 + "/providers/Microsoft.HybridCompute/machines/web1",
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_an_endless_path_is_refused_before_it_is_looked_at(arm, method, path):
    answer = await arm(method, path, {} if method == "PUT" else None)
    assert (answer.status_code, code(answer)) in {(400, "BadRequest"), (404, "NotFound")}


async def test_an_endless_id_in_an_enrolment_is_refused(cloud):
    path = cloud.subscription + "/resourceGroups/demo" + "/providers/a/b/c" * 2000
    message = agent_api.EnrollmentRequest(
        f"{path}/providers/Microsoft.HybridCompute/machines/m", "x", "1"
    ).to_json()
    headers = {"authorization": f"Bearer {await cloud.token()}"}
    answer = await cloud.client.post(agent_api.ENROLLMENTS, json=message, headers=headers)
    assert (answer.status_code, code(answer)) == (400, "InvalidParameter")


@pytest.mark.parametrize("seconds", ["000000600" + "9" * 5000, "0000006009999", "²"])
async def test_a_number_of_many_digits_is_no_lifetime(arm, seconds):
    await arm.group()
    await arm.machine()
    answer = await arm("POST", f"{ENDPOINT}/listCredentials?expiresin={seconds}")
    assert (answer.status_code, code(answer)) == (400, "InvalidParameter")


@pytest.mark.parametrize("port", ["²", "1" * 5000, "0000229999", 10**30, True, 0])
async def test_a_port_that_is_none_is_refused(arm, port):
    await arm.group()
    await arm.machine()
    await arm("POST", "providers/Microsoft.HybridConnectivity/register")
    body = {"properties": {"serviceName": "SSH", "port": port}}
    answer = await arm("PUT", f"{ENDPOINT}/serviceConfigurations/SSH", body)
    assert (answer.status_code, code(answer)) == (400, "InvalidRequestContent")


@pytest.mark.parametrize("where", ["", "/subscriptions/{}/resourceGroups/demo"])
async def test_a_group_is_made_nowhere_but_in_its_place(arm, cloud, where):
    await arm.group()
    path = where.format(cloud.admin["subscriptionId"]) + "/providers/Microsoft.Resources/resourceGroups/x"
    for method in ("PUT", "PATCH", "GET", "DELETE"):
        answer = await arm(method, path, {"location": "local"} if method[0] == "P" else None)
        assert (answer.status_code, code(answer)) == (404, "InvalidResourceType"), method


async def test_half_a_surrogate_pair_in_an_assertion_is_refused(cloud):
    header = base64.urlsafe_b64encode(json.dumps({"alg": "ES256", "x5t#S256": "\ud800"}).encode())
    form = {
        "grant_type": "client_credentials",
        "scope": agent_api.AUDIENCE + "/.default",
        "client_assertion_type": agent_api.CLIENT_ASSERTION_TYPE,
        "client_assertion": header.rstrip(b"=").decode() + ".e30.AAAA",
    }
    answer = await cloud.client.post("/common/oauth2/v2.0/token", data=form)
    assert answer.status_code == 401
    assert "AADSTS700027" in answer.text


async def test_facts_that_are_nested_without_end_are_refused(cloud, arm):
    await arm.group()
    identity = (await arm.machine()).json()["identity"]["principalId"]
    with cloud.plane.db.reading() as connection:
        from landbridge_server.store import principals

        principal = principals.get(connection, identity)
    issuer = cloud.plane.identity.service.issuer
    token = issuer.access_token(principal, principal.tenant_id, agent_api.AUDIENCE, principal.app_id)
    for depth in (65, 400, 900, 950, 980, 5000):
        answer = await cloud.client.put(
            agent_api.FACTS,
            content=b'{"a":' + b"[" * depth + b"]" * depth + b"}",
            headers={"authorization": f"Bearer {token}"},
        )
        assert (answer.status_code, code(answer)) == (400, "InvalidRequestContent"), depth


async def test_who_loses_access_while_the_body_is_on_its_way_is_refused(cloud):
    object_id, app, secret = cloud.create_service_principal("slow", "Owner")
    token = await cloud.token(app, secret)

    async def slowly():
        yield b'{"location":'
        with cloud.plane.db.writing() as connection:
            directory.set_enabled(connection, object_id, False, cloud.clock())
        await asyncio.sleep(0)
        yield b'"local"}'

    answer = await cloud.client.put(
        f"{cloud.subscription}/resourcegroups/late?api-version=2022-09-01",
        content=slowly(),
        headers={"authorization": f"Bearer {token}", "content-type": "application/json"},
    )
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "query",
    [
        "$filter=name%20eq%20'%00'",
        "$filter=tagName%20eq%20'%00'",
        "$skiptoken=AA",
        "$skiptoken=%00",
        "$top=%00",
    ],
)
async def test_a_nul_in_a_query_is_refused(arm, query):
    await arm.group()
    answer = await arm("GET", f"resources?{query}")
    assert (answer.status_code, code(answer)) in {(400, "BadRequest"), (400, "InvalidParameter")}


@pytest.mark.parametrize("body", [{"tags": {"a": "\0"}}, {"managedBy": "a\0"}, {"location": "\0"}])
async def test_a_nul_in_a_body_is_refused(arm, body):
    answer = await arm.group(**body)
    assert (answer.status_code, code(answer)) == (400, "InvalidRequestContent")


async def test_what_only_looks_like_a_nul_is_kept(arm):
    answer = await arm.group(tags={"a": "\\u0000"})
    assert answer.json()["tags"] == {"a": "\\u0000"}


@pytest.mark.parametrize("field", ["client_id", "client_secret", "username", "refresh_token", "device_code"])
@pytest.mark.parametrize("grant", ["client_credentials", "password", "refresh_token", "device_code"])
async def test_a_nul_in_a_form_is_refused(cloud, grant, field):
    form = {
        "grant_type": grant,
        "client_id": "04b07795-8ddb-461a-bbee-02f9e1bf7b46",
        "client_secret": "x",
        "scope": f"{cloud.config.endpoints.audience}/.default",
        "username": "a@b",
        "password": "x",
        "refresh_token": "x",
        "device_code": "x",
    }
    answer = await cloud.client.post("/common/oauth2/v2.0/token", data=form | {field: "a\0b"})
    assert 400 <= answer.status_code < 500
    assert answer.json()["error_codes"]


async def test_a_nul_in_the_name_of_a_tenant_is_refused(cloud):
    answer = await cloud.client.get("/a%00b/.well-known/openid-configuration")
    assert answer.status_code == 400
