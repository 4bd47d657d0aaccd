"""The second factor: codes of an authenticator (TOTP, RFC 6238) and, when it is lost, recovery codes.

A user has one when an operator enrolled it; a tenant can demand one of everybody. The secret is
sealed with a key that is not in the database, and bound to its user. A code counts once, within
half a minute before and after its own; recovery codes are kept as hashes and count once.
"""

from __future__ import annotations

import base64
import hmac
import secrets
import struct
import uuid
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import quote, urlencode

from landbridge_server.ca.sealing import PurposeSealer, Unreadable
from landbridge_server.identity.attempts import AttemptLimiter
from landbridge_server.identity.errors import refuse
from landbridge_server.identity.passwords import hash_secret, secret_matches
from landbridge_server.store import principals, settings, sign_in, sign_in_limits
from landbridge_server.store.database import Connection, Database
from landbridge_server.store.principals import RECOVERY, TOTP, Credential, Principal

STEP = 30
DIGITS = 6
SECRET_BYTES = 20
RECOVERY_CODES = 8
WRONG_CODES = 5
WRONG_CODE_SECONDS = 300.0
CODES_ALIVE = 256

NOTHING, CODE, ENROLL = "", "code", "enroll"

_PURPOSE = b"landbridge second factors v1"
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


class Enrollment(NamedTuple):
    """What an operator hands to a user; none of it is shown again."""

    secret: str
    uri: str
    recovery_codes: tuple[str, ...]


def sealer(master: bytes) -> PurposeSealer:
    """Return what seals the secrets; ``master`` is shared by the nodes of a cloud."""
    return PurposeSealer(master, _PURPOSE)


def needed(connection: Connection, user: Principal) -> str:
    """Return what a user must do beyond the password: ``NOTHING``, give a ``CODE``, or ``ENROLL`` first."""
    if principals.credentials_of(connection, user.object_id, TOTP):
        return CODE
    return ENROLL if lacking(connection, user, user.tenant_id) else NOTHING


def lacking(connection: Connection, user: Principal, tenant_id: str) -> bool:
    """Say whether a tenant, the user's own or one where it is a guest, demands what the user has not."""
    has = principals.credentials_of(connection, user.object_id, TOTP)
    return not has and required(connection, tenant_id)


def confirm(connection: Connection, user: Principal, *, coded: bool) -> None:
    """Return if what a page has seen of a user still is enough, as the sign-in is written down.

    ``coded`` says that a code was given after the password. Between the two an operator may have
    enrolled the user, or the tenant may have begun to demand it.

    Raises:
        OAuthError: 50076, a code is needed now.
    """
    if needed(connection, user) != NOTHING and not coded:
        raise refuse(50076, resource="this cloud")


def methods(connection: Connection, user: Principal) -> tuple[str, ...]:
    """Return how a user's sign-in was proven, for ``amr`` (RFC 8176), in Azure's words.

    Nothing needs to be kept for it: whoever is given a second factor loses all sign-ins of before,
    so that one that is good now was made with it. When it is taken away, this claims less.
    """
    if principals.credentials_of(connection, user.object_id, TOTP):
        return ("pwd", "mfa")
    return ("pwd",)


def _setting(tenant_id: str) -> str:
    return f"second-factor-required:{tenant_id}"


def required(connection: Connection, tenant_id: str) -> bool:
    """Say whether a tenant demands a second factor of every user."""
    return settings.get(connection, _setting(tenant_id)) == "yes"


def require(connection: Connection, tenant_id: str, demanded: bool, now: float) -> None:
    """Demand a second factor of a tenant's users, or no longer.

    Whoever has none is signed out of every program: a refresh token must not get around it.
    """
    settings.put(connection, _setting(tenant_id), "yes" if demanded else "no")
    if demanded:
        for user in principals.of_kind(connection, principals.USER, tenant_id):
            if not principals.credentials_of(connection, user.object_id, TOTP):
                sign_in.revoke_all(connection, user.object_id, now)
                sign_in.end_waiting(connection, user.object_id)


def enroll(connection: Connection, seals: PurposeSealer, user: Principal, now: float) -> Enrollment:
    """Give a user a new second factor, replacing an older one; programs must sign in again."""
    remove(connection, user)
    secret = base64.b32encode(secrets.token_bytes(SECRET_BYTES)).decode()
    sealed = seals.seal({"user": user.object_id, "secret": secret})
    codes = tuple("".join(secrets.choice(_ALPHABET) for _ in range(12)) for _ in range(RECOVERY_CODES))
    for kind, verifier in [(TOTP, sealed), *((RECOVERY, hash_secret(code)) for code in codes)]:
        credential = Credential(str(uuid.uuid4()), user.object_id, kind, verifier, None, now, None, now)
        principals.add_credential(connection, credential)
    sign_in.revoke_all(connection, user.object_id, now)
    sign_in.end_waiting(connection, user.object_id)
    query = urlencode({"secret": secret, "issuer": "Landbridge", "digits": DIGITS, "period": STEP})
    return Enrollment(secret, f"otpauth://totp/Landbridge:{quote(user.label)}?{query}", codes)


def remove(connection: Connection, user: Principal) -> None:
    """Take a user's second factor away, with its recovery codes. Safe to run again."""
    for kind in (TOTP, RECOVERY):
        principals.remove_credentials(connection, user.object_id, kind)


def code_at(secret: str, step: int) -> str:
    """Return the code of a step of 30 seconds (RFC 4226 section 5.3, SHA-1 as all authenticators do)."""
    mac = hmac.digest(base64.b32decode(secret), struct.pack(">Q", step), "sha1")
    offset = mac[-1] & 15
    number = struct.unpack(">I", mac[offset : offset + 4])[0] & 0x7FFFFFFF
    return f"{number % 10**DIGITS:0{DIGITS}}"


def matching_step(secret: str, typed: str, now: float) -> int | None:
    """Return the step whose code was typed, of the current one and its neighbours; constant time."""
    current, found = int(now // STEP), None
    for step in (current - 1, current, current + 1):
        if hmac.compare_digest(code_at(secret, step).encode(), typed.encode("utf-8", "surrogatepass")):
            found = step
    return found


class SecondFactors:
    """Checks the codes that people type."""

    def __init__(self, db: Database, clock: Callable[[], float], master: bytes) -> None:
        """Open what was sealed with the key that follows from ``master``."""
        self._db = db
        self._clock = clock
        self._sealer = sealer(master)
        self._attempts = AttemptLimiter(db, clock, "second factor", WRONG_CODES, WRONG_CODE_SECONDS)

    async def check(self, user: Principal, typed: str) -> None:
        """Return if a code of the user's authenticator, or one of the recovery codes, was typed.

        Raises:
            OAuthError: 50074, it is wrong or was used; 50053 after too many of these; 90033,
                what is stored was sealed with other keys than this cloud has.
        """
        wait = await self._attempts.begin(user.object_id)
        if wait:
            raise refuse(50053, seconds=wait, retry_after=wait)
        code = "".join(letter for letter in typed.lower() if letter.isalnum())[:64]
        try:
            used = await self._db.write(lambda connection: self._use(connection, user, code))
        except Unreadable as error:
            reason = "The second factor cannot be read. An operator can enroll another one."
            raise refuse(90033, reason=reason, internal=str(error)) from error
        if not used:
            raise refuse(50074)
        await self._attempts.succeeded(user.object_id)

    def _use(self, connection: Connection, user: Principal, code: str) -> bool:
        now = self._clock()
        for one in principals.credentials_of(connection, user.object_id, TOTP):
            step = matching_step(self._secret(one), code, now)
            if step is not None:
                name, ends = f"totp {step}", (step + 2.0) * STEP
                return sign_in_limits.use_assertion(connection, user.object_id, name, ends, now, CODES_ALIVE)
        used = [
            one
            for one in principals.credentials_of(connection, user.object_id, RECOVERY)
            if secret_matches(code, one.verifier)
        ]
        for one in used:
            principals.remove_credential(connection, one.credential_id)
        return bool(used)

    def _secret(self, credential: Credential) -> str:
        opened = self._sealer.open(credential.verifier)
        if opened["user"] != credential.object_id:
            raise Unreadable("A second factor was sealed for somebody else.")
        return str(opened["secret"])
