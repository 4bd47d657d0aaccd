from __future__ import annotations

import asyncio

import pytest

from landbridge_server.identity import passwords
from landbridge_server.identity.errors import OAuthError
from landbridge_server.identity.passwords import PasswordChecker


async def test_only_the_right_password_matches():
    checker = PasswordChecker()
    verifier = passwords.hash_password("correct horse")
    assert await checker.matches("correct horse", verifier)
    for wrong in ("Correct horse", "", "correct horse ", "x" * 100_000, "\udce9"):
        assert not await checker.matches(wrong, verifier)


async def test_who_has_no_password_costs_a_whole_check(monkeypatch):
    checked = []
    checker = PasswordChecker()
    right = passwords._matches
    monkeypatch.setattr(passwords, "_matches", lambda *both: checked.append(both[1]) or right(*both))
    assert not await checker.matches("x", None)
    assert checked[0].startswith("$argon2id$")


async def test_a_broken_verifier_matches_nothing():
    assert not await PasswordChecker().matches("x", "no hash at all")


async def test_checks_that_wait_are_bounded(monkeypatch):
    monkeypatch.setattr(passwords, "WAITING", 3)
    monkeypatch.setattr(passwords, "_matches", lambda _password, _verifier: True)
    checker = PasswordChecker()
    answers = await asyncio.gather(*(checker.matches("x", "v") for _ in range(5)), return_exceptions=True)
    assert answers[:3] == [True, True, True]
    assert all(isinstance(one, OAuthError) and one.number == 90033 for one in answers[3:])
    assert await checker.matches("x", "v")


def test_secrets_differ_and_match_only_themselves():
    one, other = passwords.new_secret(), passwords.new_secret()
    assert one != other
    assert passwords.secret_matches(one, passwords.hash_secret(one))
    assert not passwords.secret_matches(other, passwords.hash_secret(one))
    assert not passwords.secret_matches("\udce9", passwords.hash_secret(one))


@pytest.mark.parametrize("password", ["short", "x" * 257])
def test_a_password_has_bounds(password):
    with pytest.raises(passwords.WeakPassword, match="8 to 256"):
        passwords.hash_password(password)
