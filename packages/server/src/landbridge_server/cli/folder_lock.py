"""One control plane for a folder: a second one would rewrite what the first has announced."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from landbridge_server.cli.arguments import CommandError


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other control planes out of a folder; the lock ends with the process, however that ends.

    Raises:
        CommandError: another one serves it.
    """
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CommandError(f"Another 'landbridge up' serves {folder}. Stop that one first.") from error
        yield
