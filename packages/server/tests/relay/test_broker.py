"""The relay end to end: a real TLS listener, an agent of the wire's state machine, an echo."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from relay_rehearsal import MACHINE, OTHER_PATH, PATH, USER, Agent, Refused, echoing, serving

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


@pytest.mark.parametrize(
    ("case", "status", "reason"),
    [
        ("missing", 401, "MissingToken"),
        ("garbage", 401, "MalformedToken"),
        ("expired", 401, "ExpiredToken"),
        ("other machine", 401, "InvalidSignature"),
        ("listen right", 403, "'Send' claim"),
        ("revoked sender", 403, "'Send' claim"),
    ],
)
async def test_a_sender_with_a_wrong_token_is_refused(
    tmp_path: Path, case: str, status: int, reason: str
) -> None:
    async with serving(tmp_path, QUICK) as relay:
        if case == "revoked sender":
            relay.directory.denied.add(USER)
        token = {
            "missing": "",
            "garbage": "Bearer abc",
            "expired": relay.send_token(seconds=-1),
            "other machine": relay.send_token(OTHER_PATH),
            "listen right": relay.listen_token(),
            "revoked sender": relay.send_token(),
        }[case]
        with pytest.raises(Refused, match=reason) as refused:
            await relay.connect(token=token)
        assert refused.value.status == status


@pytest.mark.parametrize(
    ("case", "status", "reason"),
    [
        ("send right", 403, "'Listen' claim"),
        ("expired", 401, "ExpiredToken"),
        ("other machine", 401, "InvalidSignature"),
        ("removed", 404, "Endpoint does not exist"),
    ],
)
async def test_a_listener_with_a_wrong_token_is_refused(
    tmp_path: Path, case: str, status: int, reason: str
) -> None:
    async with serving(tmp_path, QUICK) as relay:
        if case == "removed":
            del relay.directory.entities[PATH]
        token = {
            "send right": relay.send_token(),
            "expired": relay.listen_token(seconds=-1),
            "other machine": relay.listen_token(OTHER_PATH),
            "removed": relay.listen_token(),
        }[case]
        with pytest.raises(Refused, match=reason) as refused:
            await relay.listen(token=token)
        assert refused.value.status == status


async def test_a_refused_listener_waits_for_its_answer(tmp_path: Path) -> None:
    async with serving(tmp_path, replace(QUICK, refusal_hold=30.0)) as relay:
        dialling = asyncio.ensure_future(relay.listen(token="x"))
        await asyncio.sleep(0.1)
        assert not dialling.done()
        assert relay.broker.held == 1
        dialling.cancel()


async def test_a_token_in_the_query_is_as_good_as_the_header(tmp_path: Path) -> None:
    from urllib.parse import quote

    async with serving(tmp_path, QUICK) as relay:
        token = quote(relay.listen_token(), safe="")
        await relay.dial(f"{relay.base}/$hc/{PATH}?null&sb-hc-token={token}&sb-hc-action=listen")
        assert relay.broker.listening(PATH)


async def test_no_more_than_the_limit_of_listeners(tmp_path: Path) -> None:
    async with serving(tmp_path, replace(QUICK, listeners_per_path=2)) as relay:
        standing = [await relay.listen(), await relay.listen()]
        with pytest.raises(Refused, match="403 At most 2 listeners"):
            await relay.listen()
        assert len(standing) == 2


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


async def test_a_data_frame_of_any_announced_size_is_streamed(tmp_path: Path) -> None:
    async with serving(tmp_path, QUICK) as relay, echoing() as port, Agent(relay, {port}).running():
        socket = await relay.connect(headers={TARGET: f"localhost:{port}"})
        socket.writer.write(websocket.frame_header(2, 1 << 40, True, b"\0\0\0\0") + b"first bytes")
        assert await socket.receive_bytes(11) == b"first bytes"


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


async def test_recheck_ends_the_sessions_of_a_sender_who_lost_the_right(tmp_path: Path) -> None:
    async with serving(tmp_path, QUICK) as relay, echoing() as port, Agent(relay, {port}).running():
        socket = await relay.connect(headers={TARGET: f"localhost:{port}"})
        await relay.broker.recheck()
        await socket.send(b"fine")
        assert await socket.receive_bytes(4) == b"fine"
        relay.directory.denied.add(USER)
        await relay.broker.recheck()
        assert (await socket.until_closed())[0] == 1008
        assert MACHINE in PATH


async def test_the_agent_comes_back_after_its_channel_was_cut(tmp_path: Path) -> None:
    async with serving(tmp_path, replace(QUICK, recent=30.0, hold=30.0)) as relay, echoing() as port:  # noqa: SIM117
        async with Agent(relay, {port}).running() as agent:
            agent.socket.drop()
            socket = await relay.connect(headers={TARGET: f"localhost:{port}"})
            await socket.send(b"again")
            assert await socket.receive_bytes(5) == b"again"
