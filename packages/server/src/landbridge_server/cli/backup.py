"""Keep a whole cloud in one new file: database, keys, certificates and settings. It may be running.

The file holds the private keys of the cloud's certificate authority: whoever can read it can be
your cloud. It is readable for its owner only; seal it with --passphrase-file before it leaves the host.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from landbridge_server.backup.archive import About
from landbridge_server.backup.errors import BackupError
from landbridge_server.backup.making import make
from landbridge_server.cli.arguments import CommandError, add_data, add_store, store_url
from landbridge_server.cli.operator_notes import noted
from landbridge_server.cli.passphrase import add_passphrase, passphrase_of
from landbridge_server.cli.progress import Progress, tidy_when_terminated
from landbridge_server.store import revisions
from landbridge_server.store.database import Database, StoreUnavailable

EXAMPLES = """examples:
  landbridge backup landbridge.backup
  landbridge backup --data /var/lib/landbridge --passphrase-file passphrase /mnt/backups/landbridge.backup
  landbridge backup --store-file store.url landbridge.backup
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the file, the store and the passphrase."""
    parser.add_argument("file", type=Path, metavar="FILE", help="the backup; it must not be there yet")
    add_data(parser)
    add_store(parser)
    add_passphrase(
        parser, "seal the backup with the passphrase in that file; whoever loses it has lost the backup"
    )


def run(options: argparse.Namespace) -> int:
    """Make the backup and say what is in it."""
    url, passphrase = store_url(options), passphrase_of(options)
    path = options.data / "landbridge.db"
    if not url and not path.exists():
        raise CommandError(f"There is no control plane in {options.data}. Is --data right?")
    progress = Progress(time.monotonic)
    tidy_when_terminated()
    try:
        about = make(
            options.data,
            url or f"sqlite:///{path}",
            options.file,
            passphrase,
            time.time,  # noqa: TID251 - for a main()
            progress,
        )
    except (BackupError, StoreUnavailable) as error:
        raise CommandError(str(error)) from error
    _note(url or f"sqlite:///{path}", options, about)
    size = options.file.stat().st_size / 1e6
    print(f"{options.file}: the cloud {about.cloud} as of {about.takenAt}, {size:.1f} MB.")
    if passphrase is None:
        print(
            "It holds the cloud's private keys, and nothing seals it: keep it as you would keep a root key."
        )
    return 0


def _note(url: str, options: argparse.Namespace, about: About) -> None:
    """Note in the activity log that the keys were copied. The backup is there, whatever comes of this."""
    if not revisions.is_newest(about.schema):
        return  # an older control plane serves it, whose log this program does not write
    sealed = {"sealed": "yes" if options.passphrase_file else "no"}
    try:
        db = Database(url)
        try:
            with db.writing() as connection:
                noted(connection, options, "backups/create", options.file.name, about.cloud, sealed)
        finally:
            db.close()
    except (StoreUnavailable, CommandError) as error:
        print(f"landbridge: the backup is not in the activity log: {error}", file=sys.stderr)
