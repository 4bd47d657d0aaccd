"""Who comes and goes without end has to wait; who does it now and then has not."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
from relay_rehearsal import OTHER_PATH, PATH, Relay, serving

from landbridge_server.relay import restless
from landbridge_server.relay.limits import Limits
from landbridge_server.relay.restless import Restless
from landbridge_wire import websocket

QUICK = Limits(hold=0.05, recent=0.0, refusal_hold=3600.0, rendezvous=0.2, linger=0.2, brief=60.0)


def test_the_second_brief_stay_in_a_row_makes_a_path_hasty():
    paths = Restless(brief=1.0, hold=1.5)
    paths.left("a", 10.0, 10.1)
    assert not paths.hasty("a", 10.1)
    paths.left("a", 10.2, 10.3)
    assert paths.hasty("a", 10.3)
    assert not paths.hasty("b", 10.3)


def test_a_stay_that_was_long_enough_calms_it_down():
    paths = Restless(brief=1.0, hold=1.5)
    for _ in range(3):
        paths.left("a", 10.0, 10.1)
    paths.left("a", 10.2, 11.2)
    assert not paths.hasty("a", 11.2)


def test_so_does_an_absence():
    paths = Restless(brief=1.0, hold=1.5)
    for _ in range(3):
        paths.left("a", 10.0, 10.1)
    assert not paths.hasty("a", 11.6)
    paths.left("a", 11.6, 11.7)
    assert not paths.hasty("a", 11.7)


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr(restless, "REMEMBERED", 10)
    paths = Restless(brief=1.0, hold=1.5)
    for number in range(1000):
        paths.left(f"p{number}", float(number), number + 0.1)
    assert len(paths._stays) <= 11


async def leave(relay: Relay, path: str = PATH) -> None:
    """Have a channel, and lose it at once."""
    (await relay.listen(path)).drop()
    while relay.broker.listening(path):
        await asyncio.sleep(0.01)


async def test_a_machine_that_storms_waits_for_its_channel_and_no_other_does(tmp_path: Path) -> None:
    async with serving(tmp_path, QUICK) as relay:
        await leave(relay)
        await leave(relay)
        third = asyncio.ensure_future(relay.listen())
        while not relay.broker.held:
            await asyncio.sleep(0.01)
        assert not third.done() and not relay.broker.listening(PATH)
        await relay.listen(OTHER_PATH)
        third.cancel()
        while relay.broker.held:
            await asyncio.sleep(0.01)


async def test_after_its_wait_it_gets_its_channel(tmp_path: Path) -> None:
    async with serving(tmp_path, replace(QUICK, refusal_hold=0.2)) as relay:
        await leave(relay)
        await leave(relay)
        listener = await relay.listen()
        assert (relay.broker.held, relay.broker.listening(PATH)) == (0, True)
        dialling = asyncio.ensure_future(relay.connect())
        assert json.loads((await listener.message())[1])["accept"]["id"] == "call"
        dialling.cancel()


async def test_a_channel_that_is_closed_for_bad_messages_at_once_is_not_opened_hundreds_of_times(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, replace(QUICK, refusal_hold=1.0)) as relay:
        dials = 0
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.8):
                while True:  # as hyco-ws does
                    listener = await relay.listen()
                    dials += 1
                    await listener.send(b"no message", websocket.TEXT)
                    assert (await listener.until_closed())[0] == 1008
        assert dials == 2
