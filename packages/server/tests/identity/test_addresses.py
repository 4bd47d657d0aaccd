"""One address that guesses is slowed; others, and those who share it, still get in."""

from __future__ import annotations

import asyncio

import pytest

from landbridge_server.identity import addresses
from landbridge_server.identity.addresses import FREE, SECONDS, TOGETHER, AddressBackoff, network_of
from landbridge_server.identity.errors import OAuthError

HERE, ELSEWHERE = "192.0.2.1", "198.51.100.7"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Slowed:
    """A back-off whose pauses are noted, not waited for."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.pauses: list[float] = []
        self.backoff = AddressBackoff(self.clock, self.pause)

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)

    async def attempt(self, address: str = HERE) -> float:
        """Make an attempt; return the seconds that it had to wait."""
        del self.pauses[:]
        async with self.backoff.turn(address):
            return sum(self.pauses)


@pytest.fixture
def slowed():
    return Slowed()


async def test_a_few_failures_cost_nothing_and_many_more_and_more(slowed):
    waits = []
    for _ in range(12 * FREE):
        waits.append(await slowed.attempt())
        slowed.backoff.failed(HERE)
    assert waits[: FREE + 1] == [0.0] * (FREE + 1)
    assert waits == sorted(waits)
    assert set(waits) == {0.0, 0.25, 0.5, 1.0, 2.0}


async def test_an_address_is_as_good_as_new_after_a_while(slowed):
    for _ in range(100):
        slowed.backoff.failed(HERE)
    assert await slowed.attempt() > 0
    slowed.clock.now += SECONDS
    assert await slowed.attempt() == 0
    assert not slowed.backoff.suspicious(HERE)


@pytest.mark.parametrize("address", [ELSEWHERE, "2001:db8:1:2::5", "::1", "127.0.0.1", ""])
async def test_other_addresses_do_not_wait(slowed, address):
    for _ in range(100):
        slowed.backoff.failed(HERE)
    assert await slowed.attempt(address) == 0
    assert (slowed.backoff.suspicious(HERE), slowed.backoff.suspicious(address)) == (True, False)


async def test_loopback_is_an_address_like_any_other(slowed):
    for _ in range(100):
        slowed.backoff.failed("127.0.0.1")
    assert await slowed.attempt("127.0.0.1") > 0


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unix", ""),
    ],
)
def test_the_addresses_of_one_customer_count_as_one(address, network):
    assert network_of(address) == network


async def test_a_slowed_address_is_checked_one_attempt_at_a_time():
    clock, inside, most = Clock(), 0, 0

    async def pause(_seconds: float) -> None:
        await asyncio.sleep(0)

    backoff = AddressBackoff(clock, pause)

    async def attempt() -> None:
        nonlocal inside, most
        async with backoff.turn(HERE):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(attempt() for _ in range(8)))
    assert most == 8
    for _ in range(100):
        backoff.failed(HERE)
    most = 0
    await asyncio.gather(*(attempt() for _ in range(8)))
    assert most == 1


async def test_one_address_cannot_take_every_place(slowed):
    gate = asyncio.Event()

    async def attempt(address: str) -> None:
        async with slowed.backoff.turn(address):
            await gate.wait()

    waiting = [asyncio.ensure_future(attempt(HERE)) for _ in range(TOGETHER)]
    await asyncio.sleep(0)
    with pytest.raises(OAuthError) as refused:
        await attempt(HERE)
    assert (refused.value.number, refused.value.retry_after) == (90033, 5)
    waiting.append(asyncio.ensure_future(attempt(ELSEWHERE)))
    gate.set()
    await asyncio.gather(*waiting)
    assert await slowed.attempt() == 0


async def test_what_is_remembered_is_bounded(slowed, monkeypatch):
    monkeypatch.setattr(addresses, "KNOWN", 10)
    for number in range(100):
        slowed.backoff.failed(f"192.0.2.{number}")
    assert len(slowed.backoff._known) == 10
    slowed.clock.now += SECONDS
    slowed.backoff.failed(HERE)
    assert len(slowed.backoff._known) == 1


async def test_it_is_told_once_who_is_slowed(slowed, caplog):
    for _ in range(3 * FREE):
        slowed.backoff.failed(HERE)
    assert [record.fields["address"] for record in caplog.records] == [HERE]


# -- what it means for a sign-in


async def spray(cloud, count, prefix="u"):
    for number in range(count):
        form = cloud.password_form(username=f"{prefix}{number}@cloud.example", password="x" * 8)
        assert (await cloud.token(form)).status_code == 400


async def test_a_password_tried_with_many_names_is_slowed(cloud):
    await spray(cloud, FREE + 5)
    assert cloud.pauses == [0.25] * 4


async def test_the_right_password_gets_in_from_an_address_that_guesses(cloud):
    await spray(cloud, FREE + 5)
    assert (await cloud.token(cloud.password_form())).status_code == 200
    assert cloud.pauses == [0.25] * 5


async def test_who_has_signed_in_from_there_before_does_not_wait(cloud):
    assert (await cloud.token(cloud.password_form())).status_code == 200
    await spray(cloud, FREE + 5)
    del cloud.pauses[:]
    assert (await cloud.token(cloud.password_form())).status_code == 200
    assert cloud.pauses == []
    cloud.clock.advance(addresses.FAMILIAR_SECONDS)
    await spray(cloud, FREE + 5, "v")
    del cloud.pauses[:]
    assert (await cloud.token(cloud.password_form())).status_code == 200
    assert cloud.pauses == [0.25]


async def test_guesses_from_elsewhere_lock_nobody_out_of_where_they_work(cloud):
    name, password = cloud.first.user_name, cloud.first.password
    await cloud.service.check_password(name, password, HERE)
    for _ in range(10):
        with pytest.raises(OAuthError, match="AADSTS50126"):
            await cloud.service.check_password(name, "wrong-one", ELSEWHERE)
    with pytest.raises(OAuthError, match="AADSTS50053"):
        await cloud.service.check_password(name, password, ELSEWHERE)
    await cloud.service.check_password(name, password, HERE)


async def test_where_one_works_guesses_are_few_too(cloud):
    name, password = cloud.first.user_name, cloud.first.password
    await cloud.service.check_password(name, password, HERE)
    for _ in range(10):
        with pytest.raises(OAuthError, match="AADSTS50126"):
            await cloud.service.check_password(name, "wrong-one", HERE)
    with pytest.raises(OAuthError, match="AADSTS50053"):
        await cloud.service.check_password(name, password, HERE)


async def test_a_secret_of_a_program_is_never_slowed(cloud):
    await spray(cloud, FREE + 5)
    del cloud.pauses[:]
    assert (await cloud.token(cloud.secret_form())).status_code == 200
    assert cloud.pauses == []


async def test_no_address_is_kept_in_the_store(cloud):
    await cloud.service.check_password(cloud.first.user_name, cloud.first.password, HERE)
    with cloud.db.reading() as connection:
        rows = connection.exec_driver_sql("SELECT * FROM sign_in_attempts").all()
    assert rows
    assert HERE not in str(rows) and cloud.first.user_name not in str(rows)
