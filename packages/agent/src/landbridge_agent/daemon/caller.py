"""Which process is at the other end of a connection over loopback: its socket, then /proc/PID/fd.

Where the daemon may not look into processes of other users (as ``himds`` it may not), the control group
that made the socket is known all the same, and which processes of that user are in it: often just one.

Only the kernel's word is taken. Looking for a process may take long where there are many, so it
runs in a thread and within bounds; what cannot be found in time is said to be unknown.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import NamedTuple

from landbridge_agent.daemon.socket_owner import Owner
from landbridge_agent.platform import here

CGROUPS = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
"""Where control groups (v2) are mounted: alone, or beside those of v1."""

SECONDS = 1.0
"""How long a search may take."""


class Caller(NamedTuple):
    """A process; None and empty where the kernel did not tell."""

    user: int | None = None
    process: int | None = None
    program: str = ""
    group: str = ""
    """The control group that made the socket, where the process itself was not found out."""

    def __str__(self) -> str:
        """For the audit: who it was."""
        user = "an unknown user" if self.user is None else f"user {self.user}"
        if self.process is None:
            return f"a process of {user}" + (f" in {self.group}" if self.group else "")
        if self.group:
            return f"process {self.process} ('{self.program}'), the only one of {user} in {self.group}"
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
    process = _owner(found.inode, found.user, deadline) if found.inode else None
    if process is None:
        return _in_group(found, deadline)
    user = found.user
    try:
        program = os.readlink(f"/proc/{process}/exe")
    except OSError:
        program = ""
    return Caller(user, process, program)


def _in_group(found: Owner, deadline: float) -> Caller:
    """Return what the socket's control group tells: who is in it, of the socket's user."""
    if not found.cgroup:
        return Caller(found.user)
    known: dict[str, int] = {}  # path -> id; most processes share a few groups
    inside: list[tuple[str, str]] = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        if time.monotonic() > deadline:
            return Caller(found.user)
        try:
            if os.stat(f"/proc/{name}").st_uid != found.user:
                continue
            path = _group_path(name)
            if path not in known:
                known[path] = _group_id(path)
        except OSError:
            continue
        if known[path] == found.cgroup:
            inside.append((name, path))
    if not inside:
        return Caller(found.user)
    name, path = inside[0]
    if len(inside) > 1:
        return Caller(found.user, group=path)
    return Caller(found.user, int(name), _called(name), path)


def _group_path(process: str) -> str:
    """Return the path of a process's control group (v2), without what is no text for a log."""
    with open(f"/proc/{process}/cgroup", encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("0::/"):
                return "".join(one if one.isprintable() else "?" for one in line[3:].rstrip("\n"))[:300]
    return ""


def _group_id(path: str) -> int:
    """Return the id of a control group; 0 where there is none."""
    for mount in CGROUPS if path else ():
        try:
            if os.path.exists(f"{mount}/cgroup.controllers"):
                return os.stat(mount + path).st_ino
        except OSError:
            continue
    return 0


def _called(process: str) -> str:
    """Return the name that a process gives itself (proc_pid_comm(5)); its program is not ours to read."""
    try:
        with open(f"/proc/{process}/comm", encoding="utf-8", errors="replace") as file:
            name = file.read(64).rstrip("\n")
    except OSError:
        return ""
    return "".join(one if one.isprintable() and one != "'" else "?" for one in name)


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
