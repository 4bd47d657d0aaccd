"""How many requests one caller may send: a token bucket for each principal and kind of request.

A bucket holds ``BURST_SECONDS`` worth of requests and fills at the configured rate: reads at
all of it, writes and deletes at half of it each. A subscription or the tenant does not matter
for the count, only for the name under which the rest is told, as ARM's headers have it.

The count is each node's own: with several nodes a caller has as many times the rate.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from landbridge_server.identity.caller import Caller
from landbridge_wire.errors import ArmError

BURST_SECONDS = 60.0
MOST = 50_000
"""Buckets that are kept; when there are more, those that are full again are dropped."""

_KINDS = {"GET": "reads", "HEAD": "reads", "DELETE": "deletes"}
_VERBS = {"reads": "read", "writes": "write", "deletes": "delete"}


class Throttle:
    """Counts the requests of all callers. Belongs to the event loop."""

    def __init__(self, per_second: float, clock: Callable[[], float]) -> None:
        """Take the reads that one caller may send per second; 0: there is no limit."""
        self.clock = clock
        self._rates = {"reads": per_second, "writes": per_second / 2, "deletes": per_second / 2}
        self._buckets: dict[tuple[str, str], list[float]] = {}

    def take(self, caller: Caller, method: str, path: str) -> dict[str, str]:
        """Count one request and return the header that tells what is left.

        Raises:
            ArmError: SubscriptionRequestsThrottled or TenantRequestsThrottled; nothing is left.
        """
        kind = _KINDS.get(method, "writes")
        rate = self._rates[kind]
        if not rate:
            return {}
        now, key = self.clock(), (caller.object_id, kind)
        most = rate * BURST_SECONDS
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._new(key, most, now)
        left = min(most, bucket[0] + max(0.0, now - bucket[1]) * rate)
        bucket[1] = now
        if left < 1.0:
            bucket[0] = left
            raise _refuse(caller, kind, path, max(1, math.ceil((1.0 - left) / rate)))
        bucket[0] = left - 1.0
        where = "subscription" if path[:15].lower() == "/subscriptions/" else "tenant"
        return {f"x-ms-ratelimit-remaining-{where}-{kind}": str(int(bucket[0]))}

    def _new(self, key: tuple[str, str], most: float, now: float) -> list[float]:
        if len(self._buckets) >= MOST:
            self._buckets = {
                one: bucket
                for one, bucket in self._buckets.items()
                if bucket[0] + (now - bucket[1]) * self._rates[one[1]] < self._rates[one[1]] * BURST_SECONDS
            }
        made = self._buckets[key] = [most, now]
        return made


def _refuse(caller: Caller, kind: str, path: str, seconds: int) -> ArmError:
    parts = path.split("/")
    inside = len(parts) > 2 and parts[1].lower() == "subscriptions"
    where = f"subscription '{parts[2]}'" if inside else f"tenant '{caller.tenant_id}'"
    return ArmError(
        "SubscriptionRequestsThrottled" if inside else "TenantRequestsThrottled",
        f"Number of '{_VERBS[kind]}' requests for {where} actor '{caller.object_id}' exceeded. "
        f"Please try again after '{seconds}' seconds after additional tokens are available. "
        "Refer to https://aka.ms/arm-throttling for additional information.",
        retry_after=seconds,
    )
