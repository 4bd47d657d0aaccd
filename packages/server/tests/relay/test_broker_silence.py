"""Peers that fall silent, leave or are lost: what the other half is told."""

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


async def test_pings_are_answered_and_sent_and_silence_ends_both_halves(tmp_path: Path) -> None:
    limits = replace(QUICK, ping=0.05, data_beats=3, control_beats=1000)
    async with serving(tmp_path, limits) as relay:
        listener = await relay.listen()
        dialling = asyncio.ensure_future(relay.connect())
        call = json.loads((await listener.message())[1])["accept"]
        machine = await relay.dial(call["address"])
        sender = await dialling
        # the sender never answers a ping; the machine does
        assert await machine.until_closed() == (1001, "The peer is silent.")
        assert machine.pings > 0
        sender.drop()


async def test_a_machine_that_is_not_read_because_its_sender_reads_nothing_is_pinged(tmp_path: Path) -> None:
    limits = replace(QUICK, ping=0.05, data_beats=3, control_beats=1000)
    async with serving(tmp_path, limits) as relay:
        listener = await relay.listen()
        dialling = asyncio.ensure_future(relay.connect())
        call = json.loads((await listener.message())[1])["accept"]
        machine = await relay.dial(call["address"])
        sender = await dialling
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                while True:  # until nobody takes any more
                    await machine.send(bytes(256 * 1024))
        for _ in range(3 * limits.data_beats):
            async with asyncio.timeout(5):
                assert await machine.reader.read(1024)
        for socket in (machine, sender):
            socket.drop()


async def test_a_silent_listener_is_dropped(tmp_path: Path) -> None:
    down = asyncio.Event()
    async with serving(tmp_path, replace(QUICK, ping=0.05)) as relay:
        relay.broker.on_listener_down = lambda path: down.set()
        silent = await relay.listen()
        await asyncio.wait_for(down.wait(), 10)
        silent.drop()


async def test_the_sender_gets_1000_when_the_machine_closes(tmp_path: Path) -> None:
    async with serving(tmp_path, QUICK) as relay:
        listener = await relay.listen()
        dialling = asyncio.ensure_future(relay.connect())
        call = json.loads((await listener.message())[1])["accept"]
        machine = await relay.dial(call["address"])
        sender = await dialling
        await machine.send(b"last words")
        await machine.send(websocket.close_payload(1000, "done"), websocket.CLOSE)
        assert await sender.receive_bytes(10) == b"last words"
        assert await sender.until_closed() == (1000, "done")


@pytest.mark.parametrize(
    ("politely", "reason"), [(True, "bye"), (False, "The sender has closed the connection.")]
)
async def test_the_machine_gets_1001_when_the_sender_leaves(
    tmp_path: Path, politely: bool, reason: str
) -> None:
    async with serving(tmp_path, QUICK) as relay:
        listener = await relay.listen()
        dialling = asyncio.ensure_future(relay.connect())
        call = json.loads((await listener.message())[1])["accept"]
        machine = await relay.dial(call["address"])
        sender = await dialling
        if politely:
            await sender.send(websocket.close_payload(1000, "bye"), websocket.CLOSE)
        else:
            sender.drop()
        assert await machine.until_closed() == (1001, reason)


async def test_a_lost_machine_gives_the_sender_1011(tmp_path: Path) -> None:
    async with serving(tmp_path, QUICK) as relay:
        listener = await relay.listen()
        dialling = asyncio.ensure_future(relay.connect())
        call = json.loads((await listener.message())[1])["accept"]
        machine = await relay.dial(call["address"])
        sender = await dialling
        machine.drop()
        assert await sender.until_closed() == (1011, "The connection to the machine was lost.")


async def test_a_removed_machine_loses_channel_and_sessions(tmp_path: Path) -> None:
    async with serving(tmp_path, QUICK) as relay, echoing() as port:
        listener = await relay.listen()
        async with Agent(relay, {port}).running():
            socket = await relay.connect(headers={TARGET: f"localhost:{port}"})
            del relay.directory.entities[PATH]
            relay.broker.close(PATH)
            assert (await socket.until_closed())[0] == 1008
            assert (await listener.until_closed())[0] == 1001
