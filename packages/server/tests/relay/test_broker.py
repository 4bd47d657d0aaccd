"""Senders and machines that meet at the relay: bytes, headers, sub-protocols, waiting."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from relay_rehearsal import PATH, Agent, Refused, echoing, serving

from landbridge_server.relay.limits import Limits
from landbridge_wire import hybrid_connections as wire
from landbridge_wire import websocket

QUICK = Limits(hold=0.05, recent=0.0, refusal_hold=0.01, rendezvous=0.2, linger=0.2)
TARGET = wire.TARGET_HEADER


async def test_bytes_come_back_through_agent_and_echo(tmp_path: Path) -> None:
    async with serving(tmp_path, QUICK) as relay, echoing() as port, Agent(relay, {port}).running():
        socket = await relay.connect(headers={TARGET: f"localhost:{port}"})
        await socket.send(b"hello")
        assert await socket.receive_bytes(5) == b"hello"
        await socket.send_masked(b"masked")
        assert await socket.receive_bytes(6) == b"masked"


async def test_tens_of_mebibytes_survive_back_pressure_both_ways(tmp_path: Path) -> None:
    block = os.urandom(1 << 20)
    total = 24
    async with serving(tmp_path, QUICK) as relay, echoing() as port, Agent(relay, {port}).running():
        socket = await relay.connect(headers={TARGET: f"localhost:{port}"})

        async def send() -> None:
            for number in range(total):
                await socket.send(block[number:] + block[:number])

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(send())
            await asyncio.sleep(0.3)  # nobody reads: every buffer on the way fills up
            received = hashlib.sha256(await socket.receive_bytes(total << 20)).digest()
    expected = hashlib.sha256(b"".join(block[n:] + block[:n] for n in range(total))).digest()
    assert received == expected


async def test_types_and_boundaries_of_messages_are_kept(tmp_path: Path) -> None:
    async with serving(tmp_path, QUICK) as relay:
        listener = await relay.listen()
        dialling = asyncio.ensure_future(relay.connect())
        call = json.loads((await listener.message())[1])["accept"]
        machine = await relay.dial(call["address"])
        sender = await dialling
        await sender.send(b"one", websocket.TEXT)
        await sender.send(b"tw", websocket.BINARY, fin=False)
        await sender.send(b"o", websocket.CONT)
        await sender.send(b"", websocket.BINARY)
        assert await machine.message() == (websocket.TEXT, b"one")
        assert await machine.message() == (websocket.BINARY, b"two")
        assert await machine.message() == (websocket.BINARY, b"")
        await machine.send(b"big" * 100_000, websocket.TEXT)
        assert await sender.message() == (websocket.TEXT, b"big" * 100_000)


async def test_accept_carries_the_senders_headers_but_no_extensions(tmp_path: Path) -> None:
    async with serving(tmp_path, QUICK) as relay:
        listener = await relay.listen()
        extra = {TARGET: "localhost:22", "Sec-WebSocket-Extensions": "permessage-deflate"}
        dialling = asyncio.ensure_future(relay.connect(headers=extra))
        call = json.loads((await listener.message())[1])["accept"]
        names = {name.lower(): value for name, value in call["connectHeaders"].items()}
        assert names[TARGET.lower()] == "localhost:22"
        assert names["sec-websocket-key"]
        assert "sec-websocket-extensions" not in names
        assert call["id"] == "call"
        assert call["remoteEndpoint"]["address"] == "127.0.0.1"
        dialling.cancel()


async def test_the_sub_protocol_that_the_listener_names_reaches_the_sender(tmp_path: Path) -> None:
    async with serving(tmp_path, QUICK) as relay:
        listener = await relay.listen()
        dialling = asyncio.ensure_future(relay.connect(headers={"Sec-WebSocket-Protocol": "a, b"}))
        call = json.loads((await listener.message())[1])["accept"]
        await relay.dial(call["address"], {"Sec-WebSocket-Protocol": "b"})
        assert (await dialling).head.get("Sec-WebSocket-Protocol") == "b"


async def test_hyco_ws_may_reject_without_the_prefix(tmp_path: Path) -> None:
    async with serving(tmp_path, QUICK) as relay:
        listener = await relay.listen()
        dialling = asyncio.ensure_future(relay.connect())
        call = json.loads((await listener.message())[1])["accept"]
        with pytest.raises(Refused):
            await relay.dial(call["address"] + "&statusCode=404&statusDescription=Nobody%20here")
        with pytest.raises(Refused, match="404 Nobody here"):
            await dialling


async def test_a_rendezvous_address_works_once(tmp_path: Path) -> None:
    async with serving(tmp_path, QUICK) as relay:
        listener = await relay.listen()
        dialling = asyncio.ensure_future(relay.connect())
        call = json.loads((await listener.message())[1])["accept"]
        await relay.dial(call["address"])
        await dialling
        with pytest.raises(Refused) as refused:
            await relay.dial(call["address"])
        assert refused.value.status == 404


async def test_a_machine_that_does_not_answer_gives_504(tmp_path: Path) -> None:
    async with serving(tmp_path, QUICK) as relay:
        await relay.listen()
        with pytest.raises(Refused, match="504 The machine did not answer"):
            await relay.connect()


async def test_a_sender_that_leaves_voids_its_address(tmp_path: Path) -> None:
    async with serving(tmp_path, replace(QUICK, rendezvous=30.0)) as relay:
        listener = await relay.listen()
        dialling = asyncio.ensure_future(relay.connect())
        call = json.loads((await listener.message())[1])["accept"]
        dialling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dialling
        with pytest.raises((Refused, AssertionError)):
            socket = await relay.dial(call["address"])
            await socket.message()  # if the cancel was slower than our dial, the end follows at once


async def test_a_sender_waits_for_a_listener_that_left_a_moment_ago(tmp_path: Path) -> None:
    async with serving(tmp_path, replace(QUICK, recent=30.0, hold=30.0)) as relay, echoing() as port:
        dialling = asyncio.ensure_future(relay.connect(headers={TARGET: f"localhost:{port}"}))
        await asyncio.sleep(0.05)
        assert not dialling.done()
        async with Agent(relay, {port}).running():
            socket = await dialling
            await socket.send(b"patience")
            assert await socket.receive_bytes(8) == b"patience"


async def test_a_sender_that_waited_in_vain_gets_404(tmp_path: Path) -> None:
    async with serving(tmp_path, replace(QUICK, recent=30.0)) as relay:
        with pytest.raises(Refused, match="404 Endpoint does not exist"):
            await relay.connect()


async def test_too_many_waiting_senders_are_told_so(tmp_path: Path) -> None:
    async with serving(tmp_path, replace(QUICK, recent=30.0, hold=30.0, pending_per_path=1)) as relay:
        first = asyncio.ensure_future(relay.connect())
        await asyncio.sleep(0.05)
        with pytest.raises(Refused, match="503 Too many"):
            await relay.connect()
        first.cancel()


async def test_without_a_listener_the_reason_is_the_one_az_ssh_looks_for(tmp_path: Path) -> None:
    async with serving(tmp_path, QUICK) as relay:
        with pytest.raises(Refused, match=r"404 Endpoint does not exist\. TrackingId:") as refused:
            await relay.connect()
        assert f"SystemTracker:sb://{PATH}, Timestamp:2027-01-15T08:00:00" in refused.value.reason


async def test_the_reason_says_since_when_the_machine_is_offline(tmp_path: Path) -> None:
    async with serving(tmp_path, QUICK) as relay:
        relay.broker.offline_since = lambda path: relay.clock() - 3600
        with pytest.raises(
            Refused, match=r"does not exist\. The machine is offline since 2027-01-15T07:00:00Z"
        ):
            await relay.connect()


async def test_a_data_frame_of_any_announced_size_is_streamed(tmp_path: Path) -> None:
    async with serving(tmp_path, QUICK) as relay, echoing() as port, Agent(relay, {port}).running():
        socket = await relay.connect(headers={TARGET: f"localhost:{port}"})
        socket.writer.write(websocket.frame_header(2, 1 << 40, True, b"\0\0\0\0") + b"first bytes")
        assert await socket.receive_bytes(11) == b"first bytes"


async def test_a_refused_port_gives_the_sender_the_agents_reason_and_the_agent_410(tmp_path: Path) -> None:
    async with serving(tmp_path, QUICK) as relay:
        listener = await relay.listen()
        dialling = asyncio.ensure_future(relay.connect(headers={TARGET: "localhost:2222"}))
        call = json.loads((await listener.message())[1])["accept"]
        with pytest.raises(Refused) as rejected:
            await relay.dial(wire.refusal(call["address"], 403, "Port 2222 is not allowed.\r\nX: y"))
        assert rejected.value.status == 410
        with pytest.raises(Refused) as refused:
            await dialling
        assert refused.value.status == 403
        assert refused.value.reason == "Port 2222 is not allowed.  X: y"
        assert refused.value.head.get("X") == ""


async def test_the_agent_comes_back_after_its_channel_was_cut(tmp_path: Path) -> None:
    async with serving(tmp_path, replace(QUICK, recent=30.0, hold=30.0)) as relay, echoing() as port:  # noqa: SIM117
        async with Agent(relay, {port}).running() as agent:
            agent.socket.drop()
            socket = await relay.connect(headers={TARGET: f"localhost:{port}"})
            await socket.send(b"again")
            assert await socket.receive_bytes(5) == b"again"
