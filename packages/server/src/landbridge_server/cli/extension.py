"""Extensions of machines: publish packages of your own, list what machines can install, remove packages.

A package is a zip with HandlerManifest.json and the programs that it names. It is stored in the database
of the control plane, running or not, signed when a machine asks for it, and never changed: what is
new gets a higher version.
"""

from __future__ import annotations

import argparse
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from landbridge_server.ca import ownership
from landbridge_server.ca.keyring import open_secret
from landbridge_server.cli.arguments import (
    CommandError,
    add_action,
    add_data,
    add_output,
    add_store,
    opened_store,
    show,
    show_one,
)
from landbridge_server.cli.operator_notes import noted
from landbridge_server.cli.progress import Progress, tidy_when_terminated
from landbridge_server.fleet import extension_packages, extension_zip
from landbridge_server.fleet.extension_packages import Refused
from landbridge_server.identity.tenancy import home_tenant
from landbridge_server.providers.hybrid_compute.catalogue import SHIPPED, shipped_by_agent
from landbridge_server.store import extensions
from landbridge_server.store.database import Connection, Database
from landbridge_server.store.extensions import Package

EXAMPLES = """examples:
  landbridge extension publish motd.zip --publisher Contoso.Tools --type Motd --version 1.0.0
  landbridge extension list
  landbridge extension list -o json
  landbridge extension remove --publisher Contoso.Tools --type Motd --version 1.0.0
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``publish``, ``list`` and ``remove``."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    publish = add_action(actions, "publish", "let machines install a package", EXAMPLES)
    publish.add_argument("file", type=Path, metavar="FILE", help="the zip, HandlerManifest.json at its top")
    listing = add_action(actions, "list", "list what machines can install", EXAMPLES)
    remove = add_action(actions, "remove", "let no machine install a package any more", EXAMPLES)
    for action in (publish, remove):
        action.add_argument("--publisher", required=True, metavar="P", help="such as Contoso.Tools")
        action.add_argument("--type", required=True, metavar="T", help="the name of the extension")
        action.add_argument("--version", required=True, metavar="V", help="three or four numbers: 1.0.0")
    for action in (publish, listing, remove):
        add_data(action)
        add_store(action)
        add_output(action)


def run(options: argparse.Namespace) -> int:
    """Do what the action says."""
    if options.action == "publish":
        show_one(_publish(options), options.output)
        return 0
    with opened_store(options) as db:
        if options.action == "remove":
            show_one(_remove(db, options), options.output)
        else:
            show(_list(db), options.output)
    return 0


def _publish(options: argparse.Namespace) -> dict[str, Any]:
    names = (options.publisher, options.type, options.version)
    if shipped_by_agent(options.publisher, options.type):
        raise CommandError(f"{options.publisher}/{options.type} is built into the agent: take another name.")
    tidy_when_terminated()
    with _opened(options.file) as file:
        try:
            extension_zip.check(file)
        except extension_zip.BadPackage as error:
            raise CommandError(f"{options.file} cannot be published. {error}") from error
        total = file.seek(0, os.SEEK_END)
        file.seek(0)
        progress = Progress(time.monotonic, "bytes")
        with opened_store(options) as db:
            seal = extension_packages.sealer(_relay_key(db, options.data))

            def note(connection: Connection, package: Package) -> None:
                _note(connection, options, "publish", package)

            def said(done: int) -> None:
                progress("published", done, total)

            try:
                made = extension_packages.publish(db, seal, file, names, _now, note, said)
            except Refused as error:
                raise CommandError(str(error)) from error
    return _row(made)


def _now() -> float:
    return time.time()  # noqa: TID251 - this command is a main()


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        # A pipe would be waited for; it could not be read twice either.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise CommandError(f"{path} is no file that can be read twice.")
            yield file
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise CommandError(f"{path} cannot be read: {reason}.") from error


def _relay_key(db: Database, data: Path) -> bytes:
    """Return the key of the cloud in whose store something is published.

    Raises:
        CommandError: it is not in ``data``.
        ConfigError: the keys there are another cloud's.
    """
    path = data / "keys" / "relay.key"
    try:
        key = open_secret(path) if path.exists() else b""
    except (OSError, ValueError) as error:
        raise CommandError(f"{path} cannot be read: {error}") from error
    with db.reading() as connection:
        ownership.check(connection, data)
        if not key or not ownership.same_key(connection, key):
            raise CommandError(
                f"{path} is not there, or not the one of this cloud: only who has its keys may publish. "
                "Is --data right?"
            )
    return key


def _remove(db: Database, options: argparse.Namespace) -> dict[str, Any]:
    names = (options.publisher, options.type, options.version)

    def note(connection: Connection, package: Package) -> None:
        _note(connection, options, "remove", package)

    try:
        return _row(extension_packages.remove(db, names, _now, note))
    except Refused as error:
        raise CommandError(str(error)) from error


def _note(connection: Connection, options: argparse.Namespace, what: str, package: Package) -> None:
    name = f"{package.publisher}/{package.type}/{package.version}"
    more = {"sha256": package.digest}
    noted(connection, options, f"extensions/{what}", name, home_tenant(connection), more)


def _list(db: Database) -> list[dict[str, Any]]:
    with db.reading() as connection:
        found = extensions.everyone(connection)
    built_in = [
        {
            "publisher": one.publisher,
            "type": one.extension_type,
            "version": one.version,
            "bytes": "",
            "published": "built into the agent",
            "sha256": "",
        }
        for one in SHIPPED
    ]
    found.sort(key=lambda one: (one.name_key, extension_packages.numbers(one.version)))
    return built_in + [_row(one) for one in found]


def _row(package: Package) -> dict[str, Any]:
    return {
        "publisher": package.publisher,
        "type": package.type,
        "version": package.version,
        "bytes": package.size,
        "published": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(package.touched_at)),
        "sha256": package.digest,
    }
