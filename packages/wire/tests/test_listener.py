from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from landbridge_wire import hybrid_connections as hc
from landbridge_wire.listener import (
    Accept,
    Backoff,
    Close,
    Dial,
    Drop,
    Heartbeat,
    Listener,
    ListenerConfig,
    MalformedMessage,
    Reconnect,
    RenewToken,
    SendPing,
    SendText,
)


def opened(now: float = 0.0, valid_for: float = 3600.0) -> Listener:
    listener = Listener(ListenerConfig(), lambda: 0.5, now)
    assert listener.start(now) == [RenewToken()]
    assert listener.token_renewed("t", valid_for, now) == [Dial("t")]
    assert listener.opened(now) == []
    return listener


def test_pings_every_25_seconds_while_the_peer_lives() -> None:
    listener = opened()
    assert listener.deadline == 25
    assert listener.tick(24.9) == []
    assert listener.tick(25) == [SendPing()]
    listener.received(26)
    assert listener.tick(50) == [SendPing()]


def test_silence_drops_the_channel_and_plans_a_reconnect() -> None:
    listener = opened()
    listener.tick(25), listener.tick(50)
    commands = listener.tick(60)
    assert [type(command) for command in commands] == [Drop, Reconnect]
    assert not listener.connected
    assert 60.5 <= listener.deadline <= 61
    assert listener.tick(61) == [Dial("t")]


def test_the_token_is_renewed_on_the_channel_before_it_ends() -> None:
    listener = opened(valid_for=600)
    listener.received(299)
    assert RenewToken() in listener.tick(300)
    assert RenewToken() not in listener.tick(301)
    assert listener.token_renewed("new", 600, 302) == [SendText(hc.renew_token_message("new"))]


def test_a_renewal_that_fails_is_tried_again_while_the_channel_stands() -> None:
    listener = opened(valid_for=600)
    listener.received(299)
    listener.tick(300)
    assert listener.token_failed(503, "busy", 301) == []
    assert listener.connected
    listener.received(331)
    assert RenewToken() in listener.tick(331)


def test_a_token_about_to_end_is_renewed_before_a_dial() -> None:
    listener = opened(valid_for=100)
    listener.closed(1006, "", 50)
    assert listener.tick(55) == [RenewToken()]


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_is_not_used_again(status: int) -> None:
    listener = Listener(ListenerConfig(), lambda: 0.5, 0)
    listener.start(0), listener.token_renewed("t", 3600, 0)
    listener.failed(status, "no", 1)
    assert listener.tick(listener.deadline) == [RenewToken()]


def test_a_close_with_1008_fetches_a_new_token() -> None:
    listener = opened()
    listener.closed(1008, "The token has expired.", 20)
    assert listener.tick(listener.deadline) == [RenewToken()]


def test_the_first_retry_comes_within_a_second() -> None:
    for draw in (0.0, 0.999):
        listener = Listener(ListenerConfig(), lambda draw=draw: draw, 0)
        listener.start(0), listener.token_renewed("t", 3600, 0), listener.opened(0)
        (again,) = listener.closed(1006, "", 5)
        assert isinstance(again, Reconnect)
        assert 5.5 <= again.at <= 6


def test_an_unreachable_relay_is_tried_every_few_seconds_and_a_refusing_one_less_often() -> None:
    for status, cap in ((None, 7), (500, 30)):
        listener = Listener(ListenerConfig(), lambda: 0.999, 0)
        listener.start(0), listener.token_renewed("t", 1e9, 0)
        now = 0.0
        for _ in range(20):
            (again,) = listener.failed(status, "x", now)
            now = listener.deadline
            assert listener.tick(now) == [Dial("t")]
        assert isinstance(again, Reconnect)
        assert cap / 2 <= now - (now - listener._backoff.next(cap)) <= cap


def test_a_channel_that_falls_at_once_does_not_reset_the_back_off() -> None:
    listener = opened()
    waits = []
    now = 0.0
    for _ in range(6):
        (again,) = listener.closed(1008, "", now)
        assert isinstance(again, Reconnect)
        waits.append(again.at - now)
        now = again.at
        listener.tick(now), listener.token_renewed("t", 3600, now), listener.opened(now)
    assert waits == sorted(waits)
    assert waits[-1] > 10
    (again,) = listener.closed(1001, "", now + 11)  # this one stood long enough
    assert isinstance(again, Reconnect)
    assert again.at - (now + 11) < 1


def test_a_dial_without_an_answer_is_given_up() -> None:
    listener = Listener(ListenerConfig(), lambda: 0.5, 0)
    listener.start(0), listener.token_renewed("t", 3600, 0)
    assert [type(c) for c in listener.tick(20)] == [Drop, Reconnect]
    assert listener.opened(21) == []
    assert not listener.connected


def test_an_accept_is_read_with_its_headers() -> None:
    text = hc.accept_message("wss://r/$hc/p", "1", {"X-Target": "localhost:22"}, ("10.0.0.1", 5))
    (call,) = opened().receive_text(text, 1)
    assert isinstance(call, Accept)
    assert (call.address, call.id, call.remote) == ("wss://r/$hc/p", "1", "10.0.0.1:5")
    assert call.header("x-target") == "localhost:22"
    assert call.header("missing") == ""


def test_heartbeats_go_and_come() -> None:
    listener = opened()
    assert listener.send_heartbeat({"sequence": 1}, 1) == [SendText(hc.heartbeat_message({"sequence": 1}))]
    assert listener.receive_text('{"heartbeatReply": {"factsWanted": true}}', 1) == [
        Heartbeat({"factsWanted": True})
    ]
    listener.closed(1001, "", 2)
    assert listener.send_heartbeat({}, 2) == []


def test_unknown_messages_are_ignored_and_malformed_ones_raise() -> None:
    listener = opened()
    assert listener.receive_text('{"request": {}}', 1) == []
    for bad in ("x", '{"accept": {"id": "1"}}', '{"accept": {"address": 1, "id": "1"}}'):
        with pytest.raises(MalformedMessage):
            listener.receive_text(bad, 1)


def test_stop_closes_and_nothing_comes_after() -> None:
    listener = opened()
    assert [type(c) for c in listener.stop(1)] == [Close]
    assert listener.closed(1001, "", 2) == []
    assert listener.tick(1e9) == []
    assert listener.deadline == float("inf")
    assert listener.stop(3) == []


def test_no_secret_is_in_the_text_of_a_command() -> None:
    commands = [Dial("secret"), SendText("secret"), Accept("a", "1", {"Token": "secret"})]
    assert "secret" not in repr(commands)


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 40), st.floats(0.1, 60))
def test_a_delay_is_within_its_bounds(draw: float, attempts: int, cap: float) -> None:
    backoff = Backoff(lambda: draw)
    delays = [backoff.next(cap) for _ in range(attempts)]
    assert all(min(0.5, cap / 2) <= delay <= cap for delay in delays)
    assert delays == sorted(delays)


class Life(RuleBasedStateMachine):
    """Whatever happens, in whatever order: one attempt at a time, and no storm."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.random = random.Random(1)
        self.listener = Listener(ListenerConfig(), self.random.random, self.now)
        self.attempts: list[float] = []
        self.outstanding = 0
        self.waiting = False
        self.stopped = False

    def note(self, commands: list[object]) -> None:
        assert not (self.stopped and commands)
        assert sum(isinstance(command, Reconnect) for command in commands) <= 1
        for command in commands:
            if isinstance(command, Reconnect):
                assert not self.waiting, "two reconnects"
                assert command.at > self.now
                self.waiting, self.outstanding = True, 0
            elif isinstance(command, Dial):
                self.waiting = False
                self.outstanding += 1
                self.attempts.append(self.now)
                assert self.outstanding == 1, "two dials"

    @rule()
    def start(self) -> None:
        self.note(self.listener.start(self.now))

    @rule(seconds=st.floats(0, 90))
    def tick(self, seconds: float) -> None:
        self.now += seconds
        commands = self.listener.tick(self.now)
        if RenewToken() in commands:
            self.waiting = False
        self.note(commands)

    @rule(valid_for=st.floats(0, 4000))
    def token(self, valid_for: float) -> None:
        self.note(self.listener.token_renewed("t", valid_for, self.now))

    @rule(status=st.sampled_from([None, 401, 404, 503]))
    def no_token(self, status: int | None) -> None:
        self.note(self.listener.token_failed(status, "x", self.now))

    @rule()
    def opened(self) -> None:
        self.outstanding = 0 if self.outstanding else self.outstanding
        self.note(self.listener.opened(self.now))

    @rule(status=st.sampled_from([None, 401, 404, 503]))
    def failed(self, status: int | None) -> None:
        self.note(self.listener.failed(status, "x", self.now))

    @rule(code=st.sampled_from([1000, 1001, 1006, 1008, 1011]))
    def closed(self, code: int) -> None:
        self.note(self.listener.closed(code, "", self.now))

    @precondition(lambda self: not self.stopped)
    @rule(really=st.integers(0, 9))
    def stop(self, really: int) -> None:
        if really == 0:
            self.listener.stop(self.now)
            self.stopped = True

    @invariant()
    def no_storm(self) -> None:
        """Never more than three dials within any second: the back-off bounds even a mad relay."""
        recent = [at for at in self.attempts if at > self.now - 1]
        assert len(recent) <= 3

    @invariant()
    def a_deadline_is_always_known(self) -> None:
        assert self.listener.deadline >= 0


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
