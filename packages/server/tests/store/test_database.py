from __future__ import annotations

import asyncio

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from landbridge_server.store import settings
from landbridge_server.store.database import Database
from landbridge_server.store.schema import metadata


@pytest.fixture
def db(store_url):
    database = Database(store_url)
    yield database
    database.close()


def test_the_migrations_build_exactly_the_schema(db):
    with db.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_migrating_again_changes_nothing(db):
    with db.writing() as connection:
        settings.put(connection, "name", "value")
    db.migrate()
    assert db.read(lambda connection: settings.get(connection, "name")) == "value"


async def test_a_write_that_raises_changes_nothing(db):
    def work(connection):
        settings.put(connection, "name", "value")
        raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        await db.write(work)
    assert db.read(lambda connection: settings.get(connection, "name")) is None


async def test_writes_are_serialised_and_none_is_lost(db):
    def add(connection):
        number = int(settings.get(connection, "count") or 0)
        settings.put(connection, "count", str(number + 1))

    await asyncio.gather(*(db.write(add) for _ in range(50)))
    assert db.read(lambda connection: settings.get(connection, "count")) == "50"


async def test_a_write_goes_on_when_its_caller_is_cancelled(db):
    task = asyncio.ensure_future(db.write(lambda connection: settings.put(connection, "name", "value")))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await db.write(lambda connection: None)
    assert db.read(lambda connection: settings.get(connection, "name")) == "value"


def test_what_was_acknowledged_is_synced_to_the_disk(db):
    with db.reading() as connection:
        if db.shared:
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
            return
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2


def test_another_process_sees_a_write_at_once(db):
    with db.writing() as connection:
        settings.put(connection, "name", "value")
    other = Database(db.url)
    assert other.read(lambda connection: settings.get(connection, "name")) == "value"
    other.close()
