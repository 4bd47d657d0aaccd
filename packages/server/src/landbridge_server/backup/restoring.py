"""Makes a cloud from its backup: a new folder, and rows in a new store of either kind.

The file is read twice: once to see that all of it is right, before anything is made, and once to
fill the store. Everything is made beside the folder, or in one transaction, and put in place at the
end: whatever goes wrong before leaves nothing behind.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from landbridge_server.backup import archive, folder
from landbridge_server.backup.archive import About
from landbridge_server.backup.errors import BackupError, Damaged
from landbridge_server.backup.making import Told, sync_folder
from landbridge_server.ca import lost_certificates, ownership
from landbridge_server.store import machines, postgresql, revisions, rows
from landbridge_server.store.database import Connection
from landbridge_server.store.snapshots import filling

Settled = Callable[[Connection, Path, About], None]
"""Hears, within the transaction, of the rows and the files of the restored cloud."""


def restore(
    source: Path,
    data: Path,
    url: str,
    passphrase: bytes | None,
    clock: Callable[[], float],
    told: Told,
    settled: Settled = lambda _connection, _files, _about: None,
) -> About:
    """Restore a backup into the empty folder ``data`` and, if ``url`` is given, that empty database.

    Raises:
        BackupError: the backup cannot be used, or the folder or the database is not empty.
        StoreUnavailable: the database cannot be reached.
    """
    _refuse_if_used(data)
    try:
        with source.open("rb") as file:
            about, manifest = archive.verified(file, passphrase, lambda rows: told("checked", rows, 0))
            if not revisions.is_known(about.schema):
                raise BackupError(
                    f"The backup was made by a newer version of Landbridge ({about.program}, "
                    f"schema {about.schema}). Restore it with that version."
                )
            with _staged(data) as staging:
                store = url or f"sqlite:///{staging / folder.DATABASE}"
                with filling(store) as connection:
                    if not rows.is_empty(connection):
                        raise BackupError(
                            f"The database {postgresql.shown(url)} holds tables already. Give an empty one."
                        )
                    _fill(connection, file, passphrase, about, staging, _Progress(manifest.rows, told))
                    _settle(connection, staging, about, clock())
                    settled(connection, staging, about)
    except OSError as error:
        raise BackupError(f"{error.filename or source}: {error.strerror or error}.") from error
    return about


class _Progress:
    def __init__(self, total: int, told: Told) -> None:
        self.done, self.total, self.told = 0, total, told

    def add(self, count: int) -> None:
        self.done += count
        self.told("restored", self.done, self.total)


def _refuse_if_used(data: Path) -> None:
    if data.is_symlink() and not data.exists():
        raise BackupError(f"{data} is a link that leads nowhere.")
    if data.exists() and (not data.is_dir() or any(_counts(path, data) for path in data.iterdir())):
        raise BackupError(
            f"{data} is not an empty folder. Give one that is empty or not there; nothing was changed."
        )


def _counts(path: Path, data: Path) -> bool:
    """Say whether a file means that a folder is used; a mount has some that mean nothing."""
    passing = path.name == "lost+found" or path.name.startswith(_prefix(data.resolve()))
    return not (passing and data.resolve().is_mount())


def _prefix(target: Path) -> str:
    return f".{target.name}.restoring-"


def _fill(
    connection: Connection,
    file: BinaryIO,
    passphrase: bytes | None,
    about: About,
    staging: Path,
    progress: _Progress,
) -> None:
    """Make the tables as they were, fill them, write the files, and bring the tables forward."""
    revisions.upgrade(connection, about.schema)
    tables = rows.reflected(connection)
    rows.empty(connection, tables)
    for name, content in archive.entries(file, passphrase):
        kind, _, rest = name.partition("/")
        if kind == "files":
            _write_file(staging, rest, content)
        elif kind == "rows":
            table = tables.get(rest.partition("/")[0])
            if table is None:
                raise Damaged(f"'{name}' belongs to no table of schema {about.schema}.")
            try:
                progress.add(rows.load(connection, table, content))
            except rows.BadRows as error:
                raise Damaged(f"The backup cannot be restored: {error}.") from error
    revisions.upgrade(connection)


def _write_file(staging: Path, name: str, content: bytes) -> None:
    if not folder.belongs(name):
        raise Damaged(f"'{name}' does not belong into the folder of a cloud.")
    path = staging / name
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, folder.mode(name))
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _settle(connection: Connection, staging: Path, about: About, now: float) -> None:
    """See that rows and keys belong together, and note what the cloud may have done since."""
    ownership.check(connection, staging)
    machines.forget_holders(connection)
    lost_certificates.remember(connection, staging / "ca", about.taken, now)


@contextmanager
def _staged(data: Path) -> Iterator[Path]:
    """Yield a new folder that takes the place of ``data`` at the end, or goes."""
    target = data.resolve()
    inside = target.is_mount()  # its name cannot be given to another folder
    around = target if inside else target.parent
    around.mkdir(parents=True, exist_ok=True, mode=0o700)
    prefix = _prefix(target)
    _sweep(around, prefix)
    staging = around / f"{prefix}{secrets.token_hex(4)}"
    staging.mkdir(mode=0o700)
    with (staging / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield staging
            _keep_owner(staging, target)
            sync_folder(staging)
            if inside:
                _move_into(staging, target)
            else:
                staging.rename(target)  # over an empty folder; a used one refuses
            sync_folder(around)
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _sweep(around: Path, prefix: str) -> None:
    """Remove what a restore has left that was killed."""
    for path in around.glob(f"{prefix}*"):
        try:
            with (path / "lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path)
        except OSError:
            continue  # it is running


def _keep_owner(staging: Path, target: Path) -> None:
    """Give all to whom the folder belongs that was made beforehand, if we may."""
    if os.geteuid() or not target.exists():
        return
    owner = target.stat()
    for path in (staging, *staging.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _move_into(staging: Path, target: Path) -> None:
    # The database first: without the keys beside it no control plane starts.
    names = sorted((path.name for path in staging.iterdir()), key=lambda name: name != folder.DATABASE)
    for name in names:
        (staging / name).rename(target / name)
