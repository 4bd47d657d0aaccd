"""Processors and memory, from ``/proc/cpuinfo`` and ``/proc/meminfo``."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Processors(NamedTuple):
    """Sockets, cores, threads and the models' names."""

    sockets: int
    cores: int
    logical: int
    names: tuple[str, ...]


def parse(text: str) -> Processors:
    """Read ``/proc/cpuinfo``; architectures that say less count each processor as a core."""
    logical = 0
    cores: set[tuple[str, str]] = set()
    names: list[str] = []
    for block in text.split("\n\n"):
        fields = {}
        for line in block.splitlines():
            name, colon, value = line.partition(":")
            if colon:
                fields[name.strip()] = value.strip()[:200]
        if "processor" not in fields:
            continue
        cores.add((fields.get("physical id", "0"), fields.get("core id", f"#{logical}")))
        logical += 1
        model = fields.get("model name", "")
        if model and model not in names:
            names.append(model)
    sockets = len({socket for socket, _ in cores})
    return Processors(sockets, len(cores), logical, tuple(names))


def parse_memory(text: str) -> int:
    """Return MemTotal of ``/proc/meminfo`` in bytes; 0 when it is not there."""
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == "MemTotal:" and words[1].isascii() and words[1].isdigit():
            return int(words[1]) * 1024
    return 0


def read(root: Path = Path("/proc")) -> Processors:
    """Read this machine's processors."""
    try:
        return parse((root / "cpuinfo").read_text(errors="replace"))
    except OSError:
        return Processors(0, 0, 0, ())


def read_memory(root: Path = Path("/proc")) -> int:
    """Read this machine's memory, in bytes."""
    try:
        return parse_memory((root / "meminfo").read_text(errors="replace"))
    except OSError:
        return 0
