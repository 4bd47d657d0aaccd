"""Which process is at the other end of a connection over loopback: /proc/net/tcp, then /proc/PID/fd.

Only the kernel's word is taken. Reading it may take long where there are many sockets, so it
runs in a thread and within bounds; what cannot be found in time is said to be unknown.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

SECONDS = 1.0
"""How long a search may take."""

MAX_LINES = 500_000


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
            found = await asyncio.to_thread(_socket, peer, local, time.monotonic() + SECONDS)
        return found[0] if found else None

    async def whole(self, peer: tuple[str, int], local: tuple[str, int]) -> Caller:
        """Return everything about the process whose socket is ``peer``."""
        async with self._turn:
            return await asyncio.to_thread(find, peer, local)


def find(peer: tuple[str, int], local: tuple[str, int]) -> Caller:
    """Look a caller up. Blocking: not for the event loop."""
    deadline = time.monotonic() + SECONDS
    found = _socket(peer, local, deadline)
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


def _socket(peer: tuple[str, int], local: tuple[str, int], deadline: float) -> tuple[int, int] | None:
    """Return user and inode of the caller's socket: its local end is our ``peer``."""
    for table in ("tcp6",) if ":" in peer[0] else ("tcp", "tcp6"):
        mapped = table == "tcp6" and ":" not in peer[0]
        wanted = (_written(*peer, mapped), _written(*local, mapped))
        for row in _rows(table, deadline):
            if (row[1], row[2]) == wanted:
                return int(row[7]), int(row[9])
    return None


def _rows(table: str, deadline: float) -> Iterator[list[str]]:
    try:
        with open(f"/proc/net/{table}", encoding="ascii", errors="replace") as file:
            next(file, None)
            for number, line in enumerate(file):
                if number >= MAX_LINES or (number % 1000 == 999 and time.monotonic() > deadline):
                    return
                row = line.split()
                if len(row) > 9:
                    yield row
    except OSError:
        return


def _written(host: str, port: int, mapped: bool) -> str:
    """Return an address as the kernel writes it: words of 32 bits in the machine's own order."""
    if mapped:
        raw = b"\0" * 10 + b"\xff\xff" + socket.inet_pton(socket.AF_INET, host)
    else:
        raw = socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)
    words = (raw[at : at + 4] for at in range(0, len(raw), 4))
    return "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words) + f":{port:04X}"


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
