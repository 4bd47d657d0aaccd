"""Addresses and control messages: what one side writes the other reads, and nothing else is an accident."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from landbridge_wire import hybrid_connections as hc
from landbridge_wire.hybrid_connections import MAX_CONTROL_TEXT, MalformedMessage, parse_control, parse_target
from landbridge_wire.listener import Accept, Heartbeat, Listener, ListenerConfig
from landbridge_wire.websocket import CONT, TEXT, FrameReader, MessageBuffer, Piece, encode

SEGMENT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="/"), min_size=1, max_size=12)
PATHS = st.lists(SEGMENT, min_size=1, max_size=4).map("/".join)
TEXT_WITHOUT_HALVES = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KINDS = st.sampled_from(
    ["accept", "renewToken", "request", "response", hc.HEARTBEAT, hc.HEARTBEAT_REPLY, "x"]
)


@given(PATHS, st.sampled_from([hc.LISTEN, hc.CONNECT, hc.ACCEPT]), TEXT_WITHOUT_HALVES)
def test_an_address_reads_back(path: str, action: str, name: str) -> None:
    target = parse_target("/" + hc.address("wss://h:1", path, action, name).split("/", 3)[3])
    assert (target.path, target.action, target.id) == (path, action, name)
    assert (target.token, target.status_code, target.query) == ("", None, "")


@given(PATHS, st.integers(100, 999), TEXT_WITHOUT_HALVES, TEXT_WITHOUT_HALVES)
def test_no_description_of_a_refusal_becomes_a_parameter(path: str, status: int, name: str, why: str) -> None:
    where = hc.address("wss://h:1", path, hc.ACCEPT, name)
    target = parse_target("/" + hc.refusal(where, status, why).split("/", 3)[3])
    assert (target.status_code, target.status_description) == (status, why)
    assert (target.path, target.action, target.id, target.query) == (path, hc.ACCEPT, name, "")


PARAMETERS = (
    "sb-hc-action",
    "sb-hc-id",
    "sb-hc-token",
    "sb-hc-statusCode",
    "statusCode",
    "own",
    "SB-HC-ID",
    "",
)


@given(
    st.lists(st.tuples(st.sampled_from(PARAMETERS), st.sampled_from(["=", "", "=="]), st.text(max_size=8))),
    st.sampled_from(["/$hc/", "/%24hc/", "/$HC/", "/$hc", "//$hc/", ""]),
)
def test_any_query_is_read_or_refused_and_gives_nothing_of_ours_away(
    parts: list[tuple[str, str, str]], prefix: str
) -> None:
    try:
        target = parse_target(prefix + "p?" + "&".join("".join(part) for part in parts))
    except MalformedMessage:
        return
    assert "sb-hc-" not in target.query.lower().replace("%2d", "-")
    assert target.action == target.action.lower()
    assert target.status_code is None or 0 <= target.status_code <= 999


@given(KINDS | st.text(max_size=8), JSON)
def test_any_json_is_a_message_or_refused(kind: str, body: Any) -> None:
    for text in (json.dumps({kind: body}), json.dumps(body)):
        try:
            found, inner = parse_control(text)
        except MalformedMessage:
            continue
        assert isinstance(inner, dict)
        assert json.loads(text)[found] == inner


@given(st.text(max_size=60) | st.text('{}[]":,\\accept0', max_size=60))
def test_any_text_is_a_message_or_refused(text: str) -> None:
    try:
        parse_control(text)
    except MalformedMessage:
        pass


class Channel(RuleBasedStateMachine):
    """Both ends of a control channel with the bytes between them, cut anywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.begin()

    def begin(self) -> None:
        self.reader, self.buffer = FrameReader(masked=False), MessageBuffer(MAX_CONTROL_TEXT)
        self.listener = Listener(ListenerConfig(), lambda: 0.5, 0.0)
        self.listener.start(0.0)
        self.listener.token_renewed("t", 1e9, 0.0)
        self.listener.opened(0.0)
        self.wire = b""
        self.expected: list[object] = []
        self.heard: list[object] = []

    @rule(path=PATHS, name=TEXT_WITHOUT_HALVES, value=TEXT_WITHOUT_HALVES, pieces=st.integers(1, 3))
    def a_sender_comes(self, path: str, name: str, value: str, pieces: int) -> None:
        where = hc.address("wss://r", path, hc.ACCEPT, name)
        self.say(hc.accept_message(where, name, {"X": value}, ("::1", 5)), pieces)
        self.expected.append(Accept(where, name, {"X": value}, "::1:5"))

    @rule(body=st.dictionaries(st.text(max_size=5), st.integers() | st.booleans(), max_size=3))
    def a_heartbeat_is_answered(self, body: dict[str, Any]) -> None:
        self.say(hc.heartbeat_reply_message(body), 1)
        self.expected.append(Heartbeat(body))

    @rule(kind=st.sampled_from(["request", "injected", "renewToken"]), body=st.just({}))
    def something_unknown_comes(self, kind: str, body: dict[str, Any]) -> None:
        self.say(json.dumps({kind: body}), 2)

    @rule(size=st.integers(1, 500))
    def some_of_it_is_read(self, size: int) -> None:
        data, self.wire = self.wire[:size], self.wire[size:]
        for event in self.reader.feed(data):
            assert isinstance(event, Piece)
            message = self.buffer.add(event)
            if message is not None:
                self.heard += self.listener.receive_text(message[1].decode(), 1.0)

    @rule(text=st.sampled_from(["x", "[]", '{"accept": {}}', '{"accept": {"id": 1}}', '{"a": 1}', "{}"]))
    def something_bad_comes(self, text: str) -> None:
        """The driver closes with 1008 and begins anew."""
        try:
            assert self.listener.receive_text(text, 1.0) == []
        except MalformedMessage:
            self.begin()
        else:
            pytest.fail("it was taken for a message")

    def say(self, text: str, pieces: int) -> None:
        data = text.encode()
        cut = max(1, len(data) // pieces)
        parts = [data[at : at + cut] for at in range(0, len(data), cut)]
        for number, part in enumerate(parts):
            frame = bytearray(encode(CONT if number else TEXT, part))
            frame[0] = (frame[0] & 0x7F) | (0x80 if number == len(parts) - 1 else 0)
            self.wire += bytes(frame)

    @invariant()
    def what_was_said_is_heard_in_order(self) -> None:
        assert self.heard == self.expected[: len(self.heard)]
        assert self.wire or self.reader.buffered or len(self.heard) == len(self.expected)


@pytest.mark.parametrize(
    ("rounds", "examples", "steps"),
    [(1, 60, 30), pytest.param(20, 500, 80, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])],
)
def test_what_is_said_on_a_control_channel_is_heard_in_order(rounds: int, examples: int, steps: int) -> None:
    # Hypothesis remembers every choice of a run, some 0.3 MiB an example: many short runs, not one long.
    for _ in range(rounds):
        run_state_machine_as_test(
            Channel, settings=settings(max_examples=examples, stateful_step_count=steps, deadline=None)
        )
