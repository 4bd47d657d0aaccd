"""Which ports a sender may reach."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge_agent.daemon.incoming import Allowed, Denied, InvalidToken, decide, parse_target, token_port
from landbridge_agent.local_config import Incoming

KEY = b"k" * 32
AUDIENCES = frozenset({"/subscriptions/s/m1", "microsoft.hybridcompute/machines/p"})
CLAIMS = {"aud": "/subscriptions/S/M1", "port": 22, "exp": 2000}


@pytest.fixture
def verify():
    return lambda token: token_port(token, KEY, AUDIENCES, 1000.0)


def test_a_listed_port_is_allowed_without_a_token(verify):
    assert decide(Incoming(True, (22,)), "localhost:22", "", verify) == Allowed(("127.0.0.1", "::1"), 22)


def test_no_target_means_the_usual_port(verify):
    assert decide(Incoming(True, (22,)), "", "", verify) == Allowed(("127.0.0.1", "::1"), 22)


def test_a_list_wins_over_a_valid_token(verify, make_service_token):
    decision = decide(Incoming(True, (2222,)), "localhost:22", make_service_token(CLAIMS), verify)
    assert isinstance(decision, Denied)
    assert decision.status == 403 and "incomingconnections.ports 2222,22" in decision.reason


def test_an_empty_list_asks_for_a_token(verify):
    decision = decide(Incoming(True, ()), "localhost:22", "", verify)
    assert isinstance(decision, Denied) and decision.status == 403


def test_a_token_opens_its_port_alone(verify, make_service_token):
    token = make_service_token(CLAIMS)
    assert isinstance(decide(Incoming(True, ()), "localhost:22", token, verify), Allowed)
    assert isinstance(decide(Incoming(True, ()), "localhost:23", token, verify), Denied)


def test_switched_off_means_no_port_at_all(verify, make_service_token):
    decision = decide(Incoming(False, (22,)), "localhost:22", make_service_token(CLAIMS), verify)
    assert isinstance(decision, Denied) and "incomingconnections.enabled true" in decision.reason


@pytest.mark.parametrize("target", ["10.0.0.1:22", "example.com:22", "0.0.0.0:22", "127.0.0.2:22", "[::]:22"])
def test_only_this_machine_is_dialled(verify, target):
    decision = decide(Incoming(True, (22,)), target, "", verify)
    assert isinstance(decision, Denied) and decision.status == 403


@pytest.mark.parametrize(
    ("target", "hosts"), [("127.0.0.1:22", ("127.0.0.1",)), ("[::1]:22", ("::1",)), ("LOCALHOST:22", None)]
)
def test_every_name_of_this_machine_is_known(verify, target, hosts):
    decision = decide(Incoming(True, (22,)), target, "", verify)
    assert decision == Allowed(hosts or ("127.0.0.1", "::1"), 22)


@pytest.mark.parametrize(
    "target", ["localhost", "localhost:", "localhost:0", "localhost:99999", "localhost:x"]
)
def test_a_malformed_target_is_refused(verify, target):
    decision = decide(Incoming(True, (22,)), target, "", verify)
    assert isinstance(decision, Denied) and decision.status == 400


@pytest.mark.parametrize(
    "change",
    [
        {"aud": "/subscriptions/s/m2"},
        {"aud": None},
        {"exp": 1000},
        {"exp": "2000"},
        {"exp": None},
        {"port": "22"},
        {"port": True},
        {"port": 0},
    ],
)
def test_a_token_with_a_wrong_claim_is_refused(make_service_token, change):
    with pytest.raises(InvalidToken):
        token_port(make_service_token(CLAIMS | change), KEY, AUDIENCES, 1000.0)


def test_a_token_for_the_relay_path_is_accepted(make_service_token):
    token = make_service_token(CLAIMS | {"aud": "microsoft.hybridcompute/machines/p"})
    assert token_port(token, KEY, AUDIENCES, 1000.0) == 22


def test_a_token_by_another_key_is_refused(make_service_token):
    with pytest.raises(InvalidToken, match="signature"):
        token_port(make_service_token(CLAIMS, b"x" * 32), KEY, AUDIENCES, 1000.0)


@pytest.mark.parametrize("algorithm", ["none", "HS512", "RS256", None])
def test_no_other_algorithm_is_taken(make_service_token, algorithm):
    with pytest.raises(InvalidToken, match="HS256"):
        token_port(make_service_token(CLAIMS, algorithm=algorithm), KEY, AUDIENCES, 1000.0)


def test_without_a_key_no_token_is_valid(make_service_token):
    with pytest.raises(InvalidToken):
        token_port(make_service_token(CLAIMS, b""), b"", AUDIENCES, 1000.0)


@given(st.text(max_size=200))
def test_any_text_as_a_token_is_refused_with_a_reason(text):
    with pytest.raises(InvalidToken):
        token_port(text, KEY, AUDIENCES, 1000.0)


@given(st.text(max_size=60))
def test_any_text_as_a_target_is_read_or_refused(text):
    try:
        _, port = parse_target(text)
    except ValueError:
        return
    assert 1 <= port <= 65535
