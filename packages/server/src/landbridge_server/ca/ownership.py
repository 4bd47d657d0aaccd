"""Which cloud a database belongs to: told by the keys that lie beside it, not in it.

The authority's keys, the signing keys and the relay's key are files. Two nodes on one
database must hold the same ones, or machines and tokens of one are strangers to the other.
So the database remembers the root certificate and a digest of the relay's key.
"""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from landbridge_server.ca.keyring import load_certificate
from landbridge_server.config import ConfigError
from landbridge_server.store import settings
from landbridge_server.store.database import Connection

ROOT = "root_fingerprint"
RELAY = "relay_key_digest"


class ForeignCloud(ConfigError):
    """The folder's keys are not those of the database's cloud; the text says what to do."""


def fingerprint(root: x509.Certificate) -> str:
    """Return the SHA-256 of a certificate, as ``openssl x509 -fingerprint`` computes it."""
    return root.fingerprint(hashes.SHA256()).hex()


def _digest(relay_key: bytes) -> str:
    return hmac.digest(relay_key, b"landbridge.ownership", hashlib.sha256).hex()


def _refuse(data: Path, known: str, what: str) -> ForeignCloud:
    return ForeignCloud(
        f"The database belongs to the cloud whose root certificate has SHA-256 {known}, and {what}. "
        f"Copy 'ca' and 'keys' of a node of that cloud into {data}, or give another database."
    )


def check(connection: Connection, data: Path) -> None:
    """Refuse to begin where keys would be made anew for a cloud that has others already.

    Raises:
        ForeignCloud: the database knows its keys, and ``data`` has none, or others.
    """
    known = settings.get(connection, ROOT)
    if known is None:
        return
    for name in ("ca/root.pem", "keys/relay.key"):
        if not (data / name).exists():
            raise _refuse(data, known, f"{data / name} is not there")
    if fingerprint(load_certificate(data / "ca" / "root.pem")) != known:
        raise _refuse(data, known, f"{data / 'ca' / 'root.pem'} is another one")


def claim(connection: Connection, data: Path, root: x509.Certificate, relay_key: bytes) -> None:
    """Write down whose database this is, or compare with what was written down.

    Raises:
        ForeignCloud: it belongs to other keys.
    """
    known = settings.get(connection, ROOT)
    if known is None:
        settings.put(connection, ROOT, fingerprint(root))
        settings.put(connection, RELAY, _digest(relay_key))
    elif known != fingerprint(root):
        raise _refuse(data, known, f"{data / 'ca' / 'root.pem'} is another one")
    elif not hmac.compare_digest(settings.get(connection, RELAY) or "", _digest(relay_key)):
        raise _refuse(data, known, f"{data / 'keys' / 'relay.key'} is not the one of that cloud")


def renamed(connection: Connection, root: x509.Certificate) -> None:
    """Write down the root that follows the known one: it is the same cloud."""
    if settings.get(connection, ROOT) is not None:
        settings.put(connection, ROOT, fingerprint(root))


def same_key(connection: Connection, relay_key: bytes) -> bool:
    """Say whether this is the relay key of the database's cloud."""
    return hmac.compare_digest(settings.get(connection, RELAY) or "", _digest(relay_key))
