from __future__ import annotations

import pytest

from landbridge_server.store import sign_in
from landbridge_server.store.database import Database
from landbridge_server.store.sign_in import APPROVED, PENDING, REDEEMED, DeviceCode, RefreshToken


@pytest.fixture
def connection(store_url):
    db = Database(store_url)
    with db.writing() as opened:
        yield opened
    db.close()


def token(name: str, **changes) -> RefreshToken:
    base = RefreshToken(name, "family", None, "user", "client", "scope", 1.0, 100.0, None, None)
    return base._replace(**changes)


def test_the_first_use_of_a_token_is_the_one_that_is_noted(connection):
    sign_in.add_refresh_token(connection, token("a"))
    sign_in.use_refresh_token(connection, "a", 5.0)
    sign_in.use_refresh_token(connection, "a", 6.0)
    assert sign_in.refresh_token(connection, "a").used_at == 5.0
    assert sign_in.refresh_token(connection, "b") is None


def test_a_successor_counts_once_it_was_used(connection):
    sign_in.add_refresh_token(connection, token("a"))
    sign_in.add_refresh_token(connection, token("b", parent_hash="a"))
    assert not sign_in.successor_used(connection, "a")
    sign_in.use_refresh_token(connection, "b", 5.0)
    assert sign_in.successor_used(connection, "a")


def test_a_family_ends_without_touching_others(connection):
    for one in (token("a"), token("b"), token("c", family_id="other"), token("d", object_id="other")):
        sign_in.add_refresh_token(connection, one)
    sign_in.revoke_family(connection, "family", 5.0)
    sign_in.revoke_all(connection, "user", 6.0)
    revoked = {name: sign_in.refresh_token(connection, name).revoked_at for name in "abcd"}
    assert revoked == {"a": 5.0, "b": 5.0, "c": 6.0, "d": 5.0}


def test_old_tokens_of_one_principal_are_forgotten(connection):
    for one in (token("a"), token("b", expires_at=200.0), token("c", object_id="other")):
        sign_in.add_refresh_token(connection, one)
    sign_in.prune_refresh_tokens(connection, "user", 150.0)
    assert [name for name in "abc" if sign_in.refresh_token(connection, name)] == ["b", "c"]


def test_a_device_code_moves_once_from_state_to_state(connection):
    code = DeviceCode("h", "CODE", "client", "scope", "t", None, PENDING, 100.0, None, 5)
    sign_in.add_device_code(connection, code)
    assert sign_in.by_user_code(connection, "CODE") == sign_in.device_code(connection, "h") == code
    assert sign_in.pending_device_codes(connection, 50.0) == 1
    assert sign_in.pending_device_codes(connection, 100.0) == 0
    assert sign_in.move_device_code(connection, "h", PENDING, APPROVED, "user")
    assert not sign_in.move_device_code(connection, "h", PENDING, APPROVED, "thief")
    assert sign_in.move_device_code(connection, "h", APPROVED, REDEEMED)
    assert sign_in.device_code(connection, "h").object_id == "user"
    assert sign_in.pending_device_codes(connection, 50.0) == 0


def test_polls_are_noted_and_ended_codes_forgotten(connection):
    sign_in.add_device_code(
        connection, DeviceCode("h", "CODE", "client", "scope", "t", None, PENDING, 100.0, None, 5)
    )
    sign_in.poll_device_code(connection, "h", 7.0, 10)
    row = sign_in.device_code(connection, "h")
    assert (row.last_polled_at, row.interval_seconds) == (7.0, 10)
    sign_in.prune_device_codes(connection, 100.0)
    assert sign_in.device_code(connection, "h")
    sign_in.prune_device_codes(connection, 100.1)
    assert sign_in.device_code(connection, "h") is None
