"""The reader of frames as a state machine: whatever comes, in whatever pieces.

A model reads the same bytes in one go. Both tell the same, or fail at the same frame; nothing but
``ProtocolError`` is ever raised; and the reader never holds more than a header and a control frame.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from landbridge_wire.websocket import (
    BINARY,
    CLOSE,
    CONT,
    MAX_CONTROL,
    PING,
    PONG,
    TEXT,
    Control,
    FrameReader,
    MessageBuffer,
    Piece,
    ProtocolError,
    encode,
    frame_header,
    parse_close,
    xor_mask,
)

LIMIT = 1000


def told(reader: FrameReader, data: bytes) -> tuple[list[tuple[int, bytes, bool]], int]:
    """Return what a reader tells of some bytes, and the code of its failure (0: none)."""
    found: list[tuple[int, bytes, bool]] = []
    try:
        events = reader.feed(data)
    except ProtocolError as error:
        return found, error.code
    for event in events:
        if isinstance(event, Control):
            found.append((event.opcode, event.payload, True))
        else:
            found.append((event.opcode, bytes(event.data), event.fin))
    return found, 0


def joined(events: list[tuple[int, bytes, bool]]) -> list[tuple[int, bytes, bool]]:
    """Join the pieces of each message: where they were cut does not count."""
    whole: list[tuple[int, bytes, bool]] = []
    open_at = -1
    for opcode, data, fin in events:
        if opcode >= CLOSE:
            whole.append((opcode, data, fin))
        elif opcode == CONT and open_at >= 0:
            kind, before, _ = whole[open_at]
            whole[open_at] = (kind, before + data, fin)
            open_at = -1 if fin else open_at
        else:
            whole.append((opcode, data, fin))
            open_at = -1 if fin else len(whole) - 1
    return whole


class Reading(RuleBasedStateMachine):
    """Frames of a peer that keeps to the RFC or does not, cut anywhere."""

    masked = True

    def __init__(self) -> None:
        super().__init__()
        self.reader = FrameReader(self.masked)
        self.waiting = b""  # sent by the peer, not read yet
        self.sent = b""
        self.told: list[tuple[int, bytes, bool]] = []
        self.failure = 0
        self.open = False

    def add(self, data: bytes) -> None:
        self.waiting += data
        self.sent += data

    @precondition(lambda self: not self.failure)
    @rule(
        opcode=st.sampled_from([TEXT, BINARY]),
        size=st.sampled_from([0, 1, 125, 126, 127, 65535, 65536]) | st.integers(0, 300),
        fin=st.booleans(),
        mask=st.binary(min_size=4, max_size=4),
    )
    def a_data_frame_comes(self, opcode: int, size: int, fin: bool, mask: bytes) -> None:
        key = mask if self.masked else None
        payload = bytes(range(256)) * (size // 256) + bytes(range(size % 256))
        head = frame_header(CONT if self.open else opcode, size, fin, key)
        self.add(head + (xor_mask(payload, key) if key else payload))
        self.open = not fin

    @precondition(lambda self: not self.failure)
    @rule(
        opcode=st.sampled_from([PING, PONG, CLOSE]),
        payload=st.binary(max_size=MAX_CONTROL),
        mask=st.binary(min_size=4, max_size=4),
    )
    def a_control_frame_comes(self, opcode: int, payload: bytes, mask: bytes) -> None:
        self.add(encode(opcode, payload, mask if self.masked else None))

    @precondition(lambda self: not self.failure)
    @rule(data=st.binary(min_size=1, max_size=20))
    def anything_comes(self, data: bytes) -> None:
        self.add(data)

    @precondition(lambda self: not self.failure and self.waiting)
    @rule(size=st.sampled_from([1, 2, 3, 13, 14, 127]) | st.integers(1, 100_000))
    def some_of_it_is_read(self, size: int) -> None:
        data, self.waiting = self.waiting[:size], self.waiting[size:]
        events, self.failure = told(self.reader, data)
        self.told += events
        passed = sum(len(payload) for opcode, payload, _ in events if opcode < CLOSE)
        assert passed <= len(data) + 14
        if not self.failure:
            assert self.reader.buffered <= 14 + MAX_CONTROL

    @precondition(lambda self: self.failure)
    @rule()
    def another_connection_begins(self) -> None:
        with pytest.raises(ProtocolError):  # nothing good comes of reading on
            for _ in range(3):
                self.reader.feed(b"\xff" * 200)
        self.reader = FrameReader(self.masked)
        self.waiting = self.sent = b""
        self.told, self.failure, self.open = [], 0, False

    @invariant()
    def it_is_what_one_read_would_have_told(self) -> None:
        read = self.sent[: len(self.sent) - len(self.waiting)]
        events, failure = told(FrameReader(self.masked), read)
        assert bool(failure) == bool(self.failure)
        if not failure:
            assert joined(self.told) == joined(events)


class ReadingUnmasked(Reading):
    masked = False


@pytest.mark.parametrize("machine", [Reading, ReadingUnmasked])
@pytest.mark.parametrize(
    ("rounds", "examples", "steps"),
    [(1, 60, 30), pytest.param(40, 500, 60, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])],
)
def test_any_split_of_any_bytes_tells_the_same(
    machine: type[Reading], rounds: int, examples: int, steps: int
) -> None:
    # Hypothesis remembers every choice of a run, some 0.3 MiB an example: many short runs, not one long.
    for _ in range(rounds):
        run_state_machine_as_test(
            machine, settings=settings(max_examples=examples, stateful_step_count=steps, deadline=None)
        )


class Joining(RuleBasedStateMachine):
    """Messages that are joined from pieces: never more than the limit is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.buffer = MessageBuffer(LIMIT)
        self.parts: list[bytes] = []
        self.opcode = CONT
        self.failed = False

    @precondition(lambda self: self.failed)
    @rule()
    def another_channel_begins(self) -> None:
        self.buffer, self.parts, self.failed = MessageBuffer(LIMIT), [], False

    @precondition(lambda self: not self.failed)
    @rule(size=st.integers(0, 400) | st.just(0), fin=st.booleans(), opcode=st.sampled_from([TEXT, BINARY]))
    def a_piece_comes(self, size: int, fin: bool, opcode: int) -> None:
        data = b"x" * size
        first = not self.parts
        self.opcode = opcode if first else self.opcode
        self.parts.append(data)
        try:
            message = self.buffer.add(Piece(opcode if first else CONT, data, fin))
        except ProtocolError as error:
            assert error.code == 1009
            assert sum(map(len, self.parts)) > LIMIT
            self.failed = True
            return
        assert sum(map(len, self.parts)) <= LIMIT
        assert (message is not None) == fin
        if message is not None:
            assert message == (self.opcode, b"".join(self.parts))
            self.parts = []

    @invariant()
    def little_is_kept(self) -> None:
        assert sum(map(len, self.buffer._parts)) <= LIMIT
        assert len(self.buffer._parts) <= LIMIT


@pytest.mark.parametrize(
    ("rounds", "examples", "steps"),
    [(1, 60, 30), pytest.param(40, 500, 100, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])],
)
def test_messages_are_joined_and_bounded(rounds: int, examples: int, steps: int) -> None:
    # Hypothesis remembers every choice of a run, some 0.3 MiB an example: many short runs, not one long.
    for _ in range(rounds):
        run_state_machine_as_test(
            Joining, settings=settings(max_examples=examples, stateful_step_count=steps, deadline=None)
        )


@given(st.binary(max_size=200))
def test_any_body_of_a_close_frame_is_read_or_refused(payload: bytes) -> None:
    try:
        code, reason = parse_close(payload)
    except ProtocolError as error:
        assert error.code in (1002, 1007)
    else:
        assert 1000 <= code < 5000
        assert len(reason.encode()) <= max(0, len(payload) - 2)
