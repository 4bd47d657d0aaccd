"""How a machine is reached: endpoints, service configurations, credentials."""

from __future__ import annotations

import pytest

MACHINE = "resourceGroups/demo/providers/Microsoft.HybridCompute/machines/web1"
ENDPOINTS = f"{MACHINE}/providers/Microsoft.HybridConnectivity/endpoints"
DEFAULT = f"{ENDPOINTS}/default"
CREDENTIALS = f"{DEFAULT}/listCredentials"


def code(answer):
    return answer.json()["error"]["code"]


@pytest.fixture
async def machine(arm):
    await arm.group()
    return (await arm.machine()).json()


@pytest.fixture
async def registered(arm, machine):
    await arm("POST", "providers/Microsoft.HybridConnectivity/register")
    return arm


async def test_credentials_are_there_at_once_without_registration(arm, machine, cloud):
    answer = await arm("POST", f"{CREDENTIALS}?expiresin=3600", {"serviceName": "SSH"}, version="2023-03-15")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    relay = answer.json()["relay"]
    assert (
        relay["hybridConnectionName"]
        == "microsoft.hybridcompute/machines/" + machine["identity"]["principalId"]
    )
    assert f"{relay['namespaceName']}.{relay['namespaceNameSuffix']}" == "127.0.0.1:9443"
    assert relay["accessKey"].startswith("SharedAccessSignature sr=")
    assert relay["expiresOn"] == int(cloud.clock()) + 3600
    assert relay["serviceConfigurationToken"].count(".") == 2


async def test_without_a_body_there_is_no_service_token_and_three_hours(arm, machine, cloud):
    relay = (await arm("POST", CREDENTIALS, version="2021-10-06-preview")).json()["relay"]
    assert "serviceConfigurationToken" not in relay
    assert relay["expiresOn"] == int(cloud.clock()) + 10800


@pytest.mark.parametrize("seconds", ["599", "10801", "-1", "x", "3600.0", ""])
async def test_another_lifetime_is_400(arm, machine, seconds):
    answer = await arm("POST", f"{CREDENTIALS}?expiresin={seconds}")
    assert (answer.status_code, code(answer)) == (400, "InvalidParameter")


async def test_a_service_without_configuration_is_412(registered):
    answer = await registered("POST", CREDENTIALS, {"serviceName": "WAC"})
    assert (answer.status_code, code(answer)) == (412, "PreconditionFailed")
    made = await registered(
        "PUT", f"{DEFAULT}/serviceConfigurations/WAC", {"properties": {"serviceName": "WAC"}}
    )
    assert (made.status_code, made.json()["properties"]["port"]) == (201, 6516)
    assert (await registered("POST", CREDENTIALS, {"serviceName": "wac"})).status_code == 200


@pytest.mark.parametrize("body", [[], {"serviceName": 1}, "x"])
async def test_credentials_with_a_wrong_body_are_400(arm, machine, body):
    assert (await arm("POST", CREDENTIALS, body)).status_code == 400


async def test_credentials_of_an_endpoint_that_is_not_there_are_404(registered):
    assert (await registered("DELETE", DEFAULT)).status_code == 200
    assert (await registered("DELETE", DEFAULT)).status_code == 204
    answer = await registered("POST", CREDENTIALS)
    assert (answer.status_code, code(answer)) == (404, "ResourceNotFound")
    made = await registered("PUT", DEFAULT, {"properties": {"type": "default"}})
    assert made.status_code == 200
    assert (await registered("POST", CREDENTIALS, {"serviceName": "SSH"})).status_code == 412


async def test_writing_needs_a_registration_and_its_refusal_names_the_namespace_last(arm, machine):
    answer = await arm("PUT", DEFAULT, {"properties": {"type": "default"}})
    assert (answer.status_code, code(answer)) == (409, "MissingSubscriptionRegistration")
    message = answer.json()["error"]["message"]
    assert message.rpartition("'")[0].rpartition("'")[2] == "Microsoft.HybridConnectivity"


async def test_the_port_of_a_service_is_changed_by_put_and_by_patch(registered):
    path = f"{DEFAULT}/serviceConfigurations/SSH"
    assert (await registered("GET", path)).json()["properties"]["port"] == 22
    answer = await registered("PUT", path, {"properties": {"serviceName": "SSH", "port": 2222}})
    assert (answer.status_code, answer.json()["properties"]["port"]) == (200, 2222)
    answer = await registered("PATCH", path, {"properties": {"port": 22022}})
    assert answer.json()["properties"] == {
        "serviceName": "SSH",
        "port": 22022,
        "provisioningState": "Succeeded",
    }
    listed = (await registered("GET", f"{DEFAULT}/serviceConfigurations")).json()["value"]
    assert [one["name"] for one in listed] == ["SSH"]
    assert (await registered("DELETE", path)).status_code == 200
    assert (await registered("GET", path)).status_code == 404


@pytest.mark.parametrize(
    "properties",
    [{}, {"serviceName": "FTP"}, {"serviceName": "SSH", "port": 0}, {"serviceName": "SSH", "port": True}],
)
async def test_a_wrong_service_configuration_is_400(registered, properties):
    answer = await registered("PUT", f"{DEFAULT}/serviceConfigurations/x", {"properties": properties})
    assert (answer.status_code, code(answer)) == (400, "InvalidRequestContent")


async def test_an_endpoint_belongs_to_a_machine(registered):
    path = "resourceGroups/demo/providers/Microsoft.HybridConnectivity/endpoints/default"
    answer = await registered("PUT", path, {"properties": {"type": "default"}})
    assert (answer.status_code, code(answer)) == (400, "BadRequest")
    assert (await registered("GET", path.rpartition("/")[0])).json() == {"value": []}


async def test_a_wrong_endpoint_and_an_unknown_action_are_refused(registered):
    assert (await registered("PUT", DEFAULT, {"properties": {}})).status_code == 400
    answer = await registered("POST", f"{DEFAULT}/listSecrets")
    assert (answer.status_code, code(answer)) == (404, "InvalidResourceType")


@pytest.mark.parametrize("action", ["listIngressGatewayCredentials", "listManagedProxyDetails"])
async def test_gateways_and_proxies_are_not_offered_and_the_refusal_says_what_is(registered, action):
    answer = await registered("POST", f"{DEFAULT}/{action}", {"service": "127.0.0.1:22"})
    assert (answer.status_code, code(answer)) == (404, "InvalidResourceType")
    assert "use listCredentials" in answer.json()["error"]["message"]
    listed = await registered("GET", "/providers/Microsoft.HybridConnectivity/operations")
    assert action not in listed.text


async def test_a_custom_endpoint_is_kept_and_has_no_credentials(registered):
    path = f"{ENDPOINTS}/custom"
    body = {"properties": {"type": "custom", "resourceId": "/subscriptions/s/resourceGroups/r"}}
    made = await registered("PUT", path, body)
    assert (made.status_code, made.json()["properties"]["resourceId"]) == (
        200,
        body["properties"]["resourceId"],
    )
    assert (await registered("GET", path)).json() == made.json()
    names = [one["name"] for one in (await registered("GET", ENDPOINTS)).json()["value"]]
    assert names == ["custom", "default"]
    answer = await registered("POST", f"{path}/listCredentials")
    assert (answer.status_code, code(answer)) == (409, "OperationNotAllowed")
    assert (await registered("DELETE", path)).status_code == 200
    assert (await registered("DELETE", path)).status_code == 204


async def test_who_may_log_in_gets_credentials_and_a_reader_does_not(arm, machine):
    await arm.principal("user", ("Virtual Machine Local User Login", MACHINE))
    await arm.principal("reader", ("Reader", MACHINE))
    assert (await arm("POST", CREDENTIALS, {"serviceName": "SSH"}, by="user")).status_code == 200
    assert (await arm("POST", CREDENTIALS, {"serviceName": "SSH"}, by="reader")).status_code == 403
