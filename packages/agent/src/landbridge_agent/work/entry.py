"""The files of one entry of the journal: names, and writes that are whole or not at all.

An entry is a folder (0700) named by the item's id. Each file marks one transition and is never
changed back, so a kill at any point leaves a state that can be told:

    item.json      the item was accepted; nothing was done yet
    started.json   a worker has begun: the item is never begun again, by nobody
    observed.json  what the worker sees; replaced again and again
    cancel         the item is to end before its time; the text says why
    result.json    how it ended; the worker's last word
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

ITEM, STARTED, OBSERVED = "item.json", "started.json", "observed.json"
CANCEL, RESULT = "cancel", "result.json"

MAX_FILE = 8 * 1024 * 1024
"""The largest file that is read back, in bytes: an item holds a script and its parameters."""


def write(path: Path, content: bytes) -> None:
    """Write a file whole (0600, fsync, rename, fsync of the folder).

    Raises:
        OSError: it cannot be written; then what was there stays.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    _fill(temporary, content)
    try:
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)


def write_once(path: Path, content: bytes) -> bool:
    """Write a file whole unless it is there; say whether it was written. Two at once: one wins.

    Raises:
        OSError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    _fill(temporary, content)
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    sync(path.parent)
    return True


def _fill(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    try:
        with os.fdopen(
            os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb"
        ) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        path.unlink(missing_ok=True)
        raise


def sync(folder: Path) -> None:
    """Have the names in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read(path: Path) -> bytes | None:
    """Return a file's content; None where there is none, or one that is not ours to read."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            content = file.read(MAX_FILE + 1)
    except OSError:
        return None
    return content if len(content) <= MAX_FILE else None


def read_object(path: Path) -> dict[str, Any] | None:
    """Return a file's JSON object; None where there is none, or what cannot be read as one."""
    content = read(path)
    if content is None:
        return None
    with contextlib.suppress(ValueError, RecursionError):
        value = json.loads(content)
        if isinstance(value, dict):
            return value
    return None


def canceled(folder: Path) -> str | None:
    """Return why an entry is to end before its time; None while nobody wants that."""
    content = read(folder / CANCEL)
    return None if content is None else content.decode("utf-8", "replace")
