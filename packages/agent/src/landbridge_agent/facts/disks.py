"""The disks, from ``/sys/block``, and how full they are, from the file systems on them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

BLOCK = Path("/sys/block")
MOUNTS = Path("/proc/self/mounts")
SECTOR = 512
NOT_DISKS = ("loop", "ram", "zram", "dm-", "md", "sr", "fd", "nbd")
"""Devices that are no hardware, or whose content lies on others that are listed."""

GIB = 2**30
MOST = 64


class Disk(NamedTuple):
    """A disk: sizes in bytes; ``used`` is rounded up to GiB, so that it seldom changes."""

    name: str
    path: str
    kind: str
    size: int
    used: int


def read(block: Path = BLOCK, mounts: Path = MOUNTS, used: Callable[[str], int] | None = None) -> list[Disk]:
    """Return the disks by name, at most ``MOST``; none where the kernel shows none."""
    try:
        names = sorted(one.name for one in block.iterdir() if not one.name.startswith(NOT_DISKS))
    except OSError:
        return []
    filled = _used_by_device(_lines(mounts), used or _used)
    found = []
    for name in names[:MOST]:
        size = _number(block / name / "size") * SECTOR
        if size:
            parts = {name, *_partitions(block / name)}
            total = sum(filled.get(f"/dev/{part}", 0) for part in parts)
            found.append(Disk(name, f"/dev/{name}", _kind(block / name), size, -(-total // GIB) * GIB))
    return found


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []


def _number(path: Path) -> int:
    try:
        text = path.read_text().strip()
    except OSError:
        return 0
    return int(text) if text.isascii() and text.isdigit() else 0


def _kind(folder: Path) -> str:
    if folder.name.startswith("nvme"):
        return "NVMe"
    return "HDD" if _number(folder / "queue/rotational") else "SSD"


def _partitions(folder: Path) -> list[str]:
    try:
        return [one.name for one in folder.iterdir() if (one / "partition").exists()]
    except OSError:
        return []


def _used_by_device(mounts: Iterable[str], used: Callable[[str], int]) -> dict[str, int]:
    """Return the bytes used on each device; a device that is mounted twice counts once."""
    found: dict[str, int] = {}
    for line in mounts:
        device, _, rest = line.partition(" ")
        if device.startswith("/dev/") and device not in found:
            place = rest.partition(" ")[0].encode().decode("unicode_escape", "replace")
            found[device] = used(place)
    return found


def _used(place: str) -> int:
    try:
        state = os.statvfs(place)
    except OSError:
        return 0
    return (state.f_blocks - state.f_bfree) * state.f_frsize
