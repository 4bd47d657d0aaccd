from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge_wire import websocket
from landbridge_wire.websocket import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    Control,
    FrameReader,
    MessageBuffer,
    Piece,
    ProtocolError,
    close_payload,
    encode,
    frame_header,
    parse_close,
    xor_mask,
)

payloads = st.binary(max_size=300) | st.integers(65_530, 65_540).map(bytes)
masks = st.none() | st.binary(min_size=4, max_size=4)


@st.composite
def streams(draw: st.DrawFn) -> tuple[bool, bytes, list[tuple[int, bytes]]]:
    """Return whether it is masked, the bytes of some frames, and what they mean."""
    masked = draw(st.booleans())
    mask = st.binary(min_size=4, max_size=4) if masked else st.none()
    data, meaning = b"", []
    for _ in range(draw(st.integers(1, 5))):
        opcode = draw(st.sampled_from([TEXT, BINARY]))
        fragments = draw(st.lists(payloads, min_size=1, max_size=3))
        for number, fragment in enumerate(fragments):
            if draw(st.booleans()):
                ping = draw(st.binary(max_size=125))
                data += encode(PING, ping, draw(mask))
                meaning.append((PING, ping))
            last = number == len(fragments) - 1
            key = draw(mask)
            data += frame_header(CONT if number else opcode, len(fragment), last, key)
            data += fragment if key is None else xor_mask(fragment, key)
        meaning.append((opcode, b"".join(fragments)))
    return masked, data, meaning


def read(reader: FrameReader, chunks: list[bytes]) -> list[tuple[int, bytes]]:
    """Join what a reader tells: messages where they end, control frames where they are."""
    messages, found = MessageBuffer(1 << 30), []
    for chunk in chunks:
        for event in reader.feed(chunk):
            if isinstance(event, Control):
                found.append((event.opcode, event.payload))
            elif message := messages.add(event):
                found.append(message)
    return found


def split(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


@given(streams(), st.lists(st.integers(0, 1 << 20), max_size=12))
def test_any_split_of_the_bytes_tells_the_same(
    stream: tuple[bool, bytes, list[tuple[int, bytes]]], places: list[int]
) -> None:
    masked, data, meaning = stream
    assert read(FrameReader(masked), split(data, places)) == meaning


@given(st.booleans(), st.lists(st.binary(max_size=200), max_size=20))
def test_the_reader_holds_at_most_one_header_and_one_control_frame(masked: bool, chunks: list[bytes]) -> None:
    reader = FrameReader(masked)
    try:
        for chunk in chunks:
            passed = sum(len(e.data) for e in reader.feed(chunk) if isinstance(e, Piece))
            assert passed <= len(chunk)
            assert reader.buffered <= 14 + 125
    except ProtocolError as error:
        assert error.code == 1002


@given(st.sampled_from([TEXT, BINARY, PING, PONG]), st.binary(max_size=125), masks)
def test_an_encoded_frame_reads_back(opcode: int, payload: bytes, mask: bytes | None) -> None:
    reader = FrameReader(masked=mask is not None)
    assert read(reader, [encode(opcode, payload, mask)]) == [(opcode, payload)]


@given(st.binary(max_size=1000), st.binary(min_size=4, max_size=4))
def test_a_mask_is_what_the_rfc_says_and_its_own_inverse(data: bytes, mask: bytes) -> None:
    assert xor_mask(data, mask) == bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))
    assert xor_mask(xor_mask(data, mask), mask) == data


@pytest.mark.parametrize(
    ("length", "start"),
    [
        (125, bytes([0x82, 125])),
        (126, bytes([0x82, 126, 0, 126])),
        (65535, bytes([0x82, 126, 255, 255])),
        (65536, bytes([0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0])),
    ],
)
def test_lengths_take_the_shortest_form(length: int, start: bytes) -> None:
    assert frame_header(BINARY, length) == start


def test_the_examples_of_the_rfc_read_as_hello() -> None:
    single = bytes.fromhex("810548656c6c6f")
    fragmented = bytes.fromhex("010348656c80026c6f")
    masked = bytes.fromhex("818537fa213d7f9f4d5158")
    assert read(FrameReader(False), [single]) == [(TEXT, b"Hello")]
    assert read(FrameReader(False), [fragmented]) == [(TEXT, b"Hello")]
    assert read(FrameReader(True), [masked]) == [(TEXT, b"Hello")]


def test_a_piece_keeps_type_and_end_of_its_message() -> None:
    reader = FrameReader(masked=False)
    frame = encode(BINARY, b"abcdef")
    pieces = [*reader.feed(frame[:4]), *reader.feed(frame[4:])]
    assert [(p.opcode, bytes(p.data), p.fin) for p in pieces] == [  # type: ignore[union-attr]
        (BINARY, b"ab", False),
        (CONT, b"cdef", True),
    ]


def test_an_injected_mask_function_is_used() -> None:
    reader = FrameReader(True, lambda data, mask: bytes(data).upper())
    assert read(reader, [frame_header(TEXT, 2, True, b"abcd") + b"xy"]) == [(TEXT, b"XY")]


@pytest.mark.parametrize(
    ("masked", "data", "reason"),
    [
        (False, bytes([0xC2, 0]), "reserved bit"),
        (False, bytes([0x83, 0]), "reserved"),
        (False, bytes([0x8B, 0]), "control frame"),
        (False, bytes([0x89, 126, 0, 126]), "control frame"),
        (False, bytes([0x09, 0]), "control frame"),
        (False, bytes([0x80, 0]), "continued"),
        (False, bytes([0x02, 0, 0x82, 0]), "begun within"),
        (True, bytes([0x82, 0]), "must mask"),
        (False, bytes([0x82, 0x80]), "must mask"),
        (False, bytes([0x82, 127]) + b"\xff" * 8, "highest bit"),
    ],
)
def test_broken_framing_is_refused(masked: bool, data: bytes, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason) as error:
        FrameReader(masked).feed(data)
    assert error.value.code == 1002


def test_a_message_larger_than_the_limit_is_refused_with_1009() -> None:
    messages = MessageBuffer(10)
    assert messages.add(Piece(TEXT, b"12345", False)) is None
    with pytest.raises(ProtocolError, match="larger than 10") as error:
        messages.add(Piece(CONT, b"123456", True))
    assert error.value.code == 1009


def test_empty_fragments_are_not_kept() -> None:
    messages = MessageBuffer(10)
    for _ in range(1000):
        messages.add(Piece(CONT, b"", False))
    assert messages._parts == []


@given(st.integers(1000, 4999), st.text(max_size=200))
def test_a_close_reads_back_with_its_reason_cut_to_fit(code: int, reason: str) -> None:
    payload = close_payload(code, reason)
    assert len(payload) <= 125
    if code in (1005, 1006):
        assert parse_close(payload) == (1005, "")
    elif code not in (1004, 1015):
        found, text = parse_close(payload)
        assert found == code
        assert reason.startswith(text)


@pytest.mark.parametrize("payload", [b"\x03", b"\x03\xe7", b"\x03\xed", b"\xff\xff", b"\x03\xe8\xff"])
def test_an_invalid_close_is_refused(payload: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_close(payload)


def test_a_close_without_body_is_1005() -> None:
    assert parse_close(b"") == (1005, "")
    assert read(FrameReader(False), [encode(CLOSE, b"")]) == [(CLOSE, b"")]


def test_the_module_loads_nothing_at_import() -> None:
    import subprocess
    import sys

    code = (
        "import sys; before = set(sys.modules); "
        f"exec(compile(open({websocket.__file__!r}).read(), 'w', 'exec'), {{'__name__': 'w'}});"
        " print(sorted(set(sys.modules) - before - {'__future__'}))"
    )
    assert subprocess.check_output([sys.executable, "-ISE", "-c", code]).strip() == b"[]"
