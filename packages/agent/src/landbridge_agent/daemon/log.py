"""The daemon's log: stderr and ``log/himds.log``, which never grows beyond two bounded files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from landbridge_agent.logline import log_line

MAX_BYTES = 2 * 1024 * 1024
"""When the file is larger than this it becomes ``himds.log.1``, and a new one begins."""

LEVELS = ("debug", "info", "warning", "error")


class Log:
    """Writes lines; secrets are never given to it. A full disk silences the file, not the daemon."""

    def __init__(self, path: Path, stderr: TextIO, clock: Callable[[], float], verbose: bool = False) -> None:
        self._path = path
        self._stderr = stderr
        self._clock = clock
        self._least = 0 if verbose else 1

    def debug(self, message: str) -> None:
        """Write a line for whoever looks for a fault."""
        self._write("debug", message)

    def info(self, message: str) -> None:
        """Write what happened."""
        self._write("info", message)

    def warning(self, message: str) -> None:
        """Write what went wrong and is tried again."""
        self._write("warning", message)

    def error(self, message: str) -> None:
        """Write what went wrong and needs somebody."""
        self._write("error", message)

    def _write(self, level: str, message: str) -> None:
        if LEVELS.index(level) < self._least:
            return
        line = log_line(self._clock(), level, message) + "\n"
        try:
            self._stderr.write(line)
            self._stderr.flush()
        except (OSError, ValueError):
            pass
        try:
            self._rotate(len(line))
            with self._path.open("a", encoding="utf-8", errors="replace") as file:
                file.write(line)
        except OSError:
            pass

    def _rotate(self, more: int) -> None:
        try:
            size = self._path.stat().st_size
        except FileNotFoundError:
            self._path.touch(mode=0o600)
            return
        if size + more > MAX_BYTES:
            self._path.replace(self._path.with_name(self._path.name + ".1"))
            self._path.touch(mode=0o600)
