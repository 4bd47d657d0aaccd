"""A stranger's guesses and floods lock nobody out: neither users, nor the page for codes, nor programs.

The strangers here connect from addresses of their own: all of 127.0.0.0/8 is loopback. No address is
let off: what is slowed at 127.0.0.2 would be slowed at 127.0.0.1 as well (docs/adr/0009).
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from landbridge_server.identity import device_code
from landbridge_server.identity.addresses import FREE

AZURE_CLI = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
TOKEN = "/organizations/oauth2/v2.0/token"
CODE = "/organizations/oauth2/v2.0/devicecode"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


class Person:
    """Somebody who connects from an address."""

    def __init__(self, cloud, address: str) -> None:
        transport = httpx.AsyncHTTPTransport(verify=cloud.trust, local_address=address)
        self.http = httpx.AsyncClient(base_url=cloud.url, transport=transport, timeout=30)
        self.cloud = cloud

    async def sign_in(self, name: str = "", password: str = "") -> httpx.Response:
        form = {
            "grant_type": "password",
            "client_id": AZURE_CLI,
            "username": name or self.cloud.admin["userName"],
            "password": password or self.cloud.admin["password"],
            "scope": f"{self.cloud.url}/.default",
        }
        return await self.http.post(TOKEN, data=form)

    async def code(self) -> dict[str, str]:
        form = {"client_id": AZURE_CLI, "scope": f"{self.cloud.url}/.default"}
        answer = await self.http.post(CODE, data=form)
        assert answer.status_code == 200, answer.text
        found: dict[str, str] = answer.json()
        return found

    async def poll(self, code: dict[str, str]) -> str:
        form = {"grant_type": DEVICE, "client_id": AZURE_CLI, "device_code": code["device_code"]}
        return str((await self.http.post(TOKEN, data=form)).json()["error"])


@pytest.fixture
async def people(cloud) -> AsyncIterator[tuple[Person, Person, list[float]]]:
    """The user, a stranger, and the pauses that somebody had to make."""
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    cloud.plane.plane.identity.service.addresses.pause = pause
    user, stranger = Person(cloud, "127.0.0.1"), Person(cloud, "127.0.0.2")
    yield user, stranger, pauses
    for person in (user, stranger):
        await person.http.aclose()


def number(answer: httpx.Response) -> int:
    return int(answer.json()["error_codes"][0])


async def test_guesses_at_a_name_from_elsewhere_do_not_lock_the_user_out(people):
    user, stranger, _ = people
    assert (await user.sign_in()).status_code == 200
    answers = [number(await stranger.sign_in(password="wrong-password")) for _ in range(12)]
    assert answers == [50126] * 10 + [50053] * 2
    assert number(await stranger.sign_in()) == 50053  # not even the right one, from there
    assert (await user.sign_in()).status_code == 200


async def test_one_who_tries_many_names_is_slowed_and_nobody_else_is(people):
    user, stranger, pauses = people
    for each in range(FREE + 3):
        assert number(await stranger.sign_in(f"user{each}@cloud.example", "wrong-password")) == 50126
    assert pauses == [0.25] * 2
    assert (await user.sign_in()).status_code == 200
    assert pauses == [0.25] * 2


async def test_who_shares_the_address_of_a_guesser_waits_and_gets_in(people):
    user, _, pauses = people
    for each in range(FREE + 1):
        await user.sign_in(f"user{each}@cloud.example", "wrong-password")
    del pauses[:]
    assert (await user.sign_in()).status_code == 200
    assert pauses == [0.25]
    assert (await user.sign_in()).status_code == 200  # it is familiar now
    assert pauses == [0.25]


@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded", "x-real-ip", "x-client-ip"])
async def test_no_header_makes_a_guesser_somebody_else(people, header):
    _, stranger, pauses = people
    for each in range(FREE + 2):
        stranger.http.headers[header] = f"for=10.0.0.{each}" if header == "forwarded" else f"10.0.0.{each}"
        await stranger.sign_in(f"user{each}@cloud.example", "wrong-password")
    assert pauses == [0.25]


async def test_a_flood_of_device_codes_leaves_others_theirs(people, monkeypatch):
    monkeypatch.setattr(device_code, "OUTSTANDING", 20)
    user, stranger, _ = people
    mine = await user.code()
    assert await user.poll(mine) == "authorization_pending"
    for _ in range(19):
        await stranger.code()
    assert await user.poll(mine) in ("authorization_pending", "slow_down")
    for _ in range(19):
        await stranger.code()
    assert await user.poll(mine) in ("authorization_pending", "slow_down")
    assert await user.poll(await user.code()) == "authorization_pending"


async def test_a_flood_of_wrong_user_codes_leaves_others_the_page(people):
    user, stranger, _ = people
    for person, count, code in ((stranger, 60, "WRONGCODE"), (user, 1, (await user.code())["user_code"])):
        page = await person.http.get("/devicelogin")
        token = page.text.partition('name="csrf" value="')[2].partition('"')[0]
        for _ in range(count):
            answer = await person.http.post("/devicelogin", data={"csrf": token, "user_code": code})
        assert answer.status_code == (400 if person is stranger else 200), answer.text
