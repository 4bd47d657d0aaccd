"""Files of extensions: each appears whole or not at all, and only its owner reads it.

The folders belong to root (or, below ``LANDBRIDGE_AGENT_ROOT``, to the agent's own user); nobody
else can put links there. What handlers write themselves is read with a bound.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MAX_FILE = 1024 * 1024
"""The largest file of a handler that is read, in bytes."""

TEMPORARY = ".new-"
"""How the names of files and folders begin that are not whole yet."""


def write(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace a file in one step; it is on the disk when this returns.

    Raises:
        OSError: it cannot be written; what was there is still there.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.parent / f"{TEMPORARY}{os.getpid()}-{path.name[-100:]}"
    temporary.unlink(missing_ok=True)
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_json(path: Path, value: object) -> None:
    """Replace a file of JSON in one step."""
    write(path, json.dumps(value, indent=1).encode())


def read_json(path: Path) -> Any:
    """Return what a file of JSON holds, or None: it is missing, damaged or too large."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE + 1)
    except OSError:
        return None
    if len(content) > MAX_FILE:
        return None
    try:
        # Handlers on Windows' libraries write a mark of byte order.
        return json.loads(content.decode("utf-8-sig", "replace"))
    except (ValueError, RecursionError):
        return None


def read_object(path: Path) -> Mapping[str, Any]:
    """Return the JSON object in a file; an empty one where there is none."""
    value = read_json(path)
    return value if isinstance(value, dict) else {}


def sync_folder(folder: Path) -> None:
    """Have names that were made or removed in a folder survive a power failure."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_folder(folder: Path) -> None:
    """Remove a folder, as if at once: a kill in the middle leaves one that nobody takes for whole.

    Raises:
        OSError: it cannot be removed.
    """
    if not folder.exists():
        return
    doomed = folder.parent / f"{TEMPORARY}{os.getpid()}-gone-{folder.name[-100:]}"
    shutil.rmtree(doomed, ignore_errors=True)
    folder.rename(doomed)
    sync_folder(folder.parent)
    shutil.rmtree(doomed)


def sweep(folder: Path) -> None:
    """Remove what killed processes have left half made. Nothing else may be at work in the folder."""
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if path.name.startswith(TEMPORARY):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
