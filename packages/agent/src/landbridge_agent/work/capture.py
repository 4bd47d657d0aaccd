"""Keeps what a program prints: a bounded file, the last bytes in memory, and how much there was."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

TAIL = 4096
"""The bytes of each stream that ``instanceView`` shows, its last ones (contract: agent, 4.3)."""

ROOM = 256
"""What the sentence about the rest may take of a file's limit."""


def text_of(data: bytes) -> str:
    """Return what was printed as text for JSON: what is no UTF-8 becomes U+FFFD, NUL too."""
    return data.decode("utf-8", "replace").replace("\0", "\ufffd")


class Stream:
    """One stream into one file, which never grows beyond ``limit`` bytes."""

    def __init__(self, path: Path, limit: int) -> None:
        """Make the file anew, its owner's alone.

        Raises:
            OSError: it cannot be made.
        """
        path.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = os.open(path, flags, 0o600)
        self._room = max(limit - ROOM, 0)
        self._limit = limit
        self._tail = b""
        self._trouble = ""
        self.total = 0
        self.kept = 0

    @property
    def dropped(self) -> int:
        """How many bytes were printed and are not in the file."""
        return self.total - self.kept

    @property
    def tail(self) -> str:
        """The last bytes that were printed, as text; a character that was cut off is left out."""
        data = self._tail
        if self.total > len(data):
            while data and data[0] & 0xC0 == 0x80:
                data = data[1:]
        return text_of(data)

    def add(self, data: bytes) -> None:
        """Take what was printed. A full disk costs the rest of the output, never the program."""
        self.total += len(data)
        self._tail = (self._tail + data)[-TAIL:]
        piece = data[: self._room - self.kept] if not self._trouble else b""
        while piece:
            try:
                written = os.write(self._file, piece)
            except OSError as error:
                self._trouble = error.strerror or str(error)
                return
            self.kept += written
            piece = piece[written:]

    def close(self) -> None:
        """End the file; where something is missing, its last line says how much, and why."""
        if self.dropped:
            why = self._trouble or f"the limit is {self._limit} bytes"
            line = f"\n[{self.dropped} more bytes were printed and are not kept: {why}]\n"
            try:
                os.write(self._file, line.encode()[:ROOM])
            except OSError:
                pass  # the disk is full; the count is in the properties all the same
        os.close(self._file)


class Captured:
    """Both streams of one program."""

    def __init__(self, stdout: Path, stderr: Path, limit: int) -> None:
        self.stdout = Stream(stdout, limit)
        try:
            self.stderr = Stream(stderr, limit)
        except BaseException:
            self.stdout.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stdout.close()
        self.stderr.close()
