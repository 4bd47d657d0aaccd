"""Passwords that people choose (argon2id) and secrets that machines made (SHA-256).

A machine-made secret has more than 200 bits: nothing is gained by hashing it slowly, and a
token from a secret must cost no more than its signature.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import string
from functools import cached_property

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from landbridge_server.identity.errors import refuse

ALPHABET = string.ascii_letters + string.digits
SECRET_LENGTH = 40
MINIMUM_LENGTH = 8
MAXIMUM_LENGTH = 256
PARALLEL = 2
WAITING = 64

# OWASP's first choice for argon2id: 46 MiB, one pass; it bounds what a flood of sign-ins can take.
_hasher = PasswordHasher(time_cost=1, memory_cost=47104, parallelism=1)


class WeakPassword(ValueError):
    """A password cannot be used; the text says why."""


def new_secret(length: int = SECRET_LENGTH) -> str:
    """Return a random secret of letters and digits, which no shell and no form mangles."""
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def hash_secret(secret: str) -> str:
    """Return what is stored of a machine-made secret."""
    return hashlib.sha256(_octets(secret)).hexdigest()


def secret_matches(secret: str, verifier: str) -> bool:
    """Compare a secret with what is stored, in constant time."""
    return hmac.compare_digest(hash_secret(secret), verifier)


def hash_password(password: str) -> str:
    """Return what is stored of a password. Takes tens of milliseconds on purpose.

    Raises:
        WeakPassword: shorter than 8 or longer than 256 characters.
    """
    if not MINIMUM_LENGTH <= len(password) <= MAXIMUM_LENGTH:
        raise WeakPassword(f"A password has {MINIMUM_LENGTH} to {MAXIMUM_LENGTH} characters.")
    return _hasher.hash(_octets(password))


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # no text may fail where a wrong one is just wrong


def _matches(password: str, verifier: str) -> bool:
    try:
        return _hasher.verify(verifier, _octets(password))
    except (VerificationError, InvalidHashError):
        return False


class PasswordChecker:
    """Checks passwords beside the event loop, a few at a time.

    A name without a password costs the same as one with: who may sign in does not show in
    the time that a refusal takes.
    """

    def __init__(self) -> None:
        """Check at most two passwords at once, and let at most 64 wait."""
        self._slots = asyncio.Semaphore(PARALLEL)
        self._waiting = 0

    @cached_property
    def _decoy(self) -> str:
        return _hasher.hash(secrets.token_urlsafe(24))

    def admit(self) -> None:
        """Return if another check may be asked for now.

        Raises:
            OAuthError: 90033, too many checks are waiting already.
        """
        if self._waiting >= WAITING:
            raise refuse(90033, reason="Too many people sign in at once. Try again.", retry_after=5)

    async def matches(self, password: str, verifier: str | None) -> bool:
        """Say whether the password is the one of ``verifier``; never, when there is none.

        Raises:
            OAuthError: 90033, too many checks are waiting already.
        """
        self.admit()
        self._waiting += 1
        try:
            async with self._slots:
                found = await asyncio.to_thread(self._check, password[: MAXIMUM_LENGTH + 1], verifier)
        finally:
            self._waiting -= 1
        return found and verifier is not None

    def _check(self, password: str, verifier: str | None) -> bool:
        decoy = self._decoy  # made at the first check, whoever that is for
        return _matches(password, verifier or decoy)
