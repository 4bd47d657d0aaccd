"""The machine's tokens: kept, renewed early, given while the cloud is away, fetched within bounds."""

from __future__ import annotations

import asyncio

import pytest

from landbridge_agent.daemon.control_plane import Granted, Refused
from landbridge_agent.daemon.machine_tokens import BURST, MOST, REFILL_SECONDS, Tokens, TooMany
from landbridge_agent.dial import Unreachable


class Cloud:
    """Gives numbered tokens of an hour; its time is wound by hand."""

    def __init__(self):
        self.now, self.slept = 1000.0, 0.0
        self.fetched = []
        self.failure = None
        self.gate = None
        self.tokens = Tokens(self.fetch, lambda: self.now, lambda: self.now + self.slept + 1.7e9)

    async def fetch(self, audience):
        self.fetched.append(audience)
        if self.gate is not None:
            await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        return Granted(f"{audience}-{len(self.fetched)}", 3600.0)

    async def get(self, audience="a", **more):
        held, cached = await self.tokens.get(audience, **more)
        return held.token, cached


@pytest.fixture
def cloud():
    return Cloud()


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_token_is_held_until_half_of_its_life_is_over(cloud):
    assert await cloud.get() == ("a-1", False)
    cloud.now += 1799
    assert await cloud.get() == ("a-1", True)
    assert cloud.fetched == ["a"]


async def test_it_is_then_renewed_behind_the_callers_back(cloud):
    await cloud.get()
    cloud.now += 1801
    assert await cloud.get() == ("a-1", True)
    await settle()
    assert await cloud.get() == ("a-2", True)


async def test_while_the_cloud_is_away_it_lives_out_and_renewal_is_tried_now_and_then(cloud):
    await cloud.get()
    cloud.failure = Unreachable("away")
    cloud.now += 1801
    for _ in range(20):
        assert await cloud.get() == ("a-1", True)
        await settle()
        cloud.now += 10
    assert len(cloud.fetched) == 1 + 5  # every 40 s, seen by calls every 10 s
    cloud.now += 3600
    with pytest.raises(Unreachable):
        await cloud.get()


async def test_what_has_ended_is_never_given(cloud):
    await cloud.get()
    cloud.now += 3600
    assert await cloud.get() == ("a-2", False)


async def test_a_machine_that_slept_does_not_give_what_has_ended(cloud):
    await cloud.get()
    cloud.slept = 3601.0
    assert await cloud.get() == ("a-2", False)


async def test_a_clock_that_was_set_back_does_not_make_a_token_live_longer(cloud):
    await cloud.get()
    cloud.slept, cloud.now = -100_000.0, cloud.now + 3601
    assert await cloud.get() == ("a-2", False)


async def test_all_who_ask_at_once_share_one_request(cloud):
    cloud.gate = asyncio.Event()
    asking = [asyncio.ensure_future(cloud.get()) for _ in range(9)]
    await settle()
    asking.pop().cancel()  # whoever leaves ends it for nobody else
    cloud.gate.set()
    assert {token for token, _ in await asyncio.gather(*asking)} == {"a-1"}
    assert cloud.fetched == ["a"]


async def test_a_refusal_is_repeated_from_memory_for_a_moment(cloud):
    cloud.failure = Refused(400, "AADSTS500011", "invalid_resource")
    for _ in range(5):
        with pytest.raises(Refused):
            await cloud.get()
    assert cloud.fetched == ["a"]
    cloud.failure = None
    cloud.now += 11
    assert await cloud.get() == ("a-2", False)


async def test_a_passing_fault_is_not_remembered(cloud):
    cloud.failure = Refused(503, "busy")
    with pytest.raises(Refused):
        await cloud.get()
    cloud.failure = None
    assert await cloud.get() == ("a-2", False)


async def test_fetches_are_bounded_and_the_bound_lifts_with_time(cloud):
    for _ in range(BURST):
        await cloud.get(bypass_cache=True)
    with pytest.raises(TooMany) as late:
        await cloud.get(bypass_cache=True)
    assert 0 < late.value.seconds <= REFILL_SECONDS
    assert await cloud.get() == (f"a-{BURST}", True)  # what is held is given all the same
    cloud.now += REFILL_SECONDS
    assert await cloud.get(bypass_cache=True) == (f"a-{BURST + 1}", False)


async def test_audiences_are_bounded(cloud):
    for number in range(MOST + 1):
        await cloud.get(f"r{number}")
        cloud.now += REFILL_SECONDS
    assert (await cloud.get("r1"))[1] is True
    assert (await cloud.get("r0"))[1] is False


async def test_what_is_under_way_ends_with_the_connection(cloud):
    cloud.gate = asyncio.Event()
    asking = asyncio.ensure_future(cloud.get())
    await settle()
    cloud.tokens.close()
    with pytest.raises(asyncio.CancelledError):
        await asking
