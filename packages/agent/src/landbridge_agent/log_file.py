"""A log file in logrus' text format that never grows beyond a few bounded files.

``himds.log`` and ``azcmagent.log`` are such. A full disk silences the file, not the program.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from landbridge_agent.logline import log_line
from landbridge_agent.platform import here
from landbridge_agent.redaction import without_secrets

MAX_BYTES = 2 * 1024 * 1024
"""When the file would become larger than this it becomes ``NAME.1``, and a new one begins."""

KEPT = 4
"""Old files that are kept: ``NAME.1``, the newest, to ``NAME.4``."""

MAX_MESSAGE = 8 * 1024


def line_of(now: float, level: str, message: str) -> str:
    """Return a whole line with its end: bounded, on one line, and without what looks like a secret."""
    return log_line(now, level, without_secrets(message[:MAX_MESSAGE])) + "\n"


class LogFile:
    """Appends lines to a file that is its owner's alone (0600)."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock

    def write(self, level: str, message: str) -> None:
        """Append a line."""
        self.append(line_of(self._clock(), level, message))

    def append(self, line: str) -> None:
        """Append what ``line_of`` made."""
        try:
            self._rotate(len(line.encode("utf-8", "replace")))
            here().append(self._path, line.encode("utf-8", "replace"))
        except OSError:
            pass

    def _old(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")

    def _rotate(self, more: int) -> None:
        try:
            size = self._path.lstat().st_size
        except FileNotFoundError:
            return
        if size + more <= MAX_BYTES:
            return
        for number in range(KEPT - 1, 0, -1):
            if self._old(number).exists():
                self._old(number).replace(self._old(number + 1))
        self._path.replace(self._old(1))
