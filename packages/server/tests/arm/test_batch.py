"""Many requests in one."""

from __future__ import annotations

import pytest

from landbridge_server.arm.throttle import BURST_SECONDS
from landbridge_server.testing import ControlPlane

VERSION = "?api-version=2022-09-01"


def code(answer):
    return answer.json()["error"]["code"]


def request(cloud, method, path, content=None, **more):
    url = f"{path if path.startswith(('/', 'h')) else f'{cloud.subscription}/{path}'}"
    body = {"httpMethod": method, "url": url + ("" if "api-version" in url else VERSION)} | more
    return body if content is None else body | {"content": content}


async def batch(arm, *requests, version="2020-06-01", **more):
    return await arm("POST", "/batch", {"requests": list(requests)}, version=version, **more)


async def test_each_request_is_answered_as_if_it_had_come_alone(arm, cloud):
    base = cloud.config.endpoints.resource_manager
    made = {"location": "local", "tags": {"a": "b"}}
    answer = await batch(
        arm,
        request(cloud, "PUT", "resourceGroups/one", made, name="first"),
        request(cloud, "GET", "resourceGroups/one"),
        request(cloud, "get", f"{base}{cloud.subscription}/resourceGroups/none{VERSION}"),
        request(cloud, "HEAD", "resourceGroups/one"),
        request(cloud, "DELETE", "resourceGroups/one", name="last"),
    )
    assert answer.status_code == 200
    responses = answer.json()["responses"]
    assert [one["httpStatusCode"] for one in responses] == [201, 200, 404, 204, 202]
    assert [one.get("name") for one in responses] == ["first", None, None, None, "last"]
    assert responses[0]["content"] == responses[1]["content"]
    assert responses[1]["content"]["tags"] == {"a": "b"}
    assert responses[1]["headers"]["etag"] == responses[0]["headers"]["etag"]
    assert responses[1]["contentLength"] > 0
    assert responses[2]["content"]["error"]["code"] == "ResourceGroupNotFound"
    assert (responses[3]["contentLength"], "content" in responses[3]) == (0, False)
    assert "/operationresults/" in responses[4]["headers"]["location"]
    assert len({one["headers"]["x-ms-request-id"] for one in responses}) == 5


async def test_each_request_passes_the_gate_and_the_preconditions(arm, cloud):
    await arm.group("one")
    await arm.principal("reader", ("Reader", "resourceGroups/one"))
    answer = await batch(
        arm,
        request(cloud, "GET", "resourceGroups/one"),
        request(cloud, "PUT", "resourceGroups/one", {"location": "local"}),
        request(cloud, "GET", "resourceGroups/two"),
        request(cloud, "GET", "/subscriptions"),
        by="reader",
    )
    statuses = [one["httpStatusCode"] for one in answer.json()["responses"]]
    assert statuses == [200, 403, 403, 200]
    held = request(cloud, "PUT", "resourceGroups/one", {"location": "local"}, headers={"If-None-Match": "*"})
    (refused,) = (await batch(arm, held)).json()["responses"]
    assert (refused["httpStatusCode"], refused["content"]["error"]["code"]) == (412, "PreconditionFailed")


async def test_what_is_wrong_with_one_request_is_its_own_matter(arm, cloud):
    await arm.group("one")
    wrong = [
        {"url": f"/subscriptions{VERSION}"},
        {"httpMethod": "TRACE", "url": f"/subscriptions{VERSION}"},
        {"httpMethod": "GET"},
        {"httpMethod": "GET", "url": "https://[/subscriptions"},
        {"httpMethod": "GET", "url": f"https://elsewhere.example/subscriptions{VERSION}"},
        {"httpMethod": "POST", "url": f"/batch{VERSION}"},
        {"httpMethod": "GET", "url": f"/healthz{VERSION}"},
        {"httpMethod": "GET", "url": "/subscriptions"},
        {"httpMethod": "GET", "url": f"/subscriptions/%00{VERSION}"},
        request(cloud, "PUT", "resourceGroups/two", [1]),
    ]
    responses = (await batch(arm, *wrong, request(cloud, "GET", "resourceGroups/one"))).json()["responses"]
    assert [one["httpStatusCode"] for one in responses] == [400] * 5 + [404] * 2 + [400] * 3 + [200]


@pytest.mark.parametrize("body", [{}, {"requests": {}}, {"requests": []}, {"requests": [1]}])
async def test_a_batch_that_is_none_is_refused(arm, body):
    answer = await arm("POST", "/batch", body, version="2020-06-01")
    assert (answer.status_code, code(answer)) == (400, "InvalidRequestContent")


async def test_a_batch_is_bounded_by_its_version(arm, cloud):
    one = request(cloud, "GET", "resourceGroups/none")
    assert code(await batch(arm, *[one] * 21, version="2015-11-01")) == "InvalidRequestContent"
    assert (await batch(arm, *[one] * 21)).status_code == 200
    assert code(await batch(arm, *[one] * 501)) == "InvalidRequestContent"
    assert code(await batch(arm, one, version="")) == "MissingApiVersionParameter"
    assert (await arm("GET", "/batch")).status_code == 405


async def test_answers_that_grow_too_large_end_the_batch_without_losing_what_was_done(
    arm, cloud, monkeypatch
):
    monkeypatch.setattr("landbridge_server.arm.batch.LARGEST", 100)
    responses = (
        await batch(
            arm,
            request(cloud, "PUT", "resourceGroups/one", {"location": "local"}),
            request(cloud, "DELETE", "resourceGroups/one"),
        )
    ).json()["responses"]
    assert [one["httpStatusCode"] for one in responses] == [201, 413]
    state = (await arm("GET", "resourceGroups/one")).json()["properties"]["provisioningState"]
    assert state == "Succeeded"


async def test_each_request_of_a_batch_counts(tmp_path, speaking_to):
    async with ControlPlane(tmp_path, requests_per_second=3 / BURST_SECONDS) as cloud:
        arm = speaking_to(cloud)
        answer = await batch(arm, *[request(cloud, "GET", "/tenants")] * 4)
        assert [one["httpStatusCode"] for one in answer.json()["responses"]] == [200, 200, 200, 429]
        assert answer.json()["responses"][3]["headers"]["retry-after"] == "20"


async def test_an_error_of_our_own_spoils_only_its_own_request(arm, cloud, monkeypatch):
    registry = cloud.plane.resources.registry
    monkeypatch.setattr(registry.find("Microsoft.Authorization/locks"), "handle", lambda *_: 1 / 0)
    answer = await batch(
        arm,
        request(cloud, "GET", "providers/Microsoft.Authorization/locks"),
        request(cloud, "GET", "/tenants"),
    )
    assert [one["httpStatusCode"] for one in answer.json()["responses"]] == [500, 200]
