"""Refresh tokens: opaque, kept as hashes, exchanged once, in families (RFC 9700 section 4.14).

A sign-in starts a family. Each exchange gives a new token and marks the old one as used.
An old one that comes back means that somebody else has a copy: the whole family ends. One
case is not a theft: the answer was lost and the program asks again. So a used token is
taken once more within ``GRACE`` seconds, as long as nothing that was given for it was used.

The functions return what they found instead of raising: a family that ends must stay
ended, and an exception would roll the transaction back.
"""

from __future__ import annotations

import hashlib
import secrets
import uuid
from dataclasses import dataclass

from landbridge_server.identity.errors import OAuthError, refuse
from landbridge_server.identity.errors import Stamp as _Stamp
from landbridge_server.store import sign_in
from landbridge_server.store.database import Connection
from landbridge_server.store.sign_in import RefreshToken

LIFETIME = 90 * 86400.0
"""Seconds until an unused refresh token ends."""

GRACE = 20.0
"""Seconds in which a program may ask again because the answer was lost."""

KEPT = 30 * 86400.0
"""Seconds that an ended token is remembered, so that its refusal can say that it ended."""


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Exchanged:
    """The successor of a refresh token that was accepted."""

    token: str


def start_family(
    connection: Connection, object_id: str, client_id: str, scope: str, now: float, family_id: str = ""
) -> str:
    """Return the first refresh token of a sign-in; ``family_id`` is by what the caller will know it."""
    sign_in.prune_refresh_tokens(connection, object_id, now - KEPT)
    return _add(connection, family_id or str(uuid.uuid4()), None, object_id, client_id, scope, now)


def _add(
    connection: Connection,
    family_id: str,
    parent_hash: str | None,
    object_id: str,
    client_id: str,
    scope: str,
    now: float,
) -> str:
    token = secrets.token_urlsafe(48)
    row = RefreshToken(
        token_hash=_hash(token),
        family_id=family_id,
        parent_hash=parent_hash,
        object_id=object_id,
        client_id=client_id,
        scope=scope,
        issued_at=now,
        expires_at=now + LIFETIME,
        used_at=None,
        revoked_at=None,
    )
    sign_in.add_refresh_token(connection, row)
    return token


def look(connection: Connection, unverified_token: str, client_id: str) -> RefreshToken | OAuthError:
    """Return the stored form of a refresh token, or why it is refused, without exchanging it.

    Does not look whether it was used: only ``exchange`` decides on that.
    """
    row = sign_in.refresh_token(connection, _hash(unverified_token))
    if row is None or row.client_id != client_id:
        return refuse(70000, internal="unknown refresh token, or another program's")
    if row.revoked_at is not None:
        return refuse(50173)
    return row


def exchange(connection: Connection, row: RefreshToken, now: float) -> Exchanged | OAuthError:
    """Exchange a token that ``look`` returned for its successor, or return why it is refused.

    Does not look at the principal. The caller commits whatever is returned.
    """
    if row.used_at is not None and not _asked_again(connection, row, now):
        sign_in.revoke_family(connection, row.family_id, now)
        return refuse(50173, internal="a used refresh token came back: its family ends")
    if now >= row.expires_at:
        return refuse(700082, issued=_Stamp(row.issued_at).text)
    sign_in.use_refresh_token(connection, row.token_hash, now)
    token = _add(connection, row.family_id, row.token_hash, row.object_id, row.client_id, row.scope, now)
    return Exchanged(token)


def _asked_again(connection: Connection, row: RefreshToken, now: float) -> bool:
    used_at = row.used_at if row.used_at is not None else now
    return now - used_at <= GRACE and not sign_in.successor_used(connection, row.token_hash)
