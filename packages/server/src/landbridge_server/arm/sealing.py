"""Seals what callers write and never read back, such as the protected settings of an extension.

AES-256-GCM (NIST SP 800-38D) with a fresh nonce for each text. The key follows from a secret
among the cloud's key files by HKDF (RFC 5869): whoever has only the database, or a backup of
it, reads nothing. It does not hide from somebody who can read the key files.
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
_PURPOSE = b"landbridge protected members v1"


class Unreadable(ValueError):
    """A sealed text was made with another key, or was changed."""


class Sealer:
    """Seals and opens with one key."""

    def __init__(self, secret: bytes) -> None:
        """Take a secret of at least 32 random bytes; it may serve other purposes too."""
        key = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=_PURPOSE).derive(secret)
        self._cipher = AESGCM(key)

    def seal(self, value: Any) -> str:
        """Return a JSON value as a text that says nothing but its length; two are never the same."""
        nonce = secrets.token_bytes(_NONCE)
        sealed = self._cipher.encrypt(nonce, msgspec.json.encode(value), _PURPOSE)
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
            return msgspec.json.decode(self._cipher.decrypt(content[:_NONCE], content[_NONCE:], _PURPOSE))
        except InvalidTag as error:
            raise Unreadable("A protected value cannot be opened with this cloud's keys.") from error
