"""How things end at the broker: removal, revocation, shutdown, bounds."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
from relay_rehearsal import OTHER_PATH, PATH, USER, Refused, Relay, WebSocket, serving

from landbridge_server.relay import broker
from landbridge_server.relay.limits import Limits
from landbridge_wire import websocket

QUICK = Limits(hold=0.05, recent=0.0, refusal_hold=0.01, rendezvous=0.2, linger=0.2)
WAITING = replace(QUICK, recent=3600.0, hold=3600.0, rendezvous=3600.0)


async def joined(relay: Relay) -> tuple[WebSocket, WebSocket, WebSocket]:
    """Return a control channel, and the machine's and the sender's socket of a session."""
    listener = await relay.listen()
    dialling = asyncio.ensure_future(relay.connect())
    call = json.loads((await listener.message())[1])["accept"]
    machine = await relay.dial(call["address"])
    return listener, machine, await dialling


async def waiting(relay: Relay) -> asyncio.Future[WebSocket]:
    """Return a sender that the broker holds."""
    dialling = asyncio.ensure_future(relay.connect())
    while not relay.broker._waiting:
        await asyncio.sleep(0.01)
    return dialling


async def test_a_sender_to_a_removed_machine_gets_404(tmp_path: Path) -> None:
    async with serving(tmp_path, QUICK) as relay:
        del relay.directory.entities[PATH]
        with pytest.raises(Refused, match="404 Endpoint does not exist"):
            await relay.connect()


async def test_a_sender_that_waits_for_a_machine_is_refused_when_it_is_removed(tmp_path: Path) -> None:
    async with serving(tmp_path, WAITING) as relay:
        dialling = await waiting(relay)
        relay.broker.close(PATH)
        with pytest.raises(Refused, match="404 Endpoint does not exist"):
            await dialling
        assert relay.broker._waiting_total == 0


async def test_recheck_ends_what_a_removed_machine_still_has(tmp_path: Path) -> None:
    async with serving(tmp_path, QUICK) as relay:
        listener, _, sender = await joined(relay)
        other = await relay.listen(OTHER_PATH)
        del relay.directory.entities[PATH]
        await relay.broker.recheck()
        assert (await listener.until_closed())[0] == 1001
        assert (await sender.until_closed())[0] == 1008
        assert relay.broker.listening(OTHER_PATH)
        assert not other.reader.at_eof()


async def test_recheck_reaches_everybody_in_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "RECHECKED_AT_ONCE", 1)
    async with serving(tmp_path, QUICK) as relay:
        _, _, sender = await joined(relay)
        other = asyncio.ensure_future(relay.connect(OTHER_PATH))
        listener = await relay.listen(OTHER_PATH)
        call = json.loads((await listener.message())[1])["accept"]
        await relay.dial(call["address"])
        relay.directory.denied.add(USER)
        await relay.broker.recheck()
        assert (await sender.until_closed())[0] == 1008
        assert (await (await other).until_closed())[0] == 1008


async def test_recheck_tells_its_caller_what_the_directory_raises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker, "RECHECKED_AT_ONCE", 1)
    async with serving(tmp_path, QUICK) as relay:
        _, _, sender = await joined(relay)
        other = asyncio.ensure_future(relay.connect(OTHER_PATH))
        listener = await relay.listen(OTHER_PATH)
        await relay.dial(json.loads((await listener.message())[1])["accept"]["address"])
        asked: list[str] = []

        def entity(path: str) -> str:
            asked.append(path)
            if len(asked) == 2:
                raise RuntimeError("the store is away")
            return USER

        monkeypatch.setattr(relay.directory, "entity", entity)
        with pytest.raises(RuntimeError, match="the store is away"):
            await relay.broker.recheck()
        for socket in (sender, await other):
            await socket.send(b"still open")


async def test_recheck_refuses_a_waiting_sender_who_lost_the_right(tmp_path: Path) -> None:
    async with serving(tmp_path, WAITING) as relay:
        dialling = await waiting(relay)
        relay.directory.denied.add(USER)
        await relay.broker.recheck()
        with pytest.raises(Refused, match=r"403 Unauthorized access\. 'Send'"):
            await dialling


async def test_a_shutdown_tells_everybody(tmp_path: Path) -> None:
    async with serving(tmp_path, WAITING) as relay:
        listener, machine, sender = await joined(relay)
        dialling = asyncio.ensure_future(relay.connect())
        await listener.message()
        relay.broker.shut_down()
        assert await listener.until_closed() == (1001, "The relay is going away.")
        assert await machine.until_closed() == (1001, "The relay is going away.")
        assert await sender.until_closed() == (1008, "The relay is going away.")
        with pytest.raises(Refused, match="503 The relay is going away"):
            await dialling


async def test_no_more_sessions_than_the_limit(tmp_path: Path) -> None:
    async with serving(tmp_path, replace(QUICK, sessions_per_path=1)) as relay:
        _, machine, sender = await joined(relay)
        assert relay.broker.sessions(PATH) == 1
        with pytest.raises(Refused, match="503 This machine already has 1 sessions"):
            await relay.connect()
        sender.drop()
        assert (await machine.until_closed())[0] == 1001
        while relay.broker.sessions(PATH):
            await asyncio.sleep(0.01)


async def test_what_the_machine_says_at_its_end_reaches_the_sender(tmp_path: Path) -> None:
    async with serving(tmp_path, QUICK) as relay:
        _, machine, sender = await joined(relay)
        await machine.send(websocket.close_payload(1011, "sshd has gone away"), websocket.CLOSE)
        assert await sender.until_closed() == (1011, "sshd has gone away")


async def test_broken_framing_ends_both_halves(tmp_path: Path) -> None:
    async with serving(tmp_path, QUICK) as relay:
        _, machine, sender = await joined(relay)
        sender.writer.write(b"\x82\x05hello")  # not masked
        assert (await sender.until_closed())[0] == 1002
        assert (await machine.until_closed())[0] == 1001


async def test_data_before_a_close_arrives_though_the_reader_is_slow(tmp_path: Path) -> None:
    block = bytes(range(256)) * 4096
    async with serving(tmp_path, replace(QUICK, linger=2.0)) as relay:
        _, machine, sender = await joined(relay)
        received = bytearray()

        async def read_slowly() -> None:
            while len(received) < 8 * len(block):
                event = await machine.next()
                assert event is not None and event.opcode != websocket.CLOSE
                received.extend(event.data)  # type: ignore[union-attr]
                await asyncio.sleep(0.005)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(read_slowly())
            for _ in range(8):
                await sender.send(block)
            await sender.send(websocket.close_payload(1000), websocket.CLOSE)
    assert bytes(received) == block * 8


async def test_a_peer_that_never_answers_a_close_is_aborted(tmp_path: Path) -> None:
    async with serving(tmp_path, QUICK) as relay:
        listener = await relay.listen()
        relay.broker.close(PATH)
        while await listener.reader.read(65536):
            pass  # reads the close frame and says nothing
        assert not relay.broker.listening(PATH)


async def test_a_ping_flood_costs_the_relay_no_memory(tmp_path: Path) -> None:
    async with serving(tmp_path, QUICK) as relay:
        listener = await relay.listen()
        (control,) = relay.broker._listeners[PATH]
        flood = websocket.encode(websocket.PING, b"p" * 125, b"abcd") * 2000
        for _ in range(80):  # 20 MB of pings, and no pong is read
            listener.writer.write(flood)
            try:
                await asyncio.wait_for(listener.writer.drain(), 0.5)
            except TimeoutError:
                break
        assert control._transport.get_write_buffer_size() < 1 << 20


async def test_departures_are_forgotten_after_a_while(tmp_path: Path) -> None:
    async with serving(tmp_path, replace(QUICK, recent=10.0)) as relay:
        for number in range(1024):
            relay.broker._note_left(f"p{number}")
        relay.clock.now += 11
        relay.broker._note_left("last")
        assert list(relay.broker._left) == ["last"]


async def test_a_listener_that_never_stops_talking_is_sent_away(tmp_path: Path) -> None:
    async with serving(tmp_path, replace(QUICK, ping=30.0, control_texts=5)) as relay:
        listener = await relay.listen()
        for _ in range(6):
            await listener.send(b'{"heartbeat": {}}', websocket.TEXT)
        event = await listener.next()
        assert (event.opcode, listener.closed) == (websocket.CLOSE, (1008, "Too many messages."))


async def test_a_rejection_without_a_printable_reason_still_answers_the_sender(tmp_path: Path) -> None:
    async with serving(tmp_path, QUICK) as relay:
        listener = await relay.listen()
        dialling = asyncio.ensure_future(relay.connect())
        call = json.loads((await listener.message())[1])["accept"]
        with pytest.raises(Refused, match="410"):
            await relay.dial(call["address"] + "&sb-hc-statusCode=499&sb-hc-statusDescription=%00")
        with pytest.raises(Refused, match="499 Refused"):
            await dialling


async def test_a_token_of_the_key_before_neither_listens_nor_prolongs_and_its_channel_ends(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, QUICK) as relay:
        old = relay.listen_token(seconds=1800)
        listener = await relay.listen(token=old)
        relay.directory.listens_until = relay.clock() + 3600
        with pytest.raises(Refused, match=r"403 Unauthorized access\. 'Listen'"):
            await relay.listen(token=old)
        fresh = await relay.listen()
        relay.broker.recheck_listeners(PATH)
        assert (await listener.until_closed())[0] == 1008
        await fresh.send(json.dumps({"renewToken": {"token": old}}).encode(), websocket.TEXT)
        assert (await fresh.until_closed())[0] == 1008
