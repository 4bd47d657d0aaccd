"""Make a cloud from its backup: a new folder and, with --store, the tables of an empty database.

A backup of SQLite goes into PostgreSQL and the other way round. What came after the backup is not
there. Never let the cloud that was backed up and the restored one run at the same time.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

from landbridge_server.backup.archive import About
from landbridge_server.backup.errors import BackupError
from landbridge_server.backup.restoring import restore
from landbridge_server.cli import started
from landbridge_server.cli.arguments import CommandError, add_store, store_url
from landbridge_server.cli.operator_notes import noted
from landbridge_server.cli.passphrase import add_passphrase, passphrase_of
from landbridge_server.cli.progress import Progress, tidy_when_terminated
from landbridge_server.store.database import Connection, StoreUnavailable

EXAMPLES = """examples:
  landbridge restore landbridge.backup --data /var/lib/landbridge
  landbridge restore landbridge.backup --data /var/lib/landbridge --passphrase-file passphrase
  landbridge restore landbridge.backup --data /var/lib/landbridge --store-file store.url
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the file, where it goes, and the passphrase."""
    parser.add_argument("file", type=Path, metavar="FILE", help="the backup")
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of the new control plane: empty, or not there yet",
    )
    add_store(parser)
    add_passphrase(parser, "with what the backup was sealed")


def run(options: argparse.Namespace) -> int:
    """Restore, and say what it was and how it is started."""
    url, passphrase = store_url(options), passphrase_of(options)
    progress = Progress(time.monotonic)
    # Everything that is made is for the owner only; a polite end tidies up as an error does.
    os.umask(0o077)
    tidy_when_terminated()
    try:
        about = restore(
            options.file,
            options.data,
            url,
            passphrase,
            time.time,  # noqa: TID251 - for a main()
            progress,
            _note,
        )
    except (BackupError, StoreUnavailable) as error:
        raise CommandError(str(error)) from error
    print(f"{options.data}: the cloud {about.cloud} as of {about.takenAt}.")
    print(f"Start it as before: {started.command(options.data)}")
    return 0


def _note(connection: Connection, files: Path, about: About) -> None:
    where = argparse.Namespace(data=files)
    noted(connection, where, "backups/restore", about.takenAt, about.cloud)
