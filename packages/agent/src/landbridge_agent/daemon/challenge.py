"""Challenges of the identity service: whoever can read a file of ours may have the machine's tokens.

A challenge is a new file ``tokens/<32 hex digits>.key`` with a secret of 64 characters and no
end of line, mode 0440, of the daemon's user and, where there is one, of the group ``himds``.
It is good once, for ``LIFETIME`` seconds; then the file is removed. What is kept in memory is a
digest of the secret. The contract: agent, sections 2.2 and 2.3.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
from pathlib import Path
from typing import NamedTuple

from landbridge_agent.platform import Group, here

LIFETIME = 60.0
PER_USER = 16
MOST = 256
"""Challenges that may be open at a time: of one user, whose oldest gives way, and of all."""


class Challenge(NamedTuple):
    """An open challenge: its file, whose process asked for it, and until when (loop time) it is good."""

    path: Path
    user: int | None
    ends: float


class Challenges:
    """The challenges of one daemon. ``group`` is the id of the group that may read the files."""

    def __init__(self, folder: Path, group: Group) -> None:
        self._folder = folder
        self._group = group
        self._open: dict[bytes, Challenge] = {}  # by the secret's digest, oldest first
        self._timer: asyncio.TimerHandle | None = None

    def clear(self) -> None:
        """Remove every file, those of a daemon before us too."""
        self._open.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        with contextlib.suppress(OSError):
            for path in self._folder.glob("*.key"):
                with contextlib.suppress(OSError):
                    path.unlink()

    def issue(self, user: int | None) -> Path:
        """Make a challenge for a user's process (None: not known) and return its file.

        Raises:
            OSError: the file cannot be written; nothing is left of it.
        """
        self._make_room(user)
        secret = secrets.token_hex(32)
        path = self._folder / f"{secrets.token_hex(16)}.key"
        here().challenge(path, secret.encode(), self._group)
        now = asyncio.get_running_loop().time()
        self._open[_digest(secret)] = Challenge(path, user, now + LIFETIME)
        self._schedule()
        return path

    def _make_room(self, user: int | None) -> None:
        ours = [key for key, one in self._open.items() if one.user == user]
        if len(ours) >= PER_USER:
            self._close(ours[0])
        elif len(self._open) >= MOST:
            self._close(next(iter(self._open)))

    def good(self, unverified_secret: str) -> bytes | None:
        """Return the handle of the challenge that a secret answers, or None.

        It stays open until ``used``: a client may repeat what failed for a passing reason. The
        secret is looked up by its digest, so no time depends on how much of it is right.
        """
        if not unverified_secret.isascii() or len(unverified_secret) > 256:
            return None
        key = _digest(unverified_secret)
        found = self._open.get(key)
        if found is None or found.ends <= asyncio.get_running_loop().time():
            return None
        return key

    def used(self, handle: bytes) -> bool:
        """Use a challenge up; say whether it still was open: two at once cannot both have it."""
        return self._close(handle)

    def _close(self, key: bytes) -> bool:
        found = self._open.pop(key, None)
        if found is None:
            return False
        with contextlib.suppress(OSError):
            found.path.unlink()
        return True

    def _schedule(self) -> None:
        """Have the oldest end in time; without challenges nothing runs."""
        if self._timer is None and self._open:
            oldest = next(iter(self._open.values()))
            self._timer = asyncio.get_running_loop().call_at(oldest.ends, self._expire)

    def _expire(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        for key in [key for key, one in self._open.items() if one.ends <= now]:
            self._close(key)
        self._schedule()


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
