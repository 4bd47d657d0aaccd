from __future__ import annotations

import asyncio
import threading
import time

import pytest

import postgresql_server
from balancer import Balancer
from landbridge_server.store import postgresql as pg
from landbridge_server.store import settings
from landbridge_server.store.database import Database, StoreUnavailable


def refusal(url):
    db = Database(url)
    try:
        with pytest.raises(StoreUnavailable) as caught:
            db.migrate()
    finally:
        db.close()
    return str(caught.value)


def test_a_wrong_password_is_one_line_without_the_password(postgresql):
    text = refusal(postgresql.url_over_tcp("postgres", "wrong-secret"))
    assert "password authentication failed" in text
    assert "wrong-secret" not in text
    assert "\n" not in text


def test_a_database_that_is_not_there_is_named(postgresql):
    assert 'database "none" does not exist' in refusal(postgresql.url_over_tcp("none"))


def test_a_server_that_is_not_there_is_one_line():
    text = refusal("postgresql://somebody:secret@127.0.0.1:1/landbridge")
    assert text.startswith("The database postgresql://somebody@127.0.0.1:1/landbridge cannot be used: ")
    assert "secret" not in text


@pytest.mark.parametrize("url", ["postgresql://", "postgresql://u:p@h", "mysql://u:p@h/d", "postgresql://["])
def test_what_names_no_database_is_refused_without_repeating_it(url):
    with pytest.raises(StoreUnavailable) as caught:
        pg.parsed(url)
    assert "p@h" not in str(caught.value)


def test_two_nodes_may_migrate_an_empty_database_at_once(postgresql):
    with postgresql.database() as url:
        nodes = [Database(url) for _ in range(3)]
        threads = [threading.Thread(target=node.migrate) for node in nodes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for node in nodes:
            assert node.read(lambda connection: settings.get(connection, "x")) is None
            node.close()


async def test_the_writes_of_two_nodes_are_serialised_and_none_is_lost(postgresql):
    def add(connection):
        number = int(settings.get(connection, "count") or 0)
        settings.put(connection, "count", str(number + 1))

    with postgresql.database(postgresql_server.TEMPLATE) as url:
        one, two = Database(url), Database(url)
        await asyncio.gather(*(node.write(add) for node in (one, two) for _ in range(25)))
        assert one.read(lambda connection: settings.get(connection, "count")) == "50"
        one.close()
        two.close()


def test_a_read_sees_one_snapshot_and_cannot_write(postgresql):
    with postgresql.database(postgresql_server.TEMPLATE) as url:
        db = Database(url)
        with db.reading() as reading:
            assert settings.get(reading, "name") is None
            with db.writing() as writing:
                settings.put(writing, "name", "value")
            assert settings.get(reading, "name") is None
        assert db.read(lambda connection: settings.get(connection, "name")) == "value"
        db.close()


async def test_the_store_comes_back_after_a_restart_of_the_server():
    with postgresql_server.started() as server:
        if server is None:
            pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
        with server.database() as url:
            db = Database(url)
            db.migrate()
            server.stop("immediate")
            for _ in range(3):
                with pytest.raises(StoreUnavailable):
                    db.read(lambda connection: settings.get(connection, "name"))
            server.start()
            async with asyncio.timeout(30):
                while True:
                    try:
                        await db.write(lambda connection: settings.put(connection, "name", "value"))
                        assert db.read(lambda connection: settings.get(connection, "name")) == "value"
                        break
                    except StoreUnavailable:
                        await asyncio.sleep(0.05)
            db.close()


@pytest.fixture
def silent(postgresql):
    """A database behind a load balancer that can fall silent."""
    balancer = Balancer()
    balancer.targets = [postgresql.port]
    with postgresql.database(postgresql_server.TEMPLATE) as url:
        name = url.split("?")[0].rpartition("/")[2]
        url = postgresql.url_over_tcp(name).replace(f":{postgresql.port}/", f":{balancer.port}/")
        db = Database(url)
        yield db, balancer
        balancer.close()
        db.close()


def name_of(connection):
    return settings.get(connection, "name")


@pytest.mark.timeout(60)
async def test_a_server_that_is_silent_is_not_waited_for_for_ever(silent):
    db, balancer = silent
    await db.write(lambda connection: settings.put(connection, "name", "value"))
    assert db.read(name_of) == "value"
    balancer.freeze()
    began = time.monotonic()
    with pytest.raises(StoreUnavailable, match="did not answer within 1 seconds"):
        db.read(name_of)
    print(f"the first read stopped everything for {time.monotonic() - began:.2f} s")
    began = time.monotonic()
    for _ in range(100):
        with pytest.raises(StoreUnavailable):
            db.read(name_of)
    print(f"100 more were refused in {time.monotonic() - began:.4f} s")
    with pytest.raises(StoreUnavailable):
        await db.write(name_of)
    with pytest.raises(StoreUnavailable):
        await db.read_aside(name_of)
    balancer.thaw()
    async with asyncio.timeout(30):
        while True:
            try:
                assert db.read(name_of) == "value"
                assert await db.write(name_of) == "value"
                break
            except StoreUnavailable:
                await asyncio.sleep(0.05)


@pytest.mark.timeout(60)
async def test_a_write_to_a_server_that_is_silent_ends_and_is_not_believed(silent, monkeypatch):
    db, balancer = silent
    monkeypatch.setattr(pg, "WRITE_MS", 200)
    monkeypatch.setattr(pg, "PATIENCE", 0.3)
    await db.write(name_of)
    balancer.freeze()
    with pytest.raises(StoreUnavailable, match=r"did not answer within 0\.5 seconds"):
        await db.write(lambda connection: settings.put(connection, "name", "lost"))


async def test_writes_that_share_a_connection_that_is_lost_are_all_told_so(postgresql):
    with postgresql.database(postgresql_server.TEMPLATE) as url:
        db, together = Database(url), threading.Event()
        first = asyncio.ensure_future(db.write(lambda connection: together.wait(10)))
        await asyncio.sleep(0.1)  # it runs, and the next two wait together
        lost = "SELECT pg_terminate_backend(pg_backend_pid())"
        cut = asyncio.ensure_future(db.write(lambda connection: connection.exec_driver_sql(lost)))
        beside = asyncio.ensure_future(db.write(name_of))
        await asyncio.sleep(0.1)
        together.set()
        assert await first
        for one in (cut, beside):
            with pytest.raises(StoreUnavailable):
                await one
        assert await db.write(name_of) is None
        db.close()


async def test_a_read_goes_on_over_a_connection_that_the_server_has_ended(postgresql):
    with postgresql.database(postgresql_server.TEMPLATE) as url:
        db = Database(url)
        db.read(lambda connection: settings.get(connection, "name"))
        postgresql.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'landbridge'"
        )
        assert db.read(lambda connection: settings.get(connection, "name")) is None
        db.close()
