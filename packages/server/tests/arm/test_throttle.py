"""What one caller may send, and what it is told."""

from __future__ import annotations

import pytest

from landbridge_server.arm.throttle import BURST_SECONDS, Throttle
from landbridge_server.identity.caller import Caller
from landbridge_server.testing import ControlPlane, HandClock
from landbridge_wire.errors import ArmError


def caller(name="a"):
    return Caller(object_id=name, tenant_id="t", kind="User", label=name, app_id="")


def test_a_bucket_is_emptied_by_requests_and_filled_by_time():
    clock = HandClock()
    throttle = Throttle(2.0, clock)
    for left in range(int(2 * BURST_SECONDS) - 1, -1, -1):
        headers = throttle.take(caller(), "GET", "/subscriptions/s")
        assert headers == {"x-ms-ratelimit-remaining-subscription-reads": str(left)}
    with pytest.raises(ArmError) as refused:
        throttle.take(caller(), "HEAD", "/subscriptions/s/resourceGroups/g")
    assert (refused.value.code, refused.value.status) == ("SubscriptionRequestsThrottled", 429)
    assert refused.value.retry_after == 1
    assert "'read' requests for subscription 's' actor 'a' exceeded" in refused.value.message
    clock.advance(1.0)
    assert throttle.take(caller(), "GET", "/tenants") == {"x-ms-ratelimit-remaining-tenant-reads": "1"}


def test_callers_and_kinds_are_counted_apart():
    throttle = Throttle(1 / BURST_SECONDS * 2, HandClock())
    assert throttle.take(caller(), "PUT", "/subscriptions/s")
    with pytest.raises(ArmError):
        throttle.take(caller(), "POST", "/subscriptions/s")
    assert throttle.take(caller(), "DELETE", "/subscriptions/s")
    assert throttle.take(caller(), "GET", "/subscriptions/s")
    assert throttle.take(caller("b"), "PATCH", "/subscriptions/s")


def test_without_a_limit_nothing_is_counted():
    assert Throttle(0, HandClock()).take(caller(), "GET", "/subscriptions/s") == {}


def test_buckets_that_are_full_again_are_forgotten(monkeypatch):
    clock = HandClock()
    monkeypatch.setattr("landbridge_server.arm.throttle.MOST", 10)
    throttle = Throttle(1.0, clock)
    for number in range(10):
        throttle.take(caller(str(number)), "GET", "/tenants")
    clock.advance(2)
    throttle.take(caller("new"), "GET", "/tenants")
    assert len(throttle._buckets) == 1


async def test_a_caller_that_asks_too_often_is_told_when_to_come_back(tmp_path, speaking_to):
    async with ControlPlane(tmp_path, requests_per_second=10 / BURST_SECONDS) as cloud:
        arm = speaking_to(cloud)
        await arm.principal("friend", ("Reader", ""))
        answers = [await arm("GET", "resourcegroups") for _ in range(11)]
        assert [answer.status_code for answer in answers] == [200] * 10 + [429]
        left = [answer.headers["x-ms-ratelimit-remaining-subscription-reads"] for answer in answers[:10]]
        assert left == [str(number) for number in range(9, -1, -1)]
        refused = answers[-1]
        assert refused.headers["retry-after"] == "6"
        assert refused.json()["error"]["code"] == "SubscriptionRequestsThrottled"
        assert (await arm("GET", "/tenants")).json()["error"]["code"] == "TenantRequestsThrottled"
        assert (await arm("GET", "resourcegroups", by="friend")).status_code == 200
        made = await arm.group()
        assert (made.status_code, made.headers["x-ms-ratelimit-remaining-subscription-writes"]) == (201, "4")
        cloud.clock.advance(6)
        assert (await arm("GET", "resourcegroups")).status_code == 200
