from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge_wire import upgrade
from landbridge_wire.upgrade import HandshakeError, parse_head

KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def request(**changes: str | None) -> upgrade.Head:
    head = parse_head(upgrade.request_head("/x", "host", KEY))
    kept = [(name, changes.get(name.replace("-", "_"), value)) for name, value in head.headers]
    return upgrade.Head(changes.get("start") or head.start, [(n, v) for n, v in kept if v is not None])


def test_the_example_of_the_rfc() -> None:
    assert upgrade.key_for(b"the sample nonce") == KEY
    assert upgrade.accept_for(KEY) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_our_request_is_accepted_and_our_answer_too() -> None:
    assert upgrade.check_request(request()) == KEY
    upgrade.check_response(parse_head(upgrade.accept_head(KEY)), KEY)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"start": "POST /x HTTP/1.1"}, "GET"),
        ({"start": "GET /x HTTP/1.0"}, "HTTP/1.1"),
        ({"Upgrade": None}, "WebSocket only"),
        ({"Connection": "keep-alive"}, "WebSocket only"),
        ({"Sec_WebSocket_Version": "8"}, "Version 13"),
        ({"Sec_WebSocket_Key": None}, "Key is missing"),
        ({"Sec_WebSocket_Key": "k" * 65}, "Key is missing"),
    ],
)
def test_what_is_no_upgrade_is_refused(changes: dict[str, str | None], reason: str) -> None:
    with pytest.raises(HandshakeError, match=reason):
        upgrade.check_request(request(**changes))


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: no\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
    ],
)
def test_what_is_no_answer_to_our_key_is_refused(answer: bytes) -> None:
    with pytest.raises(HandshakeError):
        upgrade.check_response(parse_head(answer), KEY)


def test_a_head_is_found_and_bounded() -> None:
    assert upgrade.head_length(b"GET / HTTP/1.1\r\n") == 0
    assert upgrade.head_length(b"GET / HTTP/1.1\r\n\r\nrest") == 18
    with pytest.raises(HandshakeError, match="longer than 10"):
        upgrade.head_length(b"GET / HTTP/1.1\r\n\r\n", 10)
    with pytest.raises(HandshakeError, match="longer than 10"):
        upgrade.head_length(b"x" * 11, 10)


def test_headers_are_found_without_case_and_lists_are_joined() -> None:
    head = parse_head(b"GET / HTTP/1.1\r\nConnection: keep-alive\r\nCONNECTION: Upgrade\r\n\r\n")
    assert head.get("connection") == "keep-alive"
    assert head.get("missing", "default") == "default"
    assert head.tokens("Connection") == ["keep-alive", "upgrade"]


def test_status_and_reason_are_read() -> None:
    head = parse_head(b"HTTP/1.1 404 Endpoint does not exist. TrackingId:1\r\n\r\n")
    assert (head.status, head.reason) == (404, "Endpoint does not exist. TrackingId:1")
    assert parse_head(b"HTTP/1.1 404\r\n\r\n").reason == ""


@pytest.mark.parametrize("line", [b"no colon", b": no name", b"a b: c", b" folded: x"])
def test_a_malformed_header_is_refused(line: bytes) -> None:
    with pytest.raises(HandshakeError, match="name: value"):
        parse_head(b"GET / HTTP/1.1\r\n" + line + b"\r\n\r\n")


@given(st.text(max_size=50), st.text(max_size=50))
def test_no_text_can_break_out_of_its_header(start: str, value: str) -> None:
    head = upgrade.build_head(start, [("Name", value)])
    assert head.count(b"\r\n") == 3
    assert head.endswith(b"\r\n\r\n")


@given(st.binary(max_size=300))
def test_any_bytes_give_a_head_or_a_handshake_error(data: bytes) -> None:
    try:
        head = parse_head(data)
        upgrade.check_request(head)
    except HandshakeError:
        pass
