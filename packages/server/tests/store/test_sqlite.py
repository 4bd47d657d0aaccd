from __future__ import annotations

import sqlite3

import pytest

from landbridge_server.store import settings, sqlite
from landbridge_server.store.database import Database, StoreUnavailable
from landbridge_server.testing import ControlPlane


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(sqlite, "BUSY_MILLISECONDS", 50)


async def test_a_database_locked_by_another_process_is_said_and_then_works_again(tmp_path, impatient):
    db = Database(f"sqlite:///{tmp_path / 'store.db'}")
    db.migrate()
    other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="another process has locked it"):
        await db.write(lambda connection: settings.put(connection, "name", "value"))
    assert db.read(lambda connection: settings.get(connection, "name")) is None
    other.execute("ROLLBACK")
    other.close()
    await db.write(lambda connection: settings.put(connection, "name", "value"))
    assert db.read(lambda connection: settings.get(connection, "name")) == "value"
    db.close()


async def test_a_full_disk_refuses_writes_keeps_reads_and_loses_nothing(tmp_path):
    db = Database(f"sqlite:///{tmp_path / 'store.db'}")
    db.migrate()
    await db.write(lambda connection: settings.put(connection, "before", "kept"))

    def too_much(connection):
        connection.exec_driver_sql("PRAGMA max_page_count = 1")  # what a full disk says to SQLite
        settings.put(connection, "large", "x" * 10_000_000)

    with pytest.raises(StoreUnavailable, match="the disk is full"):
        await db.write(too_much)
    assert db.read(lambda connection: settings.get(connection, "before")) == "kept"
    assert db.read(lambda connection: settings.get(connection, "large")) is None
    db.close()


async def test_callers_are_told_to_try_again_while_the_database_is_locked(tmp_path, impatient):
    async with ControlPlane(tmp_path / "cloud") as cloud:
        token = await cloud.token()
        other = sqlite3.connect(cloud.config.data / "landbridge.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        group = cloud.subscription + "/resourcegroups/g"
        answer = await cloud.arm("PUT", group, {"location": "local"}, token=token)
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "ServiceUnavailable"
        assert answer.headers["retry-after"]
        other.execute("ROLLBACK")
        other.close()
        assert (await cloud.arm("PUT", group, {"location": "local"}, token=token)).status_code == 201
