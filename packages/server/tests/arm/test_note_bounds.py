"""What keeps floods out of the activity log."""

from __future__ import annotations

import pytest

from landbridge_server.arm import note_bounds
from landbridge_server.arm.note_bounds import STRANGERS, WINDOW, Bounds
from landbridge_server.testing import HandClock


@pytest.fixture
def clock():
    return HandClock(1000.0)


@pytest.fixture
def bounds(clock):
    return Bounds(clock)


def test_the_first_of_equal_notes_is_written_and_the_others_are_counted(bounds, clock):
    assert bounds.admit("first", "key", "anna")
    assert not bounds.admit("second", "key", "anna")
    assert not bounds.admit("third", "key", "anna")
    assert bounds.repeated() == []
    clock.advance(WINDOW)
    assert bounds.repeated() == [("third", 2)]
    assert bounds.repeated() == []
    assert bounds.admit("fourth", "key", "anna")


def test_what_happens_once_is_not_told_again(bounds, clock):
    assert bounds.admit("one", "key", "anna")
    clock.advance(WINDOW)
    assert bounds.repeated() == []


def test_strangers_share_one_budget_and_callers_have_their_own(bounds, clock):
    burst = int(note_bounds.STRANGERS_RATE.burst)
    admitted = sum(bounds.admit(number, ("stranger", number), STRANGERS) for number in range(burst + 50))
    assert admitted == burst
    assert bounds.exceeded() == [(STRANGERS, 50)]
    assert bounds.admit("mine", "mine", "anna")
    clock.advance(1)
    assert not bounds.admit("again", "again", STRANGERS)
    assert bounds.exceeded() == []
    clock.advance(WINDOW)
    assert bounds.exceeded() == [(STRANGERS, 1)]
    assert bounds.admit("later", "later", STRANGERS)


def test_in_three_months_strangers_cannot_write_what_the_log_keeps():
    assert 90 * 86400 * note_bounds.STRANGERS_RATE.per_second < 1_000_000


def test_memory_is_bounded_by_keys_and_full_budgets_are_forgotten(bounds, clock, monkeypatch):
    monkeypatch.setattr(note_bounds, "KEYS", 3)
    assert [bounds.admit(key, key, f"caller-{key}") for key in range(5)] == [True, True, True, False, False]
    assert sorted(bounds.exceeded()) == [("caller-3", 1), ("caller-4", 1)]
    clock.advance(2000)
    bounds.repeated()
    bounds.exceeded()
    assert (bounds._repeats, bounds._budgets) == ({}, {})


def test_at_the_end_all_that_was_counted_is_told(bounds):
    bounds.admit("a", "key", "anna")
    bounds.admit("b", "key", "anna")
    assert bounds.repeated(all_of_them=True) == [("b", 1)]


def test_a_window_that_begins_again_does_not_hold_up_the_others(bounds, clock):
    bounds.admit("a", "first", "anna")
    clock.advance(1)
    bounds.admit("b", "second", "anna")
    bounds.admit("b", "second", "anna")
    clock.advance(WINDOW - 0.5)
    bounds.admit("a", "first", "anna")
    clock.advance(1)
    assert bounds.repeated() == [("b", 1)]
