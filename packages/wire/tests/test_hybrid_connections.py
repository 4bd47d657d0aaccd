from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge_wire import hybrid_connections as hc
from landbridge_wire.hybrid_connections import MalformedMessage, Target, parse_control, parse_target


def test_a_senders_target_is_taken_apart() -> None:
    target = parse_target("/$hc/a/b%20c?own=1&sb-hc-action=connect&sb-hc-id=x%2Fy&more")
    assert target == Target("a/b c", "connect", "x/y", query="own=1&more")


def test_hyco_ws_writes_null_before_its_token_and_is_understood() -> None:
    token = "SharedAccessSignature sr=http%3A%2F%2Fh%2F&sig=a%2Bb%3D&se=1&skn=k"
    target = parse_target(f"/$hc/p?null&sb-hc-token={quote(token, safe='')}")
    assert (target.token, target.query) == (token, "null")


def test_a_plus_in_a_token_is_the_blank_only_after_the_scheme() -> None:
    assert parse_target("/$hc/p?sb-hc-token=SharedAccessSignature+sr=a+b").token == (
        "SharedAccessSignature sr=a+b"
    )


def test_names_have_no_case_and_the_first_of_two_counts() -> None:
    target = parse_target("/%24HC/p?SB-HC-ACTION=Listen&sb-hc-action=connect")
    assert (target.path, target.action) == ("p", "listen")


@given(st.integers(100, 999), st.text(max_size=100))
def test_a_refusal_reads_back(status: int, text: str) -> None:
    where = hc.address("wss://h:1", "a/b", hc.ACCEPT, "id/1", "own=1")
    target = parse_target("/" + hc.refusal(where, status, text).split("/", 3)[3])
    assert (target.status_code, target.status_description) == (status, text)
    assert (target.path, target.id, target.query) == ("a/b", "id/1", "own=1")


def test_hyco_ws_refuses_without_the_prefix() -> None:
    target = parse_target("/$hc/p?sb-hc-action=accept&sb-hc-id=1&statusCode=404&statusDescription=gone")
    assert (target.status_code, target.status_description) == (404, "gone")


def test_a_senders_own_status_code_is_its_own_affair() -> None:
    target = parse_target("/$hc/p?sb-hc-action=connect&statusCode=7")
    assert (target.status_code, target.query) == (None, "statusCode=7")


@pytest.mark.parametrize(
    "target", ["/other", "/", "", "$hc/x", "/$hc/p?sb-hc-action=accept&sb-hc-statusCode=x"]
)
def test_what_is_no_address_is_refused(target: str) -> None:
    with pytest.raises(MalformedMessage):
        parse_target(target)


@given(st.text(max_size=200))
def test_any_target_is_read_or_refused(text: str) -> None:
    try:
        parse_target("/$hc/" + text)
    except MalformedMessage:
        pass


def test_the_messages_have_the_protocols_shape() -> None:
    accept = json.loads(hc.accept_message("wss://r", "1", {"A": "b"}, ("10.0.0.1", 5)))
    assert accept == {
        "accept": {
            "address": "wss://r",
            "id": "1",
            "connectHeaders": {"A": "b"},
            "remoteEndpoint": {"address": "10.0.0.1", "port": 5},
        }
    }
    assert "remoteEndpoint" not in json.loads(hc.accept_message("a", "1", {}))["accept"]
    assert json.loads(hc.renew_token_message("t")) == {"renewToken": {"token": "t"}}
    assert parse_control(hc.heartbeat_message({"sequence": 1})) == ("heartbeat", {"sequence": 1})
    assert parse_control(hc.heartbeat_reply_message({})) == ("heartbeatReply", {})


@pytest.mark.parametrize("text", ["", "[]", "{}", "1", '{"accept": 1}', "[" * 60_000, "\ud800"])
def test_a_malformed_control_message_is_refused(text: str) -> None:
    with pytest.raises(MalformedMessage):
        parse_control(text)


def test_the_404_begins_as_az_ssh_expects() -> None:
    reason = f"{hc.ENDPOINT_DOES_NOT_EXIST} {hc.tracking('g_G0', 'sb://p', '2024-09-24T15:06:04')}"
    assert reason == (
        "Endpoint does not exist. TrackingId:g_G0, SystemTracker:sb://p, Timestamp:2024-09-24T15:06:04"
    )
