"""Seals values that only this cloud may read again, for one purpose at a time.

AES-256-GCM (NIST SP 800-38D) with a fresh nonce for each text. The key follows from a secret
among the cloud's key files and from the purpose by HKDF (RFC 5869): whoever has only the
database, or a backup of it, reads nothing, and what was sealed for one purpose does not open
for another. It does not hide from somebody who can read the key files.
"""

from __future__ import annotations

import base64
import secrets
from typing import Any

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE = 12


class Unreadable(ValueError):
    """A sealed text was made with another key, for another purpose, or was changed."""


class PurposeSealer:
    """Seals and opens with the key of one purpose."""

    def __init__(self, secret: bytes, purpose: bytes) -> None:
        """Take a secret of at least 32 random bytes, which may serve other purposes too."""
        self._purpose = purpose
        key = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=purpose).derive(secret)
        self._cipher = AESGCM(key)

    def seal(self, value: Any) -> str:
        """Return a JSON value as a text that says nothing but its length; two are never the same."""
        nonce = secrets.token_bytes(_NONCE)
        sealed = self._cipher.encrypt(nonce, msgspec.json.encode(value), self._purpose)
        return base64.b64encode(nonce + sealed).decode()

    def open(self, sealed: str) -> Any:
        """Return the value of a sealed text; None for an empty one.

        Raises:
            Unreadable: another key made it, or it was changed.
        """
        if not sealed:
            return None
        content = base64.b64decode(sealed)
        try:
            opened = self._cipher.decrypt(content[:_NONCE], content[_NONCE:], self._purpose)
        except InvalidTag as error:
            raise Unreadable("A protected value cannot be opened with this cloud's keys.") from error
        return msgspec.json.decode(opened)
