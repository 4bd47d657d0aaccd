"""Secrets and certificates of applications and service principals.

A secret is made here, shown once and kept as a hash. What may be added to whom is decided by the
caller of these functions.
"""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from landbridge_server.identity import key_credentials
from landbridge_server.identity.passwords import hash_secret, new_secret
from landbridge_server.microsoft_graph import shapes
from landbridge_server.microsoft_graph.errors import bad
from landbridge_server.store import principals
from landbridge_server.store.database import Connection
from landbridge_server.store.principals import CERTIFICATE, SECRET, Credential

LIFETIME = 2 * 365 * 86400.0
"""Seconds that a secret lives where nothing is said."""

PER_OBJECT = 50
HINT = 3


def _time(given: Mapping[str, Any], name: str, default: float) -> float:
    """Return a time of a body in unix seconds.

    Raises:
        GraphError: Request_BadRequest; it is none.
    """
    text = given.get(name)
    if text is None:
        return default
    try:
        when = datetime.fromisoformat(text)
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, OverflowError) as error:
        raise bad(f"Invalid value specified for property '{name}': a time in UTC is expected.") from error


def _name(given: Mapping[str, Any]) -> str | None:
    name = given.get("displayName")
    if name is not None and (not isinstance(name, str) or len(name) > 256):
        raise bad("Invalid value specified for property 'displayName' of a credential.")
    return name


def add_password(connection: Connection, object_id: str, body: Mapping[str, Any], now: float) -> shapes.Shown:
    """Make a secret and return it; this is the only time that it is known.

    Raises:
        GraphError: Request_BadRequest; its times cannot be, or there are too many.
    """
    given = body.get("passwordCredential") or {}
    if not isinstance(given, dict):
        raise bad("'passwordCredential' must be an object.")
    starts = _time(given, "startDateTime", now)
    ends = _time(given, "endDateTime", starts + LIFETIME)
    if ends <= max(starts, now):
        raise bad("The credential's 'endDateTime' must lie ahead, and behind its 'startDateTime'.")
    if len(principals.credentials_of(connection, object_id, SECRET)) >= PER_OBJECT:
        raise bad(f"The object has {PER_OBJECT} passwords: remove one first.")
    secret = new_secret()
    made = Credential(
        credential_id=str(uuid.uuid4()),
        object_id=object_id,
        kind=SECRET,
        verifier=hash_secret(secret),
        thumbprint=None,
        not_before=starts,
        expires_at=ends,
        created_at=now,
        display_name=_name(given),
        hint=secret[:HINT],
    )
    principals.add_credential(connection, made)
    return shapes.password_credential(made) | {"secretText": secret}


def remove_password(connection: Connection, object_id: str, body: Mapping[str, Any]) -> None:
    """Take a secret away; tokens that were given for it live on until they end.

    Raises:
        GraphError: Request_BadRequest; the object has no such secret.
    """
    key_id = body.get("keyId")
    wanted = key_id.lower() if isinstance(key_id, str) else ""
    if wanted not in {one.credential_id for one in principals.credentials_of(connection, object_id, SECRET)}:
        raise bad("No password credential found with keyId.")
    principals.remove_credential(connection, wanted)


def adds_keys(connection: Connection, object_id: str, entries: object) -> bool:
    """Say whether a list of key credentials holds one that the object has not yet."""
    known = {one.credential_id for one in principals.credentials_of(connection, object_id, CERTIFICATE)}
    return any(not _is_kept(one, known) for one in _entries(entries))


def set_keys(connection: Connection, object_id: str, entries: object, now: float) -> None:
    """Replace the certificates of an object: those named without a key stay, others are new.

    Raises:
        GraphError: Request_BadRequest; an entry holds no certificate that can be used.
        DirectoryError: as ``key_credentials``.
    """
    known = {one.credential_id: one for one in principals.credentials_of(connection, object_id, CERTIFICATE)}
    given = _entries(entries)
    kept = {one["keyId"] for one in given if _is_kept(one, known)}
    made = [_certificate(object_id, one, now) for one in given if not _is_kept(one, known)]
    thumbprints = [known[key_id].thumbprint for key_id in kept] + [one.thumbprint for one in made]
    if len(thumbprints) > key_credentials.PER_APPLICATION:
        raise bad(f"An object has at most {key_credentials.PER_APPLICATION} key credentials.")
    if len(set(thumbprints)) != len(thumbprints):
        raise bad("The same certificate is given twice.")
    for key_id in known.keys() - kept:
        principals.remove_credential(connection, key_id)
    for one in made:
        principals.add_credential(connection, one)


def _entries(entries: object) -> Sequence[Mapping[str, Any]]:
    if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
        raise bad("'keyCredentials' must be a list of key credentials.")
    return entries


def _is_kept(entry: Mapping[str, Any], known: object) -> bool:
    key_id = entry.get("keyId")
    return (
        entry.get("key") is None
        and isinstance(key_id, str)
        and isinstance(known, dict | set)
        and key_id in known
    )


def _certificate(object_id: str, entry: Mapping[str, Any], now: float) -> Credential:
    if entry.get("type", "AsymmetricX509Cert") != "AsymmetricX509Cert" or entry.get("usage") not in (
        None,
        "Verify",
    ):
        raise bad("A key credential must be of type 'AsymmetricX509Cert' and usage 'Verify'.")
    made = key_credentials.credential(
        object_id, key_credentials.read_certificate(_octets(entry.get("key"))), now
    )
    ends = made.expires_at or 0.0
    wanted = _time(entry, "endDateTime", ends)
    if wanted > ends:
        raise bad("Key credential end date is invalid: it lies behind the end of the certificate.")
    starts = max(made.not_before, _time(entry, "startDateTime", made.not_before))
    if wanted <= max(starts, now):
        raise bad("Key credential end date is invalid: it must lie ahead, and behind the start date.")
    return made._replace(not_before=starts, expires_at=wanted, display_name=_name(entry))


def _octets(key: object) -> bytes:
    """Return the bytes of a certificate: base64, with or without line ends, or PEM."""
    if not isinstance(key, str) or not key.isascii():
        raise bad("A new key credential needs 'key', the certificate in base64.")
    if "-----BEGIN" in key:
        return key.encode()
    try:
        return base64.b64decode("".join(key.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise bad("The 'key' of a key credential is not base64.") from error
