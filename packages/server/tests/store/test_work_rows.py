"""The order in which a machine is asked."""

from __future__ import annotations

import pytest

from landbridge_server.store import machines, work
from landbridge_server.store.database import Database

NOW = 1_700_000_000.5


@pytest.fixture
def connection(store_url):
    db = Database(store_url)
    with db.writing() as opened:
        machines.create(opened, "m1", "p1", "vm1")
        yield opened
    db.close()


def asked(connection, work_id, now=NOW):
    return work.add(
        connection, work_id=work_id, machine_key="m1", target_key="m1/r", kind="apply", content="{}", now=now
    )


def test_what_is_asked_at_once_is_asked_in_order(connection):
    rows = [asked(connection, str(number)) for number in range(3)]
    assert work.of_machine(connection, "m1") == rows
    assert [one.sequence - rows[0].sequence for one in rows] == [0, 1, 2]


def test_what_is_asked_later_comes_after_what_the_store_has_forgotten(connection):
    """As after a backup: the machine may still be at work on it, and takes the higher for the newer."""
    before = asked(connection, "before")
    work.remove(connection, ["before"])
    assert asked(connection, "after", NOW + 1).sequence > before.sequence


def test_a_clock_that_was_set_back_changes_no_order(connection):
    before = asked(connection, "before")
    assert asked(connection, "after", NOW - 1000).sequence > before.sequence
