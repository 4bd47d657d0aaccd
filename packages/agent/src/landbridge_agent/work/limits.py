"""What a program of the cloud may take of the machine: by cgroup v2 where it is writable, else by rlimits.

A cgroup bounds all of a program's processes together and can end them at once. Its place is a
folder of the agent's at the root of the hierarchy, which a service manager leaves alone; where
there is no such hierarchy, or it has no controllers, the rlimits of each process are the bound.
"""

from __future__ import annotations

import contextlib
import os
import resource
from pathlib import Path
from typing import NamedTuple

FOLDER = "azcmagent"
PERIOD = 100_000
"""The period of CPU quotas, in microseconds."""

CONTROLLERS = ("cpu", "memory", "pids")
LEAST_CPU = 1


class Limits(NamedTuple):
    """Bounds of one program with all its processes; 0 is none.

    ``cpu_percent`` is of one processor. ``file_bytes`` bounds each file that is written, so that
    no single one fills the disk; ``output_bytes`` is what is kept of each stream.
    """

    cpu_percent: int = 0
    memory_bytes: int = 0
    processes: int = 4096
    file_bytes: int = 0
    output_bytes: int = 16 * 1024 * 1024


def hierarchy(mounts: Path = Path("/proc/self/mounts")) -> Path | None:
    """Return where cgroup v2 is mounted, if this process may make groups there."""
    try:
        rows = [line.split() for line in mounts.read_text().splitlines()]
    except OSError:
        return None
    for row in rows:
        if len(row) > 2 and row[2] == "cgroup2" and os.access(row[1], os.W_OK):
            return Path(row[1])
    return None


def make_group(name: str, limits: Limits, root: Path | None) -> Path | None:
    """Make the cgroup of one item of work; None where that does not go: then rlimits have to do."""
    if root is None:
        return None
    above = root / FOLDER
    group = above / name
    try:
        above.mkdir(exist_ok=True)
        for parent in (root, above):
            _enable(parent)
        group.mkdir(exist_ok=True)
    except OSError:
        return None
    quota = f"{max(limits.cpu_percent, LEAST_CPU) * PERIOD // 100} {PERIOD}" if limits.cpu_percent else ""
    wanted = {
        "cpu.max": quota,
        "memory.max": str(limits.memory_bytes or ""),
        "memory.swap.max": "0" if limits.memory_bytes else "",
        "pids.max": str(limits.processes or ""),
    }
    for file, text in wanted.items():
        if text:
            with contextlib.suppress(OSError):  # the controller is not there: the rlimits are
                (group / file).write_text(text)
    return group


def _enable(group: Path) -> None:
    for controller in CONTROLLERS:
        with contextlib.suppress(OSError):
            (group / "cgroup.subtree_control").write_text(f"+{controller}")


def find_group(name: str, root: Path | None) -> Path | None:
    """Return the cgroup of an item of work, if there is one."""
    group = root / FOLDER / name if root is not None else None
    return group if group is not None and group.is_dir() else None


def members(group: Path) -> list[int]:
    """Return the processes in a cgroup and below it."""
    found: list[int] = []
    for file in [group / "cgroup.procs", *group.glob("*/cgroup.procs")]:
        with contextlib.suppress(OSError):
            found += [int(word) for word in file.read_text().split()]
    return found


def join(group: Path) -> None:
    """Put this process into a cgroup; for the child, before it runs anything.

    Raises:
        OSError: the kernel refuses.
    """
    (group / "cgroup.procs").write_text("0")


def remove_group(group: Path) -> None:
    """Remove a cgroup that has no process any more; one that has stays."""
    for folder in [*group.glob("*/"), group]:
        with contextlib.suppress(OSError):
            folder.rmdir()


def sweep(root: Path | None) -> None:
    """Remove the cgroups of items whose last process has ended."""
    above = root / FOLDER if root is not None else None
    if above is not None and above.is_dir():
        for group in above.iterdir():
            if group.is_dir() and not members(group):
                remove_group(group)


def restrict(limits: Limits, *, is_root: bool, whole: bool) -> None:
    """Set the rlimits of this process and whatever it starts; for the child, before it runs anything.

    ``whole``: no cgroup does it for all of them together, so each is bounded by itself.
    """
    wanted = [(resource.RLIMIT_CORE, 0), (resource.RLIMIT_NOFILE, 65536)]
    if limits.file_bytes:
        wanted.append((resource.RLIMIT_FSIZE, limits.file_bytes))
    if whole and limits.memory_bytes:
        wanted.append((resource.RLIMIT_AS, limits.memory_bytes))
    if whole and limits.processes and not is_root:
        # It counts all processes of the account, so it must leave room for those that are there.
        wanted.append((resource.RLIMIT_NPROC, limits.processes))
    for name, most in wanted:
        hard = resource.getrlimit(name)[1]
        bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(name, (bound, bound))
