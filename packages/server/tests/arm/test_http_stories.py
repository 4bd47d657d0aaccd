"""What every call to the resource manager has in common, told as requests and answers."""

from __future__ import annotations

import pytest

MACHINE = "resourceGroups/demo/providers/Microsoft.HybridCompute/machines/web1"


def code(answer):
    return answer.json()["error"]["code"]


async def test_a_call_without_api_version_is_refused(arm):
    answer = await arm("GET", "resourcegroups", version="")
    assert (answer.status_code, code(answer)) == (400, "MissingApiVersionParameter")
    assert answer.json()["error"]["message"] == (
        "The api-version query parameter (?api-version=) is required for all requests."
    )


@pytest.mark.parametrize(
    "version", ["abc", "2024-13-01", "2024-07-10-best", "2024-07-1", "latest", "٢٠٢٤-07-10"]
)
async def test_a_malformed_api_version_is_refused_with_those_of_the_type(arm, version):
    answer = await arm("GET", MACHINE, version=version)
    assert (answer.status_code, code(answer)) == (400, "InvalidApiVersionParameter")
    assert "2024-07-10" in answer.json()["error"]["message"]


@pytest.mark.parametrize("version", ["2016-02-01", "2099-12-31", "2024-07-31-preview", "2024-07-10-PREVIEW"])
async def test_any_well_formed_version_of_a_known_type_is_served(arm, version):
    await arm.group()
    answer = await arm("GET", "resourcegroups/demo", version=version)
    assert answer.status_code == 200


async def test_the_name_of_the_version_parameter_ignores_case(arm):
    assert (await arm("GET", "resourcegroups?API-Version=2024-07-10", version="")).status_code == 200


async def test_unknown_query_parameters_are_ignored(arm):
    assert (await arm("GET", "resourcegroups?t=1&c=2&$expand=what")).status_code == 200


@pytest.mark.parametrize(
    ("path", "status", "expected"),
    [
        ("/subscriptions/nonsense/resourcegroups", 400, "InvalidSubscriptionId"),
        ("/subscriptions/00000000-0000-0000-0000-000000000000/resourcegroups", 404, "SubscriptionNotFound"),
        ("providers/Microsoft.Compute/virtualMachines", 404, "InvalidResourceNamespace"),
        ("resourceGroups/demo/providers/Contoso.Nothing/things/a", 404, "InvalidResourceNamespace"),
        ("resourceGroups/demo/providers/Microsoft.HybridCompute/licenses/a", 404, "InvalidResourceType"),
        (
            "resourceGroups/demo/providers/Microsoft.HybridCompute/gateways",
            404,
            "InvalidResourceType",
        ),
        ("providers/Microsoft.HybridCompute/machines/web1", 404, "InvalidResourceType"),
        ("resourceGroups/demo/providers", 404, "NotFound"),
        ("resourceGroups/demo/nonsense", 404, "NotFound"),
        ("resourceGroups/nope", 404, "ResourceGroupNotFound"),
        ("resourceGroups/nope/resources", 404, "ResourceGroupNotFound"),
        ("resourceGroups/nope/providers/Microsoft.HybridCompute/machines", 404, "ResourceGroupNotFound"),
        ("resourceGroups/nope/providers/Microsoft.HybridCompute/machines/a", 404, "ResourceGroupNotFound"),
        (MACHINE, 404, "ResourceNotFound"),
        (f"{MACHINE}/providers/Microsoft.HybridConnectivity/endpoints", 404, "ParentResourceNotFound"),
        (
            f"{MACHINE}/providers/Microsoft.HybridConnectivity/endpoints/default",
            404,
            "ParentResourceNotFound",
        ),
    ],
)
async def test_what_is_not_there_is_refused_in_arms_words(arm, path, status, expected):
    await arm.group()
    answer = await arm("GET", path)
    assert (answer.status_code, code(answer)) == (status, expected)
    assert answer.headers["x-ms-failure-cause"] in ("gateway", "service")


async def test_a_missing_resource_is_named_as_arm_does(arm):
    await arm.group()
    message = (await arm("GET", MACHINE)).json()["error"]["message"]
    assert message == (
        "The Resource 'Microsoft.HybridCompute/machines/web1' under resource group 'demo' was not found. "
        "For more details please go to https://aka.ms/ARMResourceNotFoundFix"
    )


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", MACHINE),
        ("PUT", "resourcegroups"),
        ("DELETE", ""),
        ("PUT", "locations"),
        ("PUT", "resourceGroups/demo/resources"),
    ],
)
async def test_a_method_that_is_not_there_is_405(arm, method, path):
    await arm.group()
    await arm.machine()
    answer = await arm(method, path)
    assert (answer.status_code, code(answer)) == (405, "MethodNotAllowed")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nonsense",
        b"[]",
        b'"text"',
        b"{" * 5,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b'{"a":' * 100 + b"1" + b"}" * 100,
        b"[" * 10_000,
        b'{"location": "\xff"}',
        b'{"location": "local", "tags": {"a": "\\ud800"}}',
        b'{"location": 7}',
        b'{"location": "local", "tags": []}',
        b'{"location": "local", "tags": {"a": 1}}',
        b'{"location": "local", "properties": []}',
    ],
    ids=range(14),
)
async def test_a_body_that_cannot_be_read_is_400(arm, content):
    for path in ("resourcegroups/new", MACHINE):
        await arm.group()
        answer = await arm("PUT", path, content=content, headers={"content-type": "application/json"})
        assert (answer.status_code, code(answer)) == (400, "InvalidRequestContent"), path


async def test_a_body_that_is_too_large_is_413(arm):
    answer = await arm("PUT", "resourcegroups/new", content=b" " * 50_000_000)
    assert (answer.status_code, code(answer)) == (413, "RequestEntityTooLarge")


async def test_a_body_of_another_media_type_is_415(arm):
    answer = await arm("PUT", "resourcegroups/new", content=b"a=b", headers={"content-type": "text/plain"})
    assert (answer.status_code, code(answer)) == (415, "UnsupportedMediaType")


async def test_paths_ignore_case_and_doubled_slashes(arm):
    await arm.group()
    await arm.machine()
    path = "RESOURCEGROUPS/DEMO/Providers/microsoft.hybridcompute//MACHINES/WEB1/"
    body = (await arm("GET", path)).json()
    assert body["name"] == "web1"
    assert body["type"] == "Microsoft.HybridCompute/machines"


async def test_the_casing_that_was_last_written_is_the_one_that_comes_back(arm):
    await arm.group()
    await arm.machine("web1")
    await arm.machine("WEB1")
    body = (await arm("GET", MACHINE)).json()
    assert body["name"] == "WEB1"
    assert body["id"].endswith("/resourceGroups/demo/providers/Microsoft.HybridCompute/machines/WEB1")


@pytest.mark.parametrize("name", ["a%0Ab", "a%00b", "a%7Fb"])
async def test_control_characters_in_a_path_are_400(arm, name):
    assert (await arm("PUT", f"resourcegroups/{name}", {"location": "local"})).status_code == 400


async def test_a_path_without_end_is_400(arm):
    answer = await arm("GET", "resourcegroups/" + "x" * 5000)
    assert (answer.status_code, code(answer)) == (400, "BadRequest")


@pytest.mark.parametrize("name", ["a b", "a$b", "a.", "x" * 91, "a%25b", "a'b"])
async def test_a_group_with_a_forbidden_name_is_400(arm, name):
    answer = await arm("PUT", f"resourcegroups/{name}", {"location": "local"})
    assert (answer.status_code, code(answer)) == (400, "InvalidResourceGroup")


@pytest.mark.parametrize("name", ["Grüße_(1).x-y", "x" * 90])
async def test_a_group_may_have_any_letters(arm, name):
    assert (await arm("PUT", f"resourcegroups/{name}", {"location": "local"})).status_code == 201


@pytest.mark.parametrize("name", ["a b", "x" * 55, "ü", "a%25b"])
async def test_a_machine_with_a_forbidden_name_is_400(arm, name):
    await arm.group()
    answer = await arm.machine(name)
    assert (answer.status_code, code(answer)) == (400, "InvalidResourceName")


async def test_an_unknown_location_is_refused_with_the_known_ones(arm):
    await arm.group()
    for answer in (await arm.group("other", location="mars"), await arm.machine(location="mars")):
        assert (answer.status_code, code(answer)) == (400, "LocationNotAvailableForResourceType")
        assert answer.json()["error"]["message"].endswith("for the resource type is 'local'.")


async def test_a_new_resource_needs_a_location(arm):
    await arm.group()
    answer = await arm("PUT", MACHINE, {})
    assert (answer.status_code, code(answer)) == (400, "LocationRequired")


async def test_answers_carry_the_headers_that_clients_know(arm):
    answer = await arm("GET", "resourcegroups", headers={"x-ms-correlation-request-id": "abc"})
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-ms-correlation-request-id"] == "abc"
    assert answer.headers["x-ms-request-id"]
