"""Makes a backup of a cloud that is running, or not, without stopping it or keeping writers waiting.

The rows are of one moment (``store.snapshots``). The files are read before and after that moment
until they are the same: keys and rows belong together even while an authority is being rotated.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import msgspec

from landbridge_server import __version__
from landbridge_server.backup import archive, folder
from landbridge_server.backup.archive import About
from landbridge_server.backup.errors import BackupError
from landbridge_server.ca import ownership
from landbridge_server.store import postgresql, revisions, rows, settings, tenants
from landbridge_server.store.database import Connection
from landbridge_server.store.snapshots import snapshot

Told = Callable[[str, int, int], None]
"""Hears what is done with rows, with how many, and of how many; 0 while that is not known."""

ATTEMPTS = 5


def make(
    data: Path, url: str, target: Path, passphrase: bytes | None, clock: Callable[[], float], told: Told
) -> About:
    """Write the backup of the cloud of ``data`` and the store ``url`` to a new file of mode 0600.

    Either the whole file is there at the end, synced to the disk, or none.

    Raises:
        BackupError: the file is there already or cannot be written, or the folder cannot be read.
        ConfigError: the folder's keys are not those of the store's cloud.
        StoreUnavailable: the store cannot be read.
    """
    if target.exists():
        raise BackupError(f"{target} is there already. Give the name of a new file.")
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            about = _write(data, url, file, passphrase, clock, told)
            file.flush()
            os.fsync(file.fileno())
        _name(temporary, target)
        sync_folder(target.parent)
    except OSError as error:
        raise BackupError(f"{target} cannot be written: {error.strerror or error}.") from error
    finally:
        temporary.unlink(missing_ok=True)
    return about


def _name(temporary: Path, target: Path) -> None:
    try:
        os.link(temporary, target)  # not over a file that has come meanwhile
    except FileExistsError:
        raise
    except OSError:
        temporary.rename(target)  # a file system without links


def sync_folder(path: Path) -> None:
    """Have the names in a folder survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(
    data: Path, url: str, file: BinaryIO, passphrase: bytes | None, clock: Callable[[], float], told: Told
) -> About:
    for _ in range(ATTEMPTS):
        files, taken = folder.read(data), clock()
        with snapshot(url) as connection:
            about = _about(connection, data, url, taken)
            if folder.read(data) == files:
                with archive.writing(file, passphrase) as writer:
                    _add_all(writer, connection, about, files, told)
                return about
    raise BackupError(f"The files below {data} change all the time. Try again later.")


def _about(connection: Connection, data: Path, url: str, taken: float) -> About:
    revision = revisions.current(connection)
    if revision is None or not revisions.is_known(revision):
        raise BackupError(
            "The database is of another version of Landbridge than this program. Use the 'landbridge' "
            "that serves it, or a newer one."
            if revision
            else "There is no control plane in this database. Is --data right?"
        )
    ownership.check(connection, data)
    home = tenants.everyone(connection)
    if not home:
        raise BackupError("The cloud has not been started yet: there is nothing to keep.")
    return About(
        format=archive.FORMAT,
        program=__version__,
        schema=revision,
        cloud=home[0].tenant_id,
        root=settings.get(connection, ownership.ROOT) or "",
        taken=taken,
        takenAt=datetime.fromtimestamp(taken, UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        store="postgresql" if postgresql.is_postgresql(url) else "sqlite",
    )


def _add_all(
    writer: archive.Writer, connection: Connection, about: About, files: dict[str, bytes], told: Told
) -> None:
    writer.add(archive.ABOUT, msgspec.json.encode(about), about.taken)
    for name, content in files.items():
        writer.add(folder.PREFIX + name, content, about.taken)
    done, number, table = 0, 0, ""
    for piece in rows.dump(connection):
        number = number + 1 if piece.table == table else 1
        table = piece.table
        writer.add(f"rows/{table}/{number:06}.jsonl", piece.lines, about.taken)
        done += piece.rows
        told("kept", done, 0)
    writer.finish(done, about.taken)
