"""The lock that one ``extd`` holds for as long as it runs; everybody may look whether it is held.

Whoever may read a file may also lock it, and so keep others from it. So the lock that keeps a second
``extd`` away is root's own; the one that everybody may look at only tells.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from landbridge_agent.paths import Paths

TRIES = 20
_OWN = "lock"


def take(paths: Paths) -> contextlib.ExitStack:
    """Return the lock; it ends with the process, and is not inherited by what the process starts.

    Raises:
        BlockingIOError: another one holds it. OSError: its file cannot be made.
    """
    paths.guest_configuration.mkdir(mode=0o755, parents=True, exist_ok=True)
    paths.work.mkdir(mode=0o700, exist_ok=True)
    with contextlib.ExitStack() as held:
        _lock(held, paths.work / _OWN, 0o600, TRIES)  # azcmagent show holds it for a moment
        with contextlib.suppress(BlockingIOError):
            _lock(held, paths.work_lock, 0o644, TRIES // 4)
        return held.pop_all()


def _lock(held: contextlib.ExitStack, path: Path, mode: int, tries: int) -> None:
    import fcntl  # of Linux, as all of extd

    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    held.callback(os.close, handle)
    os.fchmod(handle, mode)
    for attempt in range(tries + 1):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if attempt == tries:
                raise
            time.sleep(0.1)


def is_held(paths: Paths) -> bool:
    """Whether an ``extd`` runs on these files; there is none but on Linux.

    Root is told the truth; others can be told by others that it does not run.
    """
    return any(_is_locked(path) for path in (paths.work / _OWN, paths.work_lock))


def _is_locked(path: Path) -> bool:
    try:
        import fcntl
    except ImportError:
        return False
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
