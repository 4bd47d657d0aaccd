"""Folders of the agent's state, opened so that root is not led elsewhere.

``himdsd`` runs as ``himds`` and owns the state folder; ``azcmagent`` runs as root and writes there,
too. Whoever has taken over the daemon could put a link in the place of a folder, for root to change
the mode of, or to write below. So root opens each folder once, does not follow a link that lies in
a folder of somebody else, and works by the handle that it got.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[int]:
    """Yield a handle of a folder. The folders above ``folder``'s parent are taken as they are.

    Raises:
        OSError: it cannot be opened, or is a link that somebody else may have made for root.
    """
    handle = _open(folder)
    try:
        yield handle
    finally:
        os.close(handle)


def _open(folder: Path) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    if os.geteuid() or not folder.parent.stat().st_uid:
        return os.open(folder, flags)  # a link is our own, or root's
    try:
        return os.open(folder, flags | os.O_NOFOLLOW)
    except OSError as error:
        if folder.is_symlink():
            reason = "it is a link in a folder of another user, which root does not follow"
            raise OSError(errno.ELOOP, reason, str(folder)) from error
        raise
