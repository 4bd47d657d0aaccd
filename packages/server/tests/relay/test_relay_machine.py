"""The relay's doorkeeper, broker and sockets as a state machine, with every order of events.

The transports are pairs of buffers and the loop's clock is wound by hand, so that timeouts come when
Hypothesis wants them. Everything between is the real thing, from the opening request's bytes on.

What holds whatever happens: a sender is met or refused, once; nobody hears what was not said to them;
the broker keeps nothing of what is over; a path that was closed has no sockets left.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from relay_rehearsal import OTHER_PATH, PATH, USER, Clock, Directory

from landbridge_server.relay.broker import Broker
from landbridge_server.relay.credentials import RelayCredentials
from landbridge_server.relay.limits import Limits
from landbridge_server.relay.protocol import Doorkeeper
from landbridge_wire import hybrid_connections as wire
from landbridge_wire import upgrade, websocket
from landbridge_wire.websocket import Control, FrameReader, Piece

MASTER = b"m" * 32
LIMITS = Limits(
    listeners_per_path=3,
    pending_per_path=4,
    pending_total=6,
    sessions_per_path=4,
    hold=8.0,
    recent=30.0,
    rendezvous=30.0,
    held=3,
)
PATHS = (PATH, OTHER_PATH)
TWISTS = st.sampled_from([*[""] * 8, "reject", "other path", "again"])
MOSTLY = st.sampled_from([True] * 7 + [False])
USERS = (USER, "88888888-8888-8888-8888-888888888888")


class SteppedLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock stands until it is wound."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def time(self) -> float:
        return self.now

    def turn(self) -> None:
        """Run everything that is due, until nothing is."""
        for _ in range(6):
            self.call_soon(self.stop)
            self.run_forever()

    def wind(self, seconds: float) -> None:
        """Let time pass in steps, so that timers which start others have their turns."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + 1.0)
            self.turn()


class Transport(asyncio.Transport):
    """The server's end of a connection; the peer reads what was written."""

    def __init__(self, loop: SteppedLoop) -> None:
        super().__init__({"peername": ("192.0.2.1", 5), "ssl_object": object()})
        self.loop = loop
        self.protocol: Any = None
        self.written = bytearray()
        self.closing = False
        self.lost = False
        self.paused = False

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def get_protocol(self) -> Any:
        return self.protocol

    def is_closing(self) -> bool:
        return self.closing

    def write(self, data: bytes) -> None:
        if not self.closing:
            self.written += data

    def writelines(self, parts: Any) -> None:
        self.write(b"".join(bytes(part) for part in parts))

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert high and low and high > low

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def close(self) -> None:
        if not self.closing:
            self.closing = True
            self.loop.call_soon(self._lose)

    abort = close

    def _lose(self) -> None:
        assert not self.lost
        self.lost = True
        self.protocol.connection_lost(None)

    # -- what the peer does

    def receive(self, data: bytes) -> None:
        if not self.closing:
            self.protocol.data_received(data)


class Peer:
    """A client: reads answers and frames, remembers what it was told."""

    def __init__(self, relay: Relay, target: str, token: str = "") -> None:
        self.transport = Transport(relay.loop)
        self.head: upgrade.Head | None = None
        self.heads = 0
        self.frames = FrameReader(masked=False)
        self.heard = bytearray()
        self.texts: list[str] = []
        self.closed = False
        self._seen = 0
        keeper = Doorkeeper(relay.broker)
        self.transport.set_protocol(keeper)
        keeper.connection_made(self.transport)
        headers = [(wire.TOKEN_HEADER, token)] if token else []
        keeper.data_received(upgrade.request_head(target, "relay:1", upgrade.key_for(b"k" * 16), headers))

    @property
    def status(self) -> int:
        """The status of the answer; 0 before there is one."""
        return self.head.status if self.head else 0

    @property
    def gone(self) -> bool:
        return self.transport.lost

    def read(self) -> None:
        """Read all that the server has written."""
        data = bytes(self.transport.written[self._seen :])
        self._seen += len(data)
        if self.head is None and data:
            length = upgrade.head_length(data)
            assert length, "an answer in parts"
            self.head, data = upgrade.parse_head(data[:length]), data[length:]
            self.heads += 1
        if self.status != 101:
            assert b"HTTP/1.1" not in data, "answered twice"
            return
        for event in self.frames.feed(data):
            if isinstance(event, Piece):
                self.heard += event.data
                if event.fin and self.transport.protocol.__class__.__name__ == "ControlSocket":
                    self.texts.append(bytes(self.heard).decode())
                    self.heard.clear()
            elif isinstance(event, Control) and event.opcode == websocket.CLOSE:
                assert not self.closed, "closed twice"
                self.closed = True

    def send(self, payload: bytes, opcode: int = websocket.BINARY) -> None:
        self.transport.receive(websocket.encode(opcode, payload, b"abcd"))


class Relay:
    """The real broker on a loop and a clock that are wound by hand."""

    def __init__(self) -> None:
        self.loop = SteppedLoop()
        self.clock, self.directory = Clock(), Directory()
        asyncio.set_event_loop(self.loop)
        self.broker = Broker(self.directory, MASTER, self.clock, limits=LIMITS)
        self.credentials = RelayCredentials(MASTER, "relay")


class Life(RuleBasedStateMachine):
    """Listeners, senders, accepts, closes and timeouts in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.relay = Relay()
        self.listeners: list[tuple[str, Peer]] = []
        self.senders: dict[str, tuple[str, str, Peer]] = {}  # id -> path, user, peer
        self.calls: list[tuple[str, str, str]] = []  # path, id and target of each accept that came
        self.machines: dict[str, Peer] = {}  # id of the sender -> the machine's half
        self.rejected: set[str] = set()
        self.said: dict[str, tuple[bytearray, bytearray]] = {}  # id -> by sender, by machine
        self.number = 0

    def teardown(self) -> None:
        self.relay.broker.shut_down()
        self.settle()
        self.relay.loop.wind(60.0)
        self.settle()
        self.nothing_is_left()
        self.relay.loop.close()
        asyncio.set_event_loop(None)

    def settle(self) -> None:
        self.relay.loop.turn()
        for peer in self.peers():
            peer.read()
        for path, listener in self.listeners:
            for text in listener.texts:
                kind, body = wire.parse_control(text)
                assert kind == "accept"
                target = "/" + body["address"].split("/", 3)[3]
                assert path in target, "an accept of another machine"
                self.calls.append((path, body["id"], target))
            listener.texts.clear()

    def peers(self) -> list[Peer]:
        return [
            *(peer for _, peer in self.listeners),
            *(peer for _, _, peer in self.senders.values()),
            *self.machines.values(),
        ]

    def open(self, make: Any) -> Any:
        async def opened() -> Any:
            return make()

        peer = self.relay.loop.run_until_complete(opened())
        return peer

    # -- what happens

    @initialize()
    def machines_come_up(self) -> None:
        for path in PATHS:
            self.listen(path, True, 3600)

    @rule(path=st.sampled_from(PATHS), good=MOSTLY, seconds=st.sampled_from([40, 3600]))
    def listen(self, path: str, good: bool, seconds: int) -> None:
        token = self.relay.credentials.listen_credentials(path, seconds, self.relay.clock())[0]
        target = f"/$hc/{path}?sb-hc-action=listen"
        peer = self.open(lambda: Peer(self.relay, target, token if good else token[:-1]))
        self.listeners.append((path, peer))
        self.settle()
        assert good or peer.status != 101

    @rule(path=st.sampled_from(PATHS), user=st.sampled_from(USERS), good=MOSTLY)
    def connect(self, path: str, user: str, good: bool) -> None:
        self.number += 1
        name = f"call-{self.number}"
        token = self.relay.credentials.send_credentials(path, user, 3600, self.relay.clock()).access_key
        target = f"/$hc/{path}?sb-hc-action=connect&sb-hc-id={name}"
        peer = self.open(lambda: Peer(self.relay, target, token if good else "x"))
        self.senders[name] = (path, user, peer)
        self.settle()
        assert good or peer.status == 401

    @precondition(lambda self: self.calls)
    @rule(which=st.integers(0, 3), twist=TWISTS)
    def accept(self, which: int, twist: str) -> None:
        path, name, target = self.calls[-1 - which % len(self.calls)]
        sender = self.senders[name][2]
        open_before = sender.status == 0 and not sender.gone
        if twist == "reject":
            target += "&sb-hc-statusCode=403&sb-hc-statusDescription=no"
        if twist == "other path":
            target = target.replace(path, PATHS[path == PATHS[0]])
        machine = self.open(lambda: Peer(self.relay, target))
        self.settle()
        machine.read()
        if twist == "other path":
            assert machine.status == 404
            assert sender.status != 101 or name in self.machines
        elif twist == "reject":
            assert machine.status in (410, 404)
            if machine.status == 410:
                assert open_before and sender.status == 403
                self.rejected.add(name)
        elif machine.status == 101:
            assert open_before and name not in self.machines and name not in self.rejected
            self.machines[name] = machine
            self.said[name] = (bytearray(), bytearray())
            self.settle()
            assert sender.status == 101
        else:
            assert machine.status == 404
        if twist == "again":
            again = self.open(lambda: Peer(self.relay, target))
            self.relay.loop.turn()
            again.read()
            assert again.status == 404, "an address worked twice"

    @rule(path=st.sampled_from(PATHS), user=st.sampled_from(USERS), twist=TWISTS)
    def call_and_answer(self, path: str, user: str, twist: str) -> None:
        before = len(self.calls)
        self.connect(path, user, True)
        if len(self.calls) > before:
            self.accept(0, twist)
        if self.machines:
            self.speak(len(self.machines) - 1, b"hello", True)
            self.speak(0, b"hello", False)

    @precondition(lambda self: self.machines)
    @rule(which=st.integers(0, 100), data=st.binary(max_size=40), by_sender=st.booleans())
    def speak(self, which: int, data: bytes, by_sender: bool) -> None:
        name = sorted(self.machines)[which % len(self.machines)]
        sender, machine = self.senders[name][2], self.machines[name]
        speaker, other = (sender, machine) if by_sender else (machine, sender)
        if speaker.transport.closing or speaker.closed or other.transport.closing or other.closed:
            return
        data = f"<{name}>".encode() + data
        speaker.send(data)
        self.said[name][0 if by_sender else 1].extend(data)
        self.settle()

    @precondition(lambda self: self.peers())
    @rule(which=st.integers(0, 1000), how=st.sampled_from(["drop", "close", "garbage"]))
    def leave(self, which: int, how: str) -> None:
        peers = self.peers()
        peer = peers[which % len(peers)]
        if how == "drop":
            peer.transport.close()
        elif peer.status == 101 and how == "close":
            peer.send(websocket.close_payload(1000), websocket.CLOSE)
        elif peer.status == 101:
            peer.transport.receive(b"\xff\xff\xff\xff")
        self.settle()

    @rule(path=st.sampled_from(PATHS))
    def close_path(self, path: str) -> None:
        late = [peer for _, peer in self.listeners if not peer.status]  # held: they come after the close
        self.open(lambda: self.relay.broker.close(path))
        self.settle()
        self.relay.loop.wind(LIMITS.linger + 1)
        self.settle()
        assert self.relay.broker.sessions(path) == 0
        assert late or not self.relay.broker.listening(path)
        for where, peer in self.listeners:
            assert where != path or peer.gone or peer in late
        for where, _, peer in self.senders.values():
            assert where != path or peer.gone

    @rule(path=st.sampled_from(PATHS), there=MOSTLY)
    def remove_or_restore(self, path: str, there: bool) -> None:
        if there:
            self.relay.directory.entities[path] = path
        else:
            self.relay.directory.entities.pop(path, None)

    @rule(user=st.sampled_from(USERS), allowed=MOSTLY)
    def allow_or_deny(self, user: str, allowed: bool) -> None:
        (self.relay.directory.denied.discard if allowed else self.relay.directory.denied.add)(user)

    @rule(denied=st.sampled_from([None, *USERS]))
    def recheck(self, denied: str | None) -> None:
        if denied:
            self.relay.directory.denied.add(denied)
        self.relay.loop.run_until_complete(self.relay.broker.recheck())
        self.settle()
        for path, user, peer in self.senders.values():
            lost = user in self.relay.directory.denied or path not in self.relay.directory.entities
            assert not lost or peer.status not in (0, 101) or peer.closed or peer.gone

    @rule(seconds=st.sampled_from([1.0, 9.0, 31.0, 120.0]))
    def time_passes(self, seconds: float) -> None:
        self.relay.clock.now += seconds
        self.relay.loop.wind(seconds)
        self.settle()
        if seconds > LIMITS.rendezvous + LIMITS.hold:
            for _, _, peer in self.senders.values():
                assert peer.status or peer.gone, "a sender was left waiting"

    # -- what holds always

    @invariant()
    def a_sender_is_met_or_refused_once(self) -> None:
        for name, (_, _, peer) in self.senders.items():
            assert peer.heads <= 1
            assert (peer.status == 101) == (name in self.machines)
            assert name not in self.rejected or peer.status == 403

    @invariant()
    def nobody_hears_what_was_not_said_to_them(self) -> None:
        for name, machine in self.machines.items():
            by_sender, by_machine = self.said[name]
            assert bytes(machine.heard) == bytes(by_sender)
            assert bytes(self.senders[name][2].heard) == bytes(by_machine)

    @invariant()
    def the_broker_counts_what_is_there(self) -> None:
        broker = self.relay.broker
        waiting = [one for each in broker._waiting.values() for one in each]
        assert broker._waiting_total == len(waiting) <= LIMITS.pending_total
        assert all(broker._waiting.values()) and all(broker._sessions.values())
        assert all(broker._listeners.values())
        assert {id(one) for one in broker._pending.values()} <= {id(one) for one in waiting}
        assert all(len(each) <= LIMITS.pending_per_path for each in broker._waiting.values())
        assert all(one.timer is not None and not one.timer.cancelled() for one in waiting)
        unanswered = [peer for _, _, peer in self.senders.values() if not peer.status and not peer.gone]
        assert len(unanswered) == len(waiting)
        assert 0 <= broker.held <= LIMITS.held
        for path in PATHS:
            standing = [p for where, p in self.listeners if where == path and p.status == 101 and not p.gone]
            assert len(standing) == len(broker._listeners.get(path, ())) <= LIMITS.listeners_per_path
            assert broker.sessions(path) <= LIMITS.sessions_per_path

    def nothing_is_left(self) -> None:
        broker = self.relay.broker
        assert (broker._waiting, broker._pending, broker._sessions, broker._listeners) == ({}, {}, {}, {})
        assert (broker._waiting_total, broker.held) == (0, 0)
        for peer in self.peers():
            assert peer.gone
        assert not [one for one in self.relay.loop._scheduled if not one.cancelled()], "timers are left"


@pytest.mark.parametrize(
    ("rounds", "examples", "steps"),
    [(1, 120, 40), pytest.param(6, 500, 100, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])],
)
def test_whatever_happens_in_whatever_order_the_relay_keeps_its_promises(
    rounds: int, examples: int, steps: int
) -> None:
    # Hypothesis remembers every choice of a run, some 0.3 MiB an example: many short runs, not one long.
    for _ in range(rounds):
        run_state_machine_as_test(
            Life,
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
