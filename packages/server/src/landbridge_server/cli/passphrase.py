"""The passphrase of a backup: read from a file that only its owner can read, never from arguments."""

from __future__ import annotations

import argparse
from pathlib import Path

from landbridge_server.cli.arguments import CommandError

SHORTEST = 12
LONGEST = 4096


def add_passphrase(parser: argparse.ArgumentParser, text: str) -> None:
    """Add ``--passphrase-file FILE``."""
    parser.add_argument("--passphrase-file", type=Path, metavar="FILE", help=text)


def passphrase_of(options: argparse.Namespace) -> bytes | None:
    """Return the passphrase without the line's end; None when no file was given.

    Raises:
        CommandError: the file cannot be read, others can read it, or what it holds is too short.
    """
    path: Path | None = options.passphrase_file
    if path is None:
        return None
    try:
        if path.stat().st_mode & 0o077:
            raise CommandError(f"{path} holds a passphrase, and others can read it: chmod 600 it.")
        with path.open("rb") as file:
            content = file.read(LONGEST + 1).rstrip(b"\r\n")
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}") from error
    if not SHORTEST <= len(content) <= LONGEST:
        raise CommandError(f"The passphrase in {path} must have at least {SHORTEST} characters.")
    return content
