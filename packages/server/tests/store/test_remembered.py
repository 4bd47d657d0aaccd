"""Answers that are kept until something is committed."""

from __future__ import annotations

import time

import pytest

from landbridge_server.store import settings
from landbridge_server.store.database import Database
from landbridge_server.store.remembered import LOOK_SECONDS, Remembered


@pytest.fixture
def db(tmp_path):
    opened = Database(f"sqlite:///{tmp_path / 'store.db'}")
    opened.migrate()
    opened.read(lambda connection: None)  # the reading thread is this one
    yield opened
    opened.close()


def store(db: Database, value: str) -> None:
    with db.writing() as connection:
        settings.put(connection, "colour", value)


def colour(db: Database, memory: Remembered[str, str | None]) -> tuple[str | None, bool]:
    """Return the answer, and whether it was made anew."""
    made = []

    def make() -> str | None:
        made.append(1)
        return db.read(lambda connection: settings.get(connection, "colour"))

    return memory.get("colour", make), bool(made)


def test_an_answer_is_made_once_while_nothing_is_committed(db):
    store(db, "red")
    memory = Remembered(db)
    assert colour(db, memory) == ("red", True)
    assert colour(db, memory) == ("red", False)


def test_a_commit_of_this_process_counts_at_once(db):
    store(db, "red")
    memory = Remembered(db)
    colour(db, memory)
    store(db, "blue")
    assert colour(db, memory) == ("blue", True)


async def test_a_commit_on_the_writer_thread_counts_at_once(db):
    memory = Remembered(db)
    colour(db, memory)
    await db.write(lambda connection: settings.put(connection, "colour", "green"))
    assert colour(db, memory) == ("green", True)


async def test_what_a_write_sees_is_not_kept(db):
    store(db, "red")
    memory = Remembered(db)

    def work(connection):
        settings.put(connection, "colour", "never committed")
        assert memory.get("colour", lambda: settings.get(connection, "colour")) == "never committed"
        raise LookupError

    with pytest.raises(LookupError):
        await db.write(work)
    assert colour(db, memory)[0] == "red"


def test_a_commit_of_another_process_counts_at_the_next_look(db):
    store(db, "red")
    memory = Remembered(db)
    colour(db, memory)
    beside = Database(db.url)
    store(beside, "blue")
    beside.close()
    time.sleep(LOOK_SECONDS * 1.5)
    assert colour(db, memory) == ("blue", True)


def test_an_answer_that_was_overtaken_while_it_was_made_is_not_kept(db):
    store(db, "red")
    memory = Remembered(db)

    def make() -> str:
        found = db.read(lambda connection: settings.get(connection, "colour"))
        store(db, "blue")
        memory.get("other", lambda: "asked in between")
        return str(found)

    assert memory.get("colour", make) == "red"
    assert colour(db, memory) == ("blue", True)


def test_a_failure_is_not_kept(db):
    memory = Remembered(db)
    with pytest.raises(LookupError):
        memory.get("colour", lambda: {}["colour"])
    assert memory.get("colour", lambda: "red") == "red"


def test_no_more_than_the_bound_are_kept(db):
    memory: Remembered[int, int] = Remembered(db, most=3)
    for number in range(10):
        memory.get(number, lambda number=number: number)
    assert len(memory._kept) <= 3


def test_where_nodes_share_the_store_nothing_is_kept():
    class Shared:
        def generation(self):
            return None

    memory = Remembered(Shared())
    made = []
    for _ in range(2):
        memory.get("colour", lambda: made.append(1))
    assert len(made) == 2
