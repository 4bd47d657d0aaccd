"""Opening requests that go wrong: each gets an HTTP answer, none a hang."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from relay_rehearsal import PATH, Refused, Relay, serving

from landbridge_server.relay.limits import Limits
from landbridge_wire import hybrid_connections as wire
from landbridge_wire import upgrade

QUICK = Limits(hold=0.05, recent=0.0, refusal_hold=0.01, rendezvous=0.2, linger=0.2)
UPGRADE = [
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Sec-WebSocket-Version", "13"),
]


async def ask(relay: Relay, target: str, headers: list[tuple[str, str]]) -> upgrade.Head:
    reader, writer = await relay.raw()
    writer.write(upgrade.build_head(f"GET {target} HTTP/1.1", [("Host", "h"), *headers]))
    return upgrade.parse_head(await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10))


def without(name: str, value: str | None = None) -> list[tuple[str, str]]:
    kept = [(key, old) for key, old in UPGRADE if key != name]
    return kept if value is None else [*kept, (name, value)]


@pytest.mark.parametrize(
    ("target", "headers", "status", "reason"),
    [
        ("/other", UPGRADE, 404, "Only addresses below /$hc/"),
        (f"/$hc/{PATH}", UPGRADE, 400, "sb-hc-action must be"),
        (f"/$hc/{PATH}?sb-hc-action=dance", UPGRADE, 400, "sb-hc-action must be"),
        (f"/$hc/{PATH}?sb-hc-action=connect", without("Sec-WebSocket-Key"), 400, "Sec-WebSocket-Key"),
        (f"/$hc/{PATH}?sb-hc-action=connect", without("Sec-WebSocket-Version", "8"), 400, "Version 13"),
        (f"/$hc/{PATH}?sb-hc-action=accept&sb-hc-id=no", UPGRADE, 404, "Endpoint does not exist"),
        (f"/$hc/{PATH}?sb-hc-action=accept&sb-hc-statusCode=x", UPGRADE, 400, "not a status"),
        ("/$hc/?sb-hc-action=connect", UPGRADE, 401, "MissingToken"),
        ("/$hc/unknown?sb-hc-action=listen", UPGRADE, 401, "MissingToken"),
        ("/%24hc/unknown?sb-hc-action=connect", UPGRADE, 401, "MissingToken"),
        (f"/$hc/{PATH}?sb-hc-action=connect", [*UPGRADE, ("Origin", "https://evil.test")], 403, "origins"),
        (f"/$hc/{PATH}?sb-hc-action=connect", [*UPGRADE, ("Origin", "null")], 403, "origins"),
        (f"/$hc/{PATH}?sb-hc-action=connect", [*UPGRADE, ("Origin", "https://h")], 401, "MissingToken"),
    ],
)
async def test_a_bad_opening_is_answered(
    tmp_path: Path, target: str, headers: list[tuple[str, str]], status: int, reason: str
) -> None:
    async with serving(tmp_path, QUICK) as relay:
        head = await ask(relay, target, headers)
    assert head.status == status
    assert reason in head.reason
    assert head.get("Connection") == "close"


async def test_more_connect_headers_than_the_limit_are_431(tmp_path: Path) -> None:
    async with serving(tmp_path, replace(QUICK, connect_headers=2000)) as relay:
        await relay.listen()
        with pytest.raises(Refused, match="431 The headers are larger than 2000"):
            await relay.connect(headers={"X-Long": "x" * 3000})


async def test_more_refused_listeners_than_are_held_are_answered_at_once(tmp_path: Path) -> None:
    async with serving(tmp_path, replace(QUICK, refusal_hold=3600.0, held=1)) as relay:
        first = asyncio.ensure_future(relay.listen(token="x"))
        while not relay.broker.held:
            await asyncio.sleep(0.01)
        with pytest.raises(Refused, match="401 MalformedToken"):
            await relay.listen(token="x")
        first.cancel()
        while relay.broker.held:
            await asyncio.sleep(0.01)


async def test_a_listeners_wild_status_becomes_502(tmp_path: Path) -> None:
    import json

    async with serving(tmp_path, QUICK) as relay:
        listener = await relay.listen()
        dialling = asyncio.ensure_future(relay.connect())
        call = json.loads((await listener.message())[1])["accept"]
        with pytest.raises(Refused):
            await relay.dial(wire.refusal(call["address"], 101, ""))
        with pytest.raises(Refused, match="502 The listener rejected the connection"):
            await dialling


async def test_what_a_sender_sends_before_its_101_is_not_lost(tmp_path: Path) -> None:
    import json

    from landbridge_wire import websocket

    async with serving(tmp_path, replace(QUICK, rendezvous=30.0)) as relay:
        listener = await relay.listen()
        _, writer = await relay.raw()
        headers = [*UPGRADE, (wire.TOKEN_HEADER, relay.send_token())]
        target = f"GET /$hc/{PATH}?sb-hc-action=connect HTTP/1.1"
        writer.write(upgrade.build_head(target, [("Host", "h"), *headers]))
        call = json.loads((await listener.message())[1])["accept"]
        writer.write(websocket.encode(websocket.BINARY, b"early", b"abcd"))
        await asyncio.sleep(0.1)
        machine = await relay.dial(call["address"])
        assert await machine.receive_bytes(5) == b"early"


async def test_a_sender_that_floods_before_its_101_is_dropped(tmp_path: Path) -> None:
    async with serving(tmp_path, replace(QUICK, rendezvous=30.0)) as relay:
        listener = await relay.listen()
        reader, writer = await relay.raw()
        headers = [("Host", "h"), *UPGRADE, (wire.TOKEN_HEADER, relay.send_token())]
        writer.write(upgrade.build_head(f"GET /$hc/{PATH}?sb-hc-action=connect HTTP/1.1", headers))
        await listener.message()
        writer.write(b"x" * 200_000)
        try:
            assert await asyncio.wait_for(reader.read(), 10) == b""
        except ConnectionError:
            pass
