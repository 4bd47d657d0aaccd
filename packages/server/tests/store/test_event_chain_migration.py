"""Events from before there was a chain become its beginning."""

from __future__ import annotations

from sqlalchemy import text

from landbridge_server.arm.chain_check import checked
from landbridge_server.store import event_chain, events, revisions
from landbridge_server.store.database import Database
from landbridge_server.store.event_chain import BEGINNING, Seal
from landbridge_server.store.events import Event

SEAL = Seal(b"k" * 32)
ROWS = 2345


def test_events_of_older_versions_are_linked_in_the_order_of_their_time(tmp_path):
    db = Database(f"sqlite:///{tmp_path / 'old.db'}")
    try:
        with db.writing() as connection:
            revisions.upgrade(connection, "0012")
            insert = "INSERT INTO events VALUES (:id, :at, 's', 't', 'g', '/r', 'p', 'c', :document)"
            rows = [
                {"id": f"{number:05}", "at": float(number // 3), "document": f'{{"n":{number}}}'}
                for number in range(ROWS)
            ]
            connection.execute(text(insert), rows[::-1])
        db.migrate()
        with db.writing() as connection:
            new = Event("new", 5000.0, "s", "t", "g", "/r", "p", "c", "{}")
            head, amiss = event_chain.append(connection, SEAL, [new], BEGINNING, 5000.0)
        assert (head.sequence, amiss) == (ROWS + 1, [])
        with db.reading() as connection:
            report = checked(connection, SEAL, [head])
            first = events.chain(connection, 0, 3)
        assert (report.whole, report.records) == (True, ROWS + 1), report.findings
        assert [row.event.event_id for row in first] == ["00000", "00001", "00002"]
    finally:
        db.close()
