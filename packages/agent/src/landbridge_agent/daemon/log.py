"""The daemon's log: stderr, which the service manager keeps, and ``log/himds.log``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from landbridge_agent.log_file import LogFile, line_of

LEVELS = ("debug", "info", "warning", "error")


class Log:
    """Writes lines; secrets are never given to it, and what looks like one is masked."""

    def __init__(self, path: Path, stderr: TextIO, clock: Callable[[], float], verbose: bool = False) -> None:
        self._file = LogFile(path, clock)
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
        line = line_of(self._clock(), level, message)
        try:
            self._stderr.write(line)
            self._stderr.flush()
        except (OSError, ValueError):
            pass
        self._file.append(line)
