"""The lock that one ``extd`` holds for as long as it runs; everybody may look whether it is held."""

from __future__ import annotations

import os
import time
from typing import TextIO

from landbridge_agent.paths import Paths

TRIES = 20


def take(paths: Paths) -> TextIO:
    """Return the lock; it ends with the process, and is not inherited by what the process starts.

    Raises:
        BlockingIOError: another one holds it. OSError: its file cannot be made.
    """
    import fcntl  # of Linux, as all of extd

    paths.guest_configuration.mkdir(mode=0o755, parents=True, exist_ok=True)
    handle = os.open(paths.work_lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    os.fchmod(handle, 0o644)
    file = os.fdopen(handle, "w")
    for attempt in range(TRIES + 1):  # azcmagent show holds it for a moment
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError:
            if attempt == TRIES:
                file.close()
                raise
            time.sleep(0.1)
    return file


def is_held(paths: Paths) -> bool:
    """Whether an ``extd`` runs on these files; there is none but on Linux."""
    try:
        import fcntl
    except ImportError:
        return False
    try:
        with paths.work_lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
