from __future__ import annotations

import asyncio
import threading

import pytest

from landbridge_server.store import settings
from landbridge_server.store.database import Database


@pytest.fixture
def db(tmp_path):
    opened = Database(f"sqlite:///{tmp_path}/store.db")
    opened.migrate()
    yield opened
    opened.close()


def setting(db, name):
    return db.read(lambda connection: settings.get(connection, name))


async def keep_busy(db):
    """Return a write that has the writer until its gate opens, and the gate."""
    begun, gate = threading.Event(), threading.Event()

    def work(_connection):
        begun.set()
        gate.wait(10)

    busy = asyncio.ensure_future(db.write(work, aside=True))
    await asyncio.to_thread(begun.wait, 10)
    return busy, gate


async def together(db, *works):
    """Run writes that all wait while the writer is busy with something else."""
    busy, gate = await keep_busy(db)
    waiting = [asyncio.ensure_future(db.write(work)) for work in works]
    await asyncio.sleep(0)
    gate.set()
    await busy
    return await asyncio.gather(*waiting, return_exceptions=True)


def put(name):
    return lambda connection: settings.put(connection, name, "here")


async def test_a_write_that_raises_undoes_only_itself(db):
    def fail(connection):
        settings.put(connection, "bad", "here")
        raise LookupError("no")

    outcomes = await together(db, put("before"), fail, put("after"))
    assert [type(one) for one in outcomes] == [type(None), LookupError, type(None)]
    assert [setting(db, name) for name in ("before", "bad", "after")] == ["here", None, "here"]


async def test_a_write_that_is_alone_and_raises_leaves_nothing(db):
    def fail(connection):
        settings.put(connection, "bad", "here")
        raise LookupError("no")

    with pytest.raises(LookupError):
        await db.write(fail)
    assert setting(db, "bad") is None


async def test_nobody_is_told_of_success_when_the_transaction_ended_early(db):
    def end_early(connection):
        connection.exec_driver_sql("ROLLBACK")

    one, ended, two = await together(db, put("one"), end_early, put("two"))
    assert isinstance(one, Exception)
    assert isinstance(ended, Exception)
    assert setting(db, "one") is None
    assert (setting(db, "two") is None) == isinstance(two, Exception)


async def test_nobody_is_told_of_success_when_the_commit_is_refused(db):
    connection = db._writes._driver()
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("CREATE TABLE parent (id INTEGER PRIMARY KEY)")
    connection.execute("CREATE TABLE child (id INTEGER REFERENCES parent(id) DEFERRABLE INITIALLY DEFERRED)")

    def orphan(connection):
        connection.exec_driver_sql("INSERT INTO child VALUES (1)")  # only the commit refuses it

    outcomes = await together(db, put("one"), orphan, put("two"))
    assert all(isinstance(one, Exception) for one in outcomes)
    assert [setting(db, name) for name in ("one", "two")] == [None, None]
    await db.write(put("three"))
    assert setting(db, "three") == "here"


async def test_a_long_write_does_not_stop_the_loop(db):
    busy, gate = await keep_busy(db)
    waiting = asyncio.ensure_future(db.write(put("next")))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    gate.set()
    await asyncio.gather(busy, waiting)
    assert setting(db, "next") == "here"


async def test_a_write_that_changes_nothing_needs_no_commit(db):
    await db.write(put("there"))
    before = db.generation()
    assert await db.write(lambda connection: settings.get(connection, "there")) == "here"
    assert db.generation() == before


def test_one_store_serves_one_loop_after_the_other(db):
    async def write(name):
        await db.write(put(name))

    async def leave_behind():
        db._writes.put(put("left"))

    asyncio.run(write("one"))
    asyncio.run(leave_behind())
    asyncio.run(write("two"))
    assert [setting(db, name) for name in ("one", "two")] == ["here", "here"]


async def test_a_write_goes_on_when_its_caller_leaves(db):
    busy, gate = await keep_busy(db)
    leaving = asyncio.ensure_future(db.write(put("kept")))
    await asyncio.sleep(0)
    leaving.cancel()
    gate.set()
    await busy
    await db.write(put("last"))
    assert setting(db, "kept") == "here"


def test_a_read_within_a_read_and_a_read_that_writes_leave_nothing(db):
    def outer(connection):
        settings.put(connection, "x", "here")
        return db.read(lambda inner: settings.get(inner, "x"))

    assert db.read(outer) is None
    assert setting(db, "x") is None


async def test_a_read_sees_what_was_just_written(db):
    for number in range(3):
        await db.write(lambda connection, value=str(number): settings.put(connection, "n", value))
        assert setting(db, "n") == str(number)
