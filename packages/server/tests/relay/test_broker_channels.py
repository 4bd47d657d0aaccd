"""The control channel: announcements, renewal, heartbeats, and messages that are none."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
from relay_rehearsal import PATH, Agent, echoing, serving

from landbridge_server.relay.limits import Limits
from landbridge_wire import hybrid_connections as wire
from landbridge_wire import websocket

QUICK = Limits(hold=0.05, recent=0.0, refusal_hold=0.01, rendezvous=0.2, linger=0.2)
TARGET = wire.TARGET_HEADER


async def test_listeners_are_announced_once_when_they_come_and_when_they_go(tmp_path: Path) -> None:
    seen: list[str] = []
    down = asyncio.Event()
    async with serving(tmp_path, QUICK) as relay:
        relay.broker.on_listener_up = lambda path: seen.append("up")

        def left(path: str) -> None:
            seen.append("down")
            down.set()

        relay.broker.on_listener_down = left
        one, two = await relay.listen(), await relay.listen()
        one.drop()
        two.drop()
        await asyncio.wait_for(down.wait(), 10)
    assert seen == ["up", "down"]


async def test_the_end_of_a_token_drops_the_control_channel_but_no_session(tmp_path: Path) -> None:
    limits = replace(QUICK, ping=0.05, control_beats=1000)
    async with serving(tmp_path, limits) as relay, echoing() as port:  # noqa: SIM117
        async with Agent(relay, {port}).running() as agent:
            socket = await relay.connect(headers={TARGET: f"localhost:{port}"})
            other = await relay.listen(token=relay.listen_token(seconds=60))
            relay.clock.now += 61
            assert await other.until_closed() == (1008, "The token has expired.")
            await socket.send(b"still here")
            assert await socket.receive_bytes(10) == b"still here"
            assert agent.up.is_set()


async def test_a_renewed_token_prolongs_the_stay(tmp_path: Path) -> None:
    async with serving(tmp_path, replace(QUICK, ping=0.05, control_beats=1000)) as relay:
        listener = await relay.listen(token=relay.listen_token(seconds=60))
        relay.clock.now += 30
        token = relay.listen_token(seconds=60)
        await listener.send(wire.renew_token_message(token).encode(), websocket.TEXT)
        await listener.send(b"?", websocket.PING)
        event = await listener.next()
        assert event is not None and event.opcode == websocket.PONG
        relay.clock.now += 40
        await listener.send(wire.heartbeat_message({}).encode(), websocket.TEXT)
        assert relay.broker.listening(PATH)


async def test_a_bad_renewal_closes_with_1008(tmp_path: Path) -> None:
    async with serving(tmp_path, QUICK) as relay:
        listener = await relay.listen()
        await listener.send(wire.renew_token_message(relay.send_token()).encode(), websocket.TEXT)
        assert (await listener.until_closed())[0] == 1008


async def test_heartbeats_are_answered_and_unknown_messages_ignored(tmp_path: Path) -> None:
    async with serving(tmp_path, QUICK) as relay:
        relay.broker.on_heartbeat = lambda path, body: {"factsWanted": body["sequence"] == 7}
        listener = await relay.listen()
        await listener.send(b'{"injectFault": {}}', websocket.TEXT)
        await listener.send(b"\0\1\2", websocket.BINARY)
        await listener.send(wire.heartbeat_message({"sequence": 7}).encode(), websocket.TEXT)
        assert json.loads((await listener.message())[1]) == {"heartbeatReply": {"factsWanted": True}}


@pytest.mark.parametrize(
    ("payload", "code"),
    [(b"not json", 1008), (b"[]", 1008), (b"\xff", 1008), (b"[" * 60_000, 1008), (b"x" * 70_000, 1009)],
)
async def test_a_bad_control_message_closes_the_channel(tmp_path: Path, payload: bytes, code: int) -> None:
    async with serving(tmp_path, QUICK) as relay:
        listener = await relay.listen()
        await listener.send(payload, websocket.TEXT)
        assert (await listener.until_closed())[0] == code


async def test_an_oversized_control_frame_is_a_protocol_error(tmp_path: Path) -> None:
    async with serving(tmp_path, QUICK) as relay:
        listener = await relay.listen()
        await listener.send(b"p" * 126, websocket.PING)
        assert (await listener.until_closed())[0] == 1002
