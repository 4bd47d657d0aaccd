"""Find and end all processes of one item of work, also those that forked away into a session of their own.

They are found by their cgroup where there is one, by ``LANDBRIDGE_WORK_ID`` in the environment
that each inherits, and as descendants of what was found. A program that is root, clears its
environment and leaves its cgroup can hide; nothing that runs as root can be kept from that.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from landbridge_agent.work import limits

WORK_ID = "LANDBRIDGE_WORK_ID"
"""The environment variable that names the item of work which a process belongs to."""

ROUNDS = 100
PAUSE = 0.01


def start_time(pid: int) -> int:
    """Return when a process started, in ticks since the boot: with its id, it names one process for good.

    0: there is no such process, or it has ended and waits to be reaped.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return 0
    fields = text.rpartition(")")[2].split()
    return 0 if fields[0] in ("Z", "X") else int(fields[19])


def boot_id() -> str:
    """Return what changes with each start of the machine."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _parents() -> dict[int, int]:
    found: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            fields = Path(f"/proc/{name}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] not in ("Z", "X"):
            found[int(name)] = int(fields[1])
    return found


def _is_marked(pid: int, mark: bytes) -> bool:
    try:
        return mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False


def find(work_id: str, *, below: int = 0, spare: frozenset[int] = frozenset()) -> set[int]:
    """Return the living processes of an item, and all descendants of the process ``below``.

    ``spare`` are not among them, nor are this process and those that it descends from.
    """
    parents = _parents()
    mark = f"{WORK_ID}={work_id}".encode()
    found = {pid for pid in parents if _is_marked(pid, mark)}
    group = limits.find_group(work_id, limits.hierarchy())
    if group is not None:
        found |= set(limits.members(group))
    safe, pid = set(spare), os.getpid()
    while pid > 1:
        safe.add(pid)
        pid = parents.get(pid, 0)
    roots = (found - safe) | ({below} if below else set())
    changed = True
    while changed:
        more = {child for child, parent in parents.items() if parent in roots} - roots - safe
        roots |= more
        changed = bool(more)
    return (roots - safe - {below}) & parents.keys()


def send(pids: set[int], number: signal.Signals) -> None:
    """Send a signal to processes, by handles: an id that was given to another meanwhile is not hit."""
    for pid in pids:
        began = start_time(pid)
        try:
            handle = os.pidfd_open(pid)
        except OSError:
            continue
        try:
            if began and start_time(pid) == began:
                signal.pidfd_send_signal(handle, number)
        except OSError:
            pass  # it ended, or became another account's: then only root could
        finally:
            os.close(handle)


def kill(work_id: str, *, below: int = 0, spare: frozenset[int] = frozenset()) -> int:
    """Kill all processes of an item, and what they start meanwhile; return how many live on (0 if all went).

    The caller reaps those that are its children.
    """
    group = limits.find_group(work_id, limits.hierarchy())
    left: set[int] = set()
    for _ in range(ROUNDS):
        if group is not None and not (set(limits.members(group)) & spare):
            try:
                (group / "cgroup.kill").write_text("1")
            except OSError:
                pass  # an older kernel: one by one
        left = find(work_id, below=below, spare=spare)
        if not left:
            break
        send(left, signal.SIGSTOP)  # whoever forks faster than one reads is stopped first
        send(left, signal.SIGKILL)
        reap(spare, left)
        time.sleep(PAUSE)
    if group is not None and not left:
        limits.remove_group(group)
    return len(left)


def reap(spare: frozenset[int] = frozenset(), among: set[int] | None = None) -> None:
    """Take leave of ended children of this process that nobody else waits for; ``among``: only of these."""
    own = os.getpid()
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) in spare or (among is not None and int(name) not in among):
            continue
        try:
            fields = Path(f"/proc/{name}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
            if fields[0] == "Z" and int(fields[1]) == own:
                os.waitpid(int(name), os.WNOHANG)
        except (OSError, IndexError):
            continue
