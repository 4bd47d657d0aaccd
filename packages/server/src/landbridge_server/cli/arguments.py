"""What the verbs' command lines have in common."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from landbridge_server.store.database import Database

DEFAULT_DATA = ".landbridge"


class CommandError(Exception):
    """The command cannot go on; the text says why and what to do next."""


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add ``--data DIR``."""
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        default=Path(DEFAULT_DATA),
        help=f"folder of the control plane (default: {DEFAULT_DATA})",
    )


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add ``-o``: a table for people or JSON for programs."""
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="output format")


@contextmanager
def opened_store(data: Path) -> Iterator[Database]:
    """Open the store of a control plane, running or not.

    Raises:
        CommandError: there is none in this folder.
    """
    path = data / "landbridge.db"
    if not path.exists():
        raise CommandError(
            f"There is no control plane in {data}. Start one with: landbridge up --data {data}"
        )
    db = Database(f"sqlite:///{path}")
    try:
        db.migrate()
        yield db
    finally:
        db.close()


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
    if not isinstance(content, dict):
        raise CommandError(f"{path} does not hold a JSON object.")
    return content


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
