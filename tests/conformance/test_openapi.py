"""The check itself: what Microsoft's own service answered must pass it, and what is wrong must not."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from tests.conformance import openapi

needs_data = pytest.mark.skipif(
    openapi.folder() is None,
    reason="Microsoft's documents are not here: set LANDBRIDGE_SPECS to their folder",
)
MACHINES = "Microsoft.HybridCompute/2024-07-10/HybridCompute.json"


@needs_data
def test_every_example_of_an_answer_fits_its_schema() -> None:
    checked, wrong = 0, []
    for document in openapi.documents().values():
        for operation in document.operations:
            for example in (operation.content.get("x-ms-examples") or {}).values():
                for status, answer in example["responses"].items():
                    if status.isdigit() and isinstance(answer, dict) and answer.get("body") is not None:
                        checked += 1
                        wrong += operation.faults(int(status), answer["body"])
    assert wrong == []
    assert checked > 500


@needs_data
def test_every_recorded_answer_of_the_real_service_fits_its_schema() -> None:
    checked, wrong = 0, []
    for path in sorted((openapi.folder() / "recordings").rglob("*.json")):
        for one in json.loads(path.read_text())["interactions"]:
            url = urlsplit(one["uri"])
            version = parse_qs(url.query).get("api-version", [""])[0]
            operation = openapi.matching(one["method"], unquote(url.path), version)
            body = one.get("response_body")
            if operation is None or not isinstance(body, dict | list):
                continue
            if one["status"] in operation.statuses or "default" in operation.content["responses"]:
                checked += 1
                wrong += [(path.name, url.path, fault) for fault in operation.faults(one["status"], body)]
    assert wrong == []
    assert checked > 500


@needs_data
@pytest.mark.parametrize(
    "body",
    [
        {"location": 1},
        {"tags": {"a": 1}},
        {"properties": {"locationData": {"city": "x"}}},
        {"properties": {"status": ["Connected"]}},
        {"systemData": {"createdByType": 1}},
    ],
)
def test_a_wrong_machine_does_not_fit(body) -> None:
    right = {"location": "eastus", "properties": {}}
    operation = openapi.matching("GET", _MACHINE, "2024-07-10")
    assert operation.name == "Machines_Get"
    assert operation.faults(200, right) == []
    assert operation.faults(200, right | body)


_MACHINE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.HybridCompute/machines/m"


@needs_data
def test_a_catch_all_route_comes_last() -> None:
    lock = f"{_MACHINE}/providers/Microsoft.Authorization/locks/l"
    assert openapi.matching("PUT", lock, "2016-09-01").name == "ManagementLocks_CreateOrUpdateByScope"
    assert openapi.matching("GET", _MACHINE.upper(), "2024-07-10").name == "Machines_Get"


@needs_data
def test_read_only_values_need_not_come_back() -> None:
    document = openapi.documents()[MACHINES]
    put = next(one for one in document.operations if one.name == "Machines_CreateOrUpdate")
    sent = {"location": "eastus", "name": "x", "properties": {"vmId": "v", "status": "Error", "unknown": 1}}
    assert dict(document.writable(put.body_schema, sent)) == {"/location": "eastus", "/properties/vmId": "v"}


def test_nulls_and_unclosed_enums_say_nothing() -> None:
    schema = {"type": "string", "enum": ["a"], "x-ms-enum": {"modelAsString": True}}
    assert "enum" not in openapi.normal(schema)
    assert openapi.normal({"type": "string", "enum": ["a"]})["enum"] == ["a"]
    assert openapi.without_nulls({"a": None, "b": [None, {"c": None}]}) == {"b": [{}]}


def test_a_last_page_needs_no_next_link() -> None:
    assert openapi.normal({"required": ["value", "nextLink"]})["required"] == ["value"]
