"""The chain of the activity log: what an append does, finds and lets go, on each kind of store."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from landbridge_server.arm.chain_check import checked
from landbridge_server.store import event_chain, events
from landbridge_server.store.database import Database
from landbridge_server.store.event_chain import BEGINNING, Forged, Place, Seal
from landbridge_server.store.events import Event

SEAL = Seal(b"k" * 32)


def event(number: int) -> Event:
    return Event(f"event-{number}", float(number), "s", "t", "g", f"/r/{number}", "p", "c", '{"a": 1}')


@pytest.fixture
def db(store_url):
    opened = Database(store_url)
    yield opened
    opened.close()


@pytest.fixture
def add(db):
    def add(numbers, known=BEGINNING, seal=SEAL):
        with db.writing() as connection:
            return event_chain.append(connection, seal, [event(one) for one in numbers], known, 5.0)

    return add


@pytest.fixture
def report(db):
    def report(known=(), expected_head="", seal=SEAL):
        with db.reading() as connection:
            return checked(connection, seal, known, expected_head)

    return report


@pytest.fixture
def by_hand(db):
    """Change the database as somebody does who has access to nothing else."""

    def by_hand(*statements):
        with db.writing() as connection:
            for statement in statements:
                connection.execute(text(statement))

    return by_hand


def findings(report):
    return [one.text for one in report.findings]


def test_an_empty_log_is_whole(report):
    assert (report().whole, report().records, report().head) == (True, 0, BEGINNING)


def test_each_event_covers_all_before_it(add, report):
    add(range(1, 4))
    head, amiss = add(range(4, 6), Place(3, report().head.hash))
    seen = report(known=[head])
    assert (seen.whole, seen.records, seen.first_at, seen.last_at, seen.head) == (True, 5, 1.0, 5.0, head)
    assert amiss == []


def test_an_event_that_is_there_already_is_not_added_again(add, report):
    first, _ = add([1, 2])
    again, _ = add([1, 2], first)
    assert again == first
    assert report().records == 2


@pytest.mark.parametrize(
    ("statements", "found"),
    [
        (["UPDATE events SET document = '{}' WHERE sequence = 3"], ["Record 3 (event event-3) was changed"]),
        (["UPDATE events SET at = 3.5 WHERE sequence = 3"], ["Record 3 (event event-3) was changed"]),
        (["UPDATE events SET tenant_id = '' WHERE sequence = 1"], ["Record 1 (event event-1) was changed"]),
        (["DELETE FROM events WHERE sequence = 3"], ["Record 3 is missing."]),
        (["DELETE FROM events WHERE sequence IN (2, 3)"], ["Records 2 to 3 are missing."]),
        (["DELETE FROM events WHERE sequence = 1"], ["Record 1 is missing."]),
        (["DELETE FROM events WHERE sequence > 3"], ["Records 4 to 5 were cut off the end."]),
        (["DELETE FROM events"], ["Records 1 to 5 were cut off the end."]),
        (
            [
                "DELETE FROM events WHERE sequence = 3",
                "UPDATE events SET sequence = 3 WHERE sequence = 4",
                "UPDATE events SET sequence = 4 WHERE sequence = 5",
            ],
            [
                "Record 3 (event event-4) was changed",
                "Record 4 (event event-5)",
                "Records 5 to 5 were cut off",
            ],
        ),
        (
            [
                "UPDATE events SET sequence = 99 WHERE sequence = 2",
                "UPDATE events SET sequence = 2 WHERE sequence = 3",
                "UPDATE events SET sequence = 3 WHERE sequence = 99",
            ],
            ["Record 2 (event event-3) was", "Record 3 (event event-2) was", "Record 4 (event event-4) was"],
        ),
    ],
)
def test_what_was_changed_taken_away_or_moved_is_found(add, report, by_hand, statements, found):
    add(range(1, 6))
    by_hand(*statements)
    seen = findings(report())
    assert len(seen) == len(found)
    assert all(said.startswith(start) for said, start in zip(seen, found, strict=True)), seen


@pytest.mark.parametrize("place", [6, 0, -3])
def test_what_was_put_in_is_found(add, report, db, place):
    add(range(1, 6))
    forged = events.Linked(place, event_chain.hash_of("", place, event(77)), event(77))
    with db.writing() as connection:
        events.add(connection, [forged])
    assert any("put in" in text for text in findings(report()))


def test_a_second_record_in_a_place_is_found(add, report, by_hand):
    add(range(1, 4))
    by_hand(
        "DROP INDEX events_in_order",
        "INSERT INTO events SELECT 'event-2b', at, subscription_id, tenant_id, group_key, resource_key, "
        "provider_key, correlation_id, document, sequence, hash FROM events WHERE sequence = 2",
    )
    assert findings(report())[0] == "Record 2 (event event-2b) was put in."
    by_hand(  # the database may be used again
        "DELETE FROM events", "CREATE UNIQUE INDEX events_in_order ON events (sequence)"
    )


def test_a_chain_that_was_computed_anew_is_found(add, report, db, by_hand):
    add(range(1, 4))
    by_hand("UPDATE events SET document = '{}' WHERE sequence = 2")
    with db.writing() as connection:
        previous = ""
        for row in events.chain(connection, 0, 10):
            previous = event_chain.hash_of(previous, row.sequence, row.event)
            statement = "UPDATE events SET hash = :hash WHERE sequence = :place"
            connection.execute(text(statement), {"hash": previous, "place": row.sequence})
    assert findings(report()) == ["The chain ends in another hash than the sealed one: it was computed anew."]


def test_a_seal_by_another_key_or_none_is_found(add, report, by_hand):
    add([1, 2])
    other = report(seal=Seal(b"x" * 32))
    assert "does not fit" in findings(other)[0]
    by_hand("UPDATE settings SET value = 'nonsense' WHERE name = 'activity_chain'")
    assert "cannot be read" in findings(report())[0]
    by_hand("DELETE FROM settings WHERE name = 'activity_chain'")
    assert findings(report())[0].startswith("There is no seal")


def test_a_database_that_was_put_back_with_its_seal_does_not_fit_what_is_remembered(add, report, by_hand, db):
    early, _ = add([1, 2])
    with db.reading() as connection:
        old = connection.execute(text("SELECT value FROM settings WHERE name = 'activity_chain'")).scalar()
    late, _ = add([3, 4], early)
    by_hand("DELETE FROM events WHERE sequence > 2")
    with db.writing() as connection:
        statement = "UPDATE settings SET value = :old WHERE name = 'activity_chain'"
        connection.execute(text(statement), {"old": old})
    assert report(known=[early]).whole
    assert findings(report(known=[late])) == ["Record 4 was written, but the log ends with record 2."]
    _, amiss = add([5], late)
    assert amiss == ["record 4 was written, but the log ended with record 2"]
    assert any("The control plane found at 5" in one for one in findings(report()))
    assert any("Records 3 to 4 are missing" in one for one in findings(report()))


def test_going_on_after_a_cut_does_not_hide_it(add, report, by_hand):
    head, _ = add(range(1, 6))
    by_hand("DELETE FROM events WHERE sequence > 3")
    _, amiss = add([6, 7], head)
    assert amiss[0] == "the log ended with record 3, not with record 5"
    seen = findings(report())
    assert any("Records 4 to 5 are missing" in one for one in seen)
    assert any("The control plane found" in one for one in seen)


def test_an_append_notes_that_the_known_place_holds_something_else(add, db, by_hand):
    head, _ = add([1, 2])
    add([3])
    by_hand("UPDATE events SET hash = 'other' WHERE sequence = 2")
    _, amiss = add([4], head)
    assert amiss == ["record 2 is no longer the one that was written"]


def test_a_pinned_head_must_still_be_in_the_chain(add, report):
    head, _ = add([1, 2])
    add([3], head)
    assert report(expected_head=head.hash).whole
    assert findings(report(expected_head="0" * 64)) == [f"No record has the expected hash {'0' * 64}."]


def test_what_is_trimmed_leaves_a_beginning_that_is_sealed(add, report, db, by_hand):
    head, _ = add(range(1, 11))
    with db.writing() as connection:
        assert event_chain.trim(connection, SEAL, 4.0, 100, 2)
        assert not event_chain.trim(connection, SEAL, 4.0, 100, 2)
    seen = report(known=[head])
    assert (seen.whole, seen.records, seen.first_at) == (True, 7, 4.0)
    by_hand("DELETE FROM events WHERE sequence = 4")
    assert findings(report()) == ["Record 4 is missing."]


def test_no_more_than_so_many_are_kept(add, report, db):
    head, _ = add(range(1, 11))
    with db.writing() as connection:
        while event_chain.trim(connection, SEAL, 0.0, 3, 4):
            pass
    assert (report().whole, report().records) == (True, 3)
    with db.writing() as connection:
        while event_chain.trim(connection, SEAL, 1e9, 3, 4):
            pass
    assert (report(known=[head]).whole, report().records, report().head) == (True, 0, head)
    add([11], head)
    assert (report(known=[head]).whole, report().records) == (True, 1)


def test_a_chain_with_a_foreign_seal_is_not_trimmed(add, db):
    add([1, 2])
    with db.writing() as connection:
        assert not event_chain.trim(connection, Seal(b"x" * 32), 1e9, 0, 10)
        with pytest.raises(Forged):
            event_chain.state(connection, Seal(b"x" * 32))
        assert len(events.chain(connection, 0, 10)) == 2


def test_only_so_many_findings_are_listed(add, report, by_hand):
    add(range(1, 101))
    by_hand("UPDATE events SET document = '{}'")
    seen = report()
    assert (len(seen.findings), seen.more) == (50, 50)
