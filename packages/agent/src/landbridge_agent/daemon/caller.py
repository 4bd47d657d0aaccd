"""Which process is at the other end of a connection over loopback: its socket, then /proc/PID/fd.

Only the kernel's word is taken. Looking for a process may take long where there are many, so it
runs in a thread and within bounds; what cannot be found in time is said to be unknown.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import NamedTuple

from landbridge_agent.platform import here

SECONDS = 1.0
"""How long a search may take."""


class Caller(NamedTuple):
    """A process; None and empty where the kernel did not tell."""

    user: int | None = None
    process: int | None = None
    program: str = ""

    def __str__(self) -> str:
        """For the audit: who it was."""
        user = "an unknown user" if self.user is None else f"user {self.user}"
        if self.process is None:
            return f"a process of {user}"
        return f"process {self.process} ({self.program or 'program unknown'}) of {user}"


UNKNOWN = Caller()


class Callers:
    """Looks callers up, a few at a time."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(2)

    async def user(self, peer: tuple[str, int], local: tuple[str, int]) -> int | None:
        """Return the user whose socket is ``peer``, connected to ``local``."""
        async with self._turn:
            found = await asyncio.to_thread(here().socket_owner, peer, local, time.monotonic() + SECONDS)
        return found[0] if found else None

    async def whole(self, peer: tuple[str, int], local: tuple[str, int]) -> Caller:
        """Return everything about the process whose socket is ``peer``."""
        async with self._turn:
            return await asyncio.to_thread(find, peer, local)


def find(peer: tuple[str, int], local: tuple[str, int]) -> Caller:
    """Look a caller up. Blocking: not for the event loop."""
    deadline = time.monotonic() + SECONDS
    found = here().socket_owner(peer, local, deadline)
    if found is None:
        return UNKNOWN
    user, inode = found
    process = _owner(inode, user, deadline) if inode else None
    if process is None:
        return Caller(user)
    try:
        program = os.readlink(f"/proc/{process}/exe")
    except OSError:
        program = ""
    return Caller(user, process, program)


def _owner(inode: int, user: int, deadline: float) -> int | None:
    """Return a process that has the socket open; those of its user are looked at first."""
    wanted = f"socket:[{inode}]"
    others = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.stat(f"/proc/{name}").st_uid != user:
                others.append(name)
            elif _has_open(name, wanted):
                return int(name)
        except OSError:
            continue  # it has ended, or is not ours to look at
        if time.monotonic() > deadline:
            return None
    for name in others:
        if time.monotonic() > deadline:
            return None
        if _has_open(name, wanted):
            return int(name)
    return None


def _has_open(process: str, wanted: str) -> bool:
    try:
        with os.scandir(f"/proc/{process}/fd") as entries:
            return any(os.readlink(entry.path) == wanted for entry in entries)
    except OSError:
        return False
