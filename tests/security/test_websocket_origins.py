"""A page of a foreign origin gets no WebSocket: a browser would send it anywhere (RFC 6455 10.2)."""

from __future__ import annotations

import asyncio
import json

import pytest
from relay_rehearsal import Refused

TOKEN = "ServiceBusAuthorization"
FOREIGN = [
    "https://evil.example",
    "http://evil.example",
    "null",
    "file://",
    "https://localhost.evil.example",
    "https://127.0.0.1",
    "https://127.0.0.1:1",
    "https://evil.example@127.0.0.1",
    "chrome-extension://abcdef",
]


@pytest.mark.parametrize("origin", FOREIGN)
async def test_a_foreign_origin_opens_nothing_though_its_token_is_good(cloud, origin):
    machine = await cloud.machine()
    token = await machine.session()
    address = f"{cloud.relay.base}/$hc/{machine.path}?sb-hc-action="
    with pytest.raises(Refused, match="403 Pages of other origins"):
        await cloud.relay.dial(address + "listen", {TOKEN: token, "Origin": origin})
    key = await cloud.send_token(machine)
    with pytest.raises(Refused, match="403 Pages of other origins"):
        await cloud.relay.dial(address + "connect", {TOKEN: key, "Origin": origin})
    assert not cloud.broker.listening(machine.path)


async def test_a_foreign_origin_does_not_reach_a_rendezvous(cloud):
    machine = await cloud.machine()
    listener = await machine.listen()
    dialling = asyncio.ensure_future(cloud.relay.connect(machine.path, await cloud.send_token(machine)))
    address = json.loads((await listener.message())[1])["accept"]["address"]
    with pytest.raises(Refused, match="403 Pages of other origins"):
        await cloud.relay.dial(address, {"Origin": "https://evil.example"})
    await cloud.relay.dial(address)  # the machine itself still may
    await dialling


async def test_programs_without_an_origin_and_pages_of_the_relays_own_are_let_in(cloud):
    machine = await cloud.machine()
    token = await machine.session()
    address = f"{cloud.relay.base}/$hc/{machine.path}?sb-hc-action=listen"
    await cloud.relay.dial(address, {TOKEN: token})
    await cloud.relay.dial(address, {TOKEN: token, "Origin": f"https://127.0.0.1:{cloud.port}"})


async def test_no_answer_lets_pages_of_other_origins_read_it(cloud):
    headers = {"origin": "https://evil.example", "authorization": f"Bearer {await cloud.admin_token()}"}
    for method, path in (
        ("GET", "/subscriptions?api-version=2022-12-01"),
        ("GET", "/metadata/endpoints?api-version=2022-09-01"),
        ("GET", "/devicelogin"),
        ("POST", "/common/oauth2/v2.0/token"),
        ("OPTIONS", "/subscriptions"),
    ):
        answer = await cloud.http.request(method, path, headers=headers)
        assert not [name for name in answer.headers if name.startswith("access-control-")], path
