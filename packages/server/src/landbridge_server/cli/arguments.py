"""What the verbs' command lines have in common."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from landbridge_server.store.database import Database, StoreUnavailable

DEFAULT_DATA = ".landbridge"


class CommandError(Exception):
    """The command cannot go on; the text says why and what to do next."""


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add ``--data DIR``."""
    parser.add_argument(
        "--data",
        type=_folder,
        metavar="DIR",
        default=Path(DEFAULT_DATA),
        help=f"folder of the control plane (default: {DEFAULT_DATA})",
    )


def add_store(parser: argparse.ArgumentParser) -> None:
    """Add ``--store URL`` and ``--store-file FILE``."""
    given = parser.add_mutually_exclusive_group()
    given.add_argument(
        "--store",
        default="",
        metavar="URL",
        help="postgresql://USER@HOST/DATABASE instead of the database in DIR (or LANDBRIDGE_STORE); "
        "everybody on this host can read it, so keep a password in FILE or ~/.pgpass",
    )
    given.add_argument("--store-file", type=Path, metavar="FILE", help="read that URL from FILE")


def store_url(options: argparse.Namespace) -> str:
    """Return the URL that the command line or the environment gives; empty: the embedded store.

    Raises:
        CommandError: the file cannot be read, or others can read it.
    """
    if options.store_file is None:
        return str(options.store or os.environ.get("LANDBRIDGE_STORE", ""))  # noqa: TID251 - for a main()
    try:
        if options.store_file.stat().st_mode & 0o077:
            raise CommandError(
                f"{options.store_file} may hold a password, and others can read it: chmod 600 it."
            )
        return str(options.store_file.read_text().strip())
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{options.store_file} cannot be read: {error}") from error


def _folder(text: str) -> Path:
    """Return the folder; an empty text, as from an unset variable, must not mean this folder."""
    if not text:
        raise argparse.ArgumentTypeError("give the name of a folder")
    return Path(text)


def add_action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str, examples: str
) -> argparse.ArgumentParser:
    """Add one action of a verb; its help shows those of the verb's examples that are its own."""
    own = [line for line in examples.splitlines() if f" {name} " in f"{line} "]
    return actions.add_parser(
        name,
        help=text,
        description=f"{text[0].upper()}{text[1:]}.",
        epilog="\n".join(["examples:", *own]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add ``-o``: a table for people or JSON for programs."""
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="output format")


@contextmanager
def opened_store(options: argparse.Namespace) -> Iterator[Database]:
    """Open the store of a control plane, running or not.

    Raises:
        CommandError: there is none in this folder, or it cannot be reached.
    """
    url, path = store_url(options), options.data / "landbridge.db"
    if not url and not path.exists():
        raise CommandError(
            f"There is no control plane in {options.data}. "
            f"Start one with: landbridge up --data {options.data}"
        )
    try:
        db = Database(url or f"sqlite:///{path}")
        try:
            db.migrate()
            yield db
        finally:
            db.close()
    except StoreUnavailable as error:
        raise CommandError(str(error)) from error


def read_admin(data: Path) -> dict[str, Any]:
    """Return ``DIR/admin.json``: where the cloud is, and the administrator's credentials.

    Raises:
        CommandError: it cannot be read.
    """
    path = data / "admin.json"
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CommandError(f"{path} cannot be read ({error}). Is --data right?") from error
    needed = ("resourceManager", "tenantId", "subscriptionId", "clientId", "clientSecret", "caFile")
    missing = [name for name in needed if not isinstance(content, dict) or not content.get(name)]
    if missing:
        raise CommandError(
            f"{path} has no {', '.join(missing)}. Starting the control plane writes some anew."
        )
    return dict(content)


def show_one(row: dict[str, Any], output: str) -> None:
    """Print what one command made or changed, as a table or as one JSON object."""
    if output == "json":
        print(json.dumps(row, indent=2))
    else:
        show([row], output)


def show(rows: Sequence[dict[str, Any]], output: str) -> None:
    """Print rows as a table with a heading, or as JSON."""
    if output == "json":
        json.dump(list(rows), sys.stdout, indent=2)
        print()
        return
    if not rows:
        return
    names = list(rows[0])
    widths = {name: max(len(name), *(len(str(row.get(name, ""))) for row in rows)) for name in names}
    print("  ".join(name.ljust(widths[name]) for name in names).rstrip())
    print("  ".join("-" * widths[name] for name in names))
    for row in rows:
        print("  ".join(str(row.get(name, "")).ljust(widths[name]) for name in names).rstrip())
