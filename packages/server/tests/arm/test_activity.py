"""What a request is about, from its form alone, and what is remembered of it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge_server.arm import activity
from landbridge_server.arm.activity import Activity
from landbridge_server.arm.call import Call
from landbridge_server.arm.event_documents import About, about
from landbridge_server.identity.caller import Caller
from landbridge_server.store.events import Event
from landbridge_wire.errors import ArmError

CALLER = Caller("oid", "tid", "User", "admin@example.test", "app")
MACHINE = "/subscriptions/S/resourceGroups/G/providers/Microsoft.HybridCompute/machines/M"


def call(method="PUT", path=MACHINE, **headers):
    return Call(method, path, {}, headers, CALLER, bytes, request_id="request-1")


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        (
            "PATCH",
            MACHINE,
            About(
                "Microsoft.HybridCompute/machines/write",
                MACHINE,
                "s",
                "G",
                "Microsoft.HybridCompute",
                "Microsoft.HybridCompute/machines",
            ),
        ),
        (
            "DELETE",
            f"{MACHINE}/providers/Microsoft.Authorization/locks/L",
            About(
                "Microsoft.Authorization/locks/delete",
                f"{MACHINE}/providers/Microsoft.Authorization/locks/L",
                "s",
                "G",
                "Microsoft.Authorization",
                "Microsoft.Authorization/locks",
            ),
        ),
        (
            "POST",
            f"{MACHINE}/upgradeExtensions",
            About(
                "Microsoft.HybridCompute/machines/upgradeExtensions/action",
                MACHINE,
                "s",
                "G",
                "Microsoft.HybridCompute",
                "Microsoft.HybridCompute/machines",
            ),
        ),
        (
            "POST",
            "/subscriptions/S/resourceGroups/G/moveResources",
            About(
                "Microsoft.Resources/subscriptions/resourceGroups/moveResources/action",
                "/subscriptions/S/resourceGroups/G",
                "s",
                "G",
                "Microsoft.Resources",
                "Microsoft.Resources/subscriptions/resourceGroups",
            ),
        ),
    ],
)
def test_a_request_is_about_its_path(method, path, expected):
    assert about(method, path) == expected


@given(
    st.sampled_from(["PUT", "POST", "DELETE", "PATCH"]),
    st.lists(st.sampled_from(["subscriptions", "resourceGroups", "providers", "a", "B", "c.d"]), max_size=8),
)
def test_any_path_can_be_asked_about(method, parts):
    found = about(method, "/" + "/".join(parts))
    assert found.action.rpartition("/")[2] in ("write", "delete", "action")
    assert found.resource_id.startswith("/")


def test_each_event_is_later_than_the_one_before():
    noted = Activity(lambda: 1_800_000_000.0)
    for _ in range(3):
        noted.note(call(), 200)
    times = [one.at for one in noted.take(10)]
    assert times == sorted(set(times))
    assert noted.take(10) == []


def test_an_event_has_what_the_log_is_searched_by():
    noted = Activity(lambda: 1_800_000_000.0)
    noted.note(call(**{"x-ms-correlation-request-id": "C"}), 201)
    (event,) = noted.take(1)
    assert isinstance(event, Event)
    assert (event.subscription_id, event.group_key, event.provider_key, event.correlation_id) == (
        "s",
        "g",
        "microsoft.hybridcompute",
        "c",
    )
    assert json.loads(event.document)["subStatus"]["localizedValue"] == "Created (HTTP Status Code: 201)"


def test_a_correlation_id_that_is_no_id_is_not_taken_over():
    noted = Activity(lambda: 0.0)
    for wrong in ("x" * 129, "a\nb", ""):
        noted.note(call(**{"x-ms-correlation-request-id": wrong}), 200)
    assert {one.correlation_id for one in noted.take(10)} == {"request-1"}


def test_reads_refusals_of_nonsense_and_throttling_are_not_noted():
    noted = Activity(lambda: 0.0)
    noted.note(call("GET"), 200)
    noted.note(call(), 429, ArmError("TooManyRequests", "slow down"))
    for code in activity.UNNOTED:
        error = ArmError(code, "no")
        noted.note(call(), error.status, error)
    assert noted.take(100) == []


def test_memory_is_bounded_and_the_oldest_go(monkeypatch):
    monkeypatch.setattr(activity, "MOST", 3)
    noted = Activity(lambda: 0.0)
    for number in range(5):
        noted.note(call(path=f"{MACHINE}{number}"), 200)
    *kept, told = noted.take(10)
    assert [one.resource_key[-1] for one in kept] == ["2", "3", "4"]
    assert json.loads(told.document)["operationName"]["value"] == activity.LOST
    assert "2 events" in json.loads(told.document)["properties"]["statusMessage"]
    assert noted.take(10) == []
