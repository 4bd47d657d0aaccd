"""Seals a stream with a passphrase: scrypt (RFC 7914), then ChaCha20-Poly1305 (RFC 8439) in chunks.

The file is ``MAGIC``, 16 random bytes of salt, and chunks of 64 KiB, each with its tag. The nonce
of a chunk is its number and whether it is the last one (the STREAM construction of Hoang, Reyhanitabar,
Rogaway and Vizar, as in age): chunks cannot be swapped, left out or cut off unnoticed. The key is
used for one file only, since the salt is. The parameters of scrypt belong to the format: a file
cannot ask for other ones.
"""

from __future__ import annotations

import secrets
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from landbridge_server.backup.errors import Damaged

MAGIC = b"landbridge encrypted backup 1\n"
SALT = 16
CHUNK = 64 * 1024
TAG = 16
COST = 2**17
"""scrypt's N, with r = 8 and p = 1: 128 MiB and some tenths of a second for each guess."""


def _cipher(passphrase: bytes, salt: bytes) -> ChaCha20Poly1305:
    return ChaCha20Poly1305(Scrypt(salt=salt, length=32, n=COST, r=8, p=1).derive(passphrase))


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


class SealingWriter:
    """Writes to a file what is to be read with the passphrase only; ``close`` writes the last chunk."""

    def __init__(self, file: BinaryIO, passphrase: bytes) -> None:
        """Write the beginning to ``file``, which stays the caller's to close."""
        salt = secrets.token_bytes(SALT)
        self._file = file
        self._cipher = _cipher(passphrase, salt)
        self._waiting = bytearray()
        self._number = 0
        file.write(MAGIC + salt)

    def write(self, data: bytes) -> int:
        """Take bytes; return how many."""
        self._waiting += data
        while len(self._waiting) > CHUNK:  # one chunk is kept back: the last one is marked
            self._seal(bytes(self._waiting[:CHUNK]), False)
            del self._waiting[:CHUNK]
        return len(data)

    def flush(self) -> None:
        """Do nothing: chunks are written once they are whole."""

    def close(self) -> None:
        """Write the rest."""
        self._seal(bytes(self._waiting), True)
        self._waiting.clear()

    def _seal(self, chunk: bytes, last: bool) -> None:
        self._file.write(self._cipher.encrypt(_nonce(self._number, last), chunk, MAGIC))
        self._number += 1


class OpeningReader:
    """Reads what ``SealingWriter`` wrote, from behind ``MAGIC``. What it returns is authentic."""

    def __init__(self, file: BinaryIO, passphrase: bytes) -> None:
        """Read the salt from ``file``."""
        self._file = file
        self._cipher = _cipher(passphrase, file.read(SALT))
        self._open = b""
        self._sealed = file.read(CHUNK + TAG)
        self._number = 0
        self._ended = False

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, ``size`` at the most; none at the end.

        Raises:
            Damaged: another passphrase, or the file was changed or cut off.
        """
        if not self._open and not self._ended:
            self._next()
        if size < 0:
            size = len(self._open)
        given, self._open = self._open[:size], self._open[size:]
        return given

    def _next(self) -> None:
        following = self._file.read(CHUNK + TAG)
        last = not following
        try:
            self._open = self._cipher.decrypt(_nonce(self._number, last), self._sealed, MAGIC)
        except InvalidTag as error:
            raise Damaged(
                "The passphrase is not the one of this backup, or the file is damaged."
                if not self._number
                else "The file is damaged, or its end is missing. Take another copy of the backup."
            ) from error
        self._sealed, self._ended = following, last
        self._number += 1
