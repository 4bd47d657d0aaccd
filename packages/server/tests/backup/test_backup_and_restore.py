"""A cloud in one file, and back: between both kinds of store, and never half."""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import stat
import time
import tracemalloc
from urllib.parse import urlsplit

import pytest

import postgresql_server
from landbridge_server.backup import archive, folder, making
from landbridge_server.backup.errors import BackupError, Damaged
from landbridge_server.backup.making import make
from landbridge_server.backup.restoring import restore
from landbridge_server.ca.ownership import ForeignCloud
from landbridge_server.fleet import extension_packages
from landbridge_server.store import extensions, revisions, rows
from landbridge_server.store.database import StoreUnavailable
from landbridge_server.store.snapshots import filling, snapshot
from landbridge_server.testing import ControlPlane

PASSPHRASE = b"correct horse battery"
NOW = 1_800_000_100.0


def quiet(what, done, total):
    """A progress that nobody hears."""


def clock():
    return NOW


def everything(url):
    """All rows, by table, without order."""
    with snapshot(url) as connection:
        found = {}
        for piece in rows.dump(connection):
            heading, *lines = piece.lines.splitlines()
            found.setdefault(piece.table, [heading]).extend(sorted(lines))
    return found


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_store(request):
    """The URL to restore into: empty for SQLite, which has its file in the folder."""
    if request.param == "sqlite":
        yield ""
        return
    server = request.getfixturevalue("postgresql")
    with server.database() as url:
        yield url
        server.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public", urlsplit(url).path[1:])


@pytest.fixture
async def kept(cloud, arm, tmp_path):
    """A cloud with something in it, and its backup."""
    assert (await arm.group()).status_code == 201
    assert (await arm.machine(tags={"snow": "☃"})).status_code == 200
    target = tmp_path / "one.backup"
    make(cloud.config.data, cloud.config.database_url, target, None, clock, quiet)
    return target


@pytest.fixture
async def own(tmp_path):
    """A cloud with its own SQLite: for what does not depend on the kind of store."""
    async with ControlPlane(tmp_path / "cloud") as plane:
        yield plane


@pytest.fixture
def whole(own, tmp_path):
    """Its backup."""
    target = tmp_path / "one.backup"
    make(own.config.data, own.config.database_url, target, None, clock, quiet)
    return target


async def test_what_was_kept_comes_back_in_either_store(cloud, arm, kept, tmp_path, empty_store):
    data = tmp_path / "restored"
    about = restore(kept, data, empty_store, None, clock, quiet)
    assert about.cloud == cloud.admin["tenantId"]
    url = empty_store or f"sqlite:///{data / 'landbridge.db'}"
    before, after = everything(cloud.config.database_url), everything(url)
    noted = [line for line in after["settings"][1:] if json.loads(line)[0] == "restored"]
    assert len(noted) == 1
    after["settings"].remove(noted[0])
    assert after == before
    async with ControlPlane(data, store=empty_store) as again:
        token = await again.token(cloud.admin["clientId"], cloud.admin["clientSecret"])
        path = f"{cloud.subscription}/resourceGroups/demo/providers/Microsoft.HybridCompute/machines/web1"
        headers = {"authorization": f"Bearer {token}"}
        found = await again.client.get(path, params={"api-version": "2024-07-10"}, headers=headers)
        assert found.json()["tags"] == {"snow": "☃"}
        # A token that was given before is still one: the signing keys came along.
        old = {"authorization": f"Bearer {arm.tokens['']}"}
        assert (
            await again.client.get(path, params={"api-version": "2024-07-10"}, headers=old)
        ).status_code == 200


async def test_every_file_of_a_cloud_is_kept_with_its_permissions(own, whole, tmp_path):
    data = tmp_path / "restored"
    restore(whole, data, "", None, clock, quiet)
    source = own.config.data
    left_out = {"landbridge.db", "landbridge.db-wal", "landbridge.db-shm", *folder.LEFT_OUT}
    names = {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()} - left_out
    assert {"admin.json", "ca/root.pem", "ca/root.key", "keys/relay.key"} <= names
    for name in names:
        assert (data / name).read_bytes() == (source / name).read_bytes(), name
        assert stat.S_IMODE((data / name).stat().st_mode) == stat.S_IMODE((source / name).stat().st_mode), (
            name
        )
    assert stat.S_IMODE(data.stat().st_mode) == 0o700


async def test_a_backup_is_for_its_owner_only_and_never_written_over_another(own, whole):
    assert stat.S_IMODE(whole.stat().st_mode) == 0o600
    before = whole.read_bytes()
    with pytest.raises(BackupError, match="is there already"):
        make(own.config.data, own.config.database_url, whole, None, clock, quiet)
    assert whole.read_bytes() == before


async def test_a_sealed_backup_opens_with_its_passphrase_only_and_shows_nothing(own, tmp_path):
    target = tmp_path / "sealed.backup"
    make(own.config.data, own.config.database_url, target, PASSPHRASE, clock, quiet)
    assert own.admin["tenantId"].encode() not in target.read_bytes()
    for passphrase in (None, b"another passphrase"):
        with pytest.raises(BackupError, match="passphrase"):
            restore(target, tmp_path / "restored", "", passphrase, clock, quiet)
        assert not (tmp_path / "restored").exists()
    restore(target, tmp_path / "restored", "", PASSPHRASE, clock, quiet)
    assert (tmp_path / "restored/keys/relay.key").exists()


@pytest.mark.parametrize("passphrase", [None, PASSPHRASE])
async def test_a_damaged_backup_is_refused_and_leaves_nothing_behind(own, tmp_path, passphrase):
    target = tmp_path / "whole"
    make(own.config.data, own.config.database_url, target, passphrase, clock, quiet)
    good = target.read_bytes()
    spoiled = {"cut": good[:-1], "halved": good[: len(good) // 2], "longer": good + b"x", "nothing": b""}
    for place in (0, len(good) // 3, len(good) - 5):
        spoiled[f"changed at {place}"] = good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :]
    for name, content in spoiled.items():
        file = tmp_path / "spoiled"
        file.write_bytes(content)
        with pytest.raises(BackupError):
            restore(file, tmp_path / "restored", "", passphrase, clock, quiet)
        assert {path.name for path in tmp_path.iterdir()} == {"whole", "spoiled", "cloud"}, name


@pytest.mark.parametrize("content", [b"hello\n", b"\x1f\x8b" + bytes(100), bytes(10240)])
def test_a_file_of_something_else_is_no_backup(tmp_path, content):
    file = tmp_path / "file"
    file.write_bytes(content)
    with pytest.raises(Damaged):
        restore(file, tmp_path / "restored", "", None, clock, quiet)


async def test_a_folder_that_is_used_is_not_touched(whole, tmp_path):
    used = tmp_path / "used"
    used.mkdir()
    (used / "precious").write_text("mine")
    with pytest.raises(BackupError, match="not an empty folder"):
        restore(whole, used, "", None, clock, quiet)
    assert [path.name for path in used.iterdir()] == ["precious"]


async def test_an_empty_folder_that_is_there_is_filled(whole, tmp_path):
    (tmp_path / "restored").mkdir()
    restore(whole, tmp_path / "restored", "", None, clock, quiet)
    assert (tmp_path / "restored/landbridge.db").exists()


async def test_a_database_that_is_used_is_not_touched(whole, tmp_path, postgresql):
    used = postgresql.database(postgresql_server.TEMPLATE)
    with used as url, pytest.raises(BackupError, match="holds tables already"):
        restore(whole, tmp_path / "restored", url, None, clock, quiet)
    assert not (tmp_path / "restored").exists()


async def test_a_backup_of_a_newer_schema_is_refused(own, whole, tmp_path):
    newer = tmp_path / "newer"
    with whole.open("rb") as old, newer.open("wb") as file, archive.writing(file, None) as writer:
        for name, content in archive.entries(old, None):
            if name == archive.MANIFEST:
                writer.finish(json.loads(content)["rows"], NOW)
            elif name == archive.ABOUT:
                writer.add(name, json.dumps(json.loads(content) | {"schema": "9999"}).encode(), NOW)
            else:
                writer.add(name, content, NOW)
    with pytest.raises(BackupError, match="newer version"):
        restore(newer, tmp_path / "restored", "", None, clock, quiet)
    assert not (tmp_path / "restored").exists()


async def test_rows_that_do_not_fit_leave_no_table_behind(own, whole, tmp_path, empty_store):
    odd = tmp_path / "odd"
    with whole.open("rb") as old, odd.open("wb") as file, archive.writing(file, None) as writer:
        for name, content in archive.entries(old, None):
            if name == archive.MANIFEST:
                writer.finish(json.loads(content)["rows"], NOW)
            elif name.startswith("rows/tenants/"):
                heading, row = content.splitlines()
                writer.add(name, heading + b"\n" + row + b"\n" + row + b"\n", NOW)
            else:
                writer.add(name, content, NOW)
    with pytest.raises(BackupError, match="a row of tenants does not fit"):
        restore(odd, tmp_path / "restored", empty_store, None, clock, quiet)
    assert not (tmp_path / "restored").exists()
    assert not list(tmp_path.glob(".restored*"))
    if empty_store:
        with snapshot(empty_store) as connection:
            assert rows.is_empty(connection)


async def test_a_backup_under_load_has_what_was_acknowledged_before_and_holds_no_writer(
    cloud, arm, tmp_path, monkeypatch
):
    """The rows are read on a thread, as by another process, while groups are being made."""
    for number in range(20):
        assert (await arm.group(f"before-{number}")).status_code == 201
    target = tmp_path / "one.backup"
    waiting, written = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    dump = rows.dump

    def slow_dump(connection):
        pieces = list(dump(connection))[:0]
        yield from pieces
        for number, piece in enumerate(dump(connection)):
            if number == 3:  # the snapshot stands: have something written before the rest is read
                loop.call_soon_threadsafe(waiting.set)
                asyncio.run_coroutine_threadsafe(written.wait(), loop).result(30)
            yield piece

    monkeypatch.setattr(making.rows, "dump", slow_dump)
    running = asyncio.create_task(
        asyncio.to_thread(make, cloud.config.data, cloud.config.database_url, target, None, time.time, quiet)
    )
    await asyncio.wait_for(waiting.wait(), 30)
    made = [(await arm.group(f"during-{number}")).status_code for number in range(5)]
    written.set()
    await running
    assert made == [201] * 5
    monkeypatch.undo()
    restore(target, tmp_path / "restored", "", None, time.time, quiet)
    names = {
        json.loads(line)[0]
        for line in everything(f"sqlite:///{tmp_path}/restored/landbridge.db")["resources"]
    }
    assert {f"before-{n}" for n in range(20)} <= {name.rpartition("/")[2] for name in names}
    assert not any("during-" in name for name in names)


async def test_keys_of_another_cloud_are_not_kept_as_these(own, tmp_path):
    async with ControlPlane(tmp_path / "other") as other:
        shutil.copytree(other.config.data / "ca", tmp_path / "mixed" / "ca")
    shutil.copytree(own.config.data / "keys", tmp_path / "mixed" / "keys")
    with pytest.raises(ForeignCloud):
        make(tmp_path / "mixed", own.config.database_url, tmp_path / "bad", None, clock, quiet)
    assert not (tmp_path / "bad").exists()


async def test_what_a_killed_restore_left_is_removed_by_the_next(whole, tmp_path):
    left = tmp_path / ".restored.restoring-0123"
    left.mkdir()
    (left / "lock").touch()
    (left / "landbridge.db").write_text("half")
    restore(whole, tmp_path / "restored", "", None, clock, quiet)
    assert not left.exists()


async def test_a_backup_of_an_older_schema_is_brought_forward(own, tmp_path):
    """What an older control plane serves is kept as it is, and restored by this one."""
    old, source = tmp_path / "older", own.config.data
    for name in ("ca", "keys", "tls"):
        shutil.copytree(source / name, old / name)
    url = f"sqlite:///{old / 'landbridge.db'}"
    with snapshot(own.config.database_url) as now, filling(url) as before:
        revisions.upgrade(before, "0003")
        tables = rows.reflected(before)
        rows.empty(before, tables)
        for name in ("settings", "tenants"):  # these have not changed since
            for piece in rows.dump(now):
                if piece.table == name:
                    rows.load(before, tables[name], piece.lines)
    make(old, url, tmp_path / "old.backup", None, clock, quiet)
    about = restore(tmp_path / "old.backup", tmp_path / "new", "", None, clock, quiet)
    assert about.schema == "0003"
    async with ControlPlane(tmp_path / "new") as again:
        assert again.plane.tenant.tenant_id == own.admin["tenantId"]
        with again.plane.db.reading() as connection:
            assert revisions.is_newest(revisions.current(connection) or "")


def test_a_database_that_cannot_be_reached_is_said(tmp_path):
    (tmp_path / "cloud").mkdir()
    with pytest.raises(StoreUnavailable):
        make(tmp_path / "cloud", "postgresql://nobody@127.0.0.1:1/none", tmp_path / "x", None, clock, quiet)
    assert not (tmp_path / "x").exists()


async def test_packages_of_extensions_are_taken_along_and_still_count(cloud, empty_store, tmp_path):
    seal = extension_packages.sealer((cloud.config.data / "keys/relay.key").read_bytes())
    content = os.urandom(9 * 1024 * 1024 + 17)
    names = ("Contoso.Tools", "Motd", "1.0.0")
    made = extension_packages.publish(
        cloud.plane.db, seal, io.BytesIO(content), names, cloud.clock, lambda *_: None
    )
    target, data = tmp_path / "one.backup", tmp_path / "restored"
    make(cloud.config.data, cloud.config.database_url, target, None, clock, quiet)
    restore(target, data, empty_store, None, clock, quiet)
    async with ControlPlane(data, store=empty_store) as restored:
        db = restored.plane.db
        assert db.read(extensions.everyone) == [made]
        assert extension_packages.is_sealed(made, restored.plane.extensions.seal)
        body = restored.plane.extensions._bytes(made, 0, made.size)
        assert b"".join([part async for part in body]) == content
        signed = restored.plane.extensions.signer.sign(extension_packages.claims(made))
        assert signed.count(".") == 2


async def test_rows_with_many_bytes_are_read_a_few_at_a_time(cloud):
    db = cloud.plane.db
    with db.writing() as connection:
        extensions.begin(connection, "one", "P", "T", "1.0.0", 0.0)
    for number in range(96):
        with db.writing() as connection:
            extensions.add(connection, "one", number * extensions.CHUNK, b"x" * extensions.CHUNK, 0.0)
    tracemalloc.start()
    try:
        with snapshot(cloud.config.database_url) as connection:
            pieces = [piece.rows for piece in rows.dump(connection) if piece.table == "extension_chunks"]
            _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sum(pieces) == 96
    assert most < 20 * 1024 * 1024
