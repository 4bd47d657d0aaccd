"""Certificates of machines that were issued after the backup from which a cloud was restored.

The database does not know them, though the cloud has issued them: without more, each machine that
renewed its certificate meanwhile would have to be connected again. So a restore notes the time from
the backup to itself, and the authorities of that time. A certificate counts if it was issued then,
a chain that comes with it leads to those roots, and the machine has got no other since. What it
cannot know is whether such a certificate was taken back before the restore: docs/how-to says so.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from landbridge_server.ca.authority import thumbprint
from landbridge_server.ca.profiles import BACKDATE
from landbridge_server.store import machines, principals, settings
from landbridge_server.store.database import Connection
from landbridge_server.store.machines import Certificate

SETTING = "restored"
KEPT = 16
"""So many restores are remembered; certificates of older ones have ended."""

SLACK = 60.0
"""Seconds by which a certificate may have been made before the backup and recorded after it."""

LONGEST_CHAIN = 4
DAYS = 120.0
"""How long a restore is remembered: longer than a machine's certificate lasts."""


class Gap(msgspec.Struct, frozen=True):
    """The time whose records are lost (unix seconds), and the authorities of then (PEM)."""

    since: float
    until: float
    roots: list[str]


def gaps(connection: Connection) -> list[Gap]:
    """Return the restores that this cloud has seen, the oldest first."""
    return msgspec.json.decode(settings.get(connection, SETTING) or "[]", type=list[Gap])


def remember(connection: Connection, folder: Path, since: float, until: float) -> None:
    """Note a restore; ``folder`` holds the authorities."""
    kept = [gap for gap in gaps(connection) if gap.until > until - DAYS * 86400]
    kept.append(Gap(since, max(since, until), authorities(folder)))
    settings.put(connection, SETTING, msgspec.json.encode(kept[-KEPT:]).decode())


def distrust(connection: Connection, root: str) -> None:
    """Believe no certificate any more because of this root (PEM)."""
    known = gaps(connection)
    if any(root in gap.roots for gap in known):
        kept = [Gap(gap.since, gap.until, [one for one in gap.roots if one != root]) for gap in known]
        settings.put(connection, SETTING, msgspec.json.encode(kept).decode())


def authorities(folder: Path) -> list[str]:
    """Return the root certificates (PEM) that lie in a folder, whatever else does."""
    return [text for path in sorted(folder.glob("*.pem")) for text in _roots(path)]


def _roots(path: Path) -> list[str]:
    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except ValueError:
        return []  # a file of another kind
    return [one.public_bytes(serialization.Encoding.PEM).decode() for one in found if _is_root(one)]


def _is_root(certificate: x509.Certificate) -> bool:
    return certificate.subject == certificate.issuer


def found(connection: Connection, unverified_chain: object, wanted: str, now: float) -> Certificate | None:
    """Return the record that the certificate with thumbprint ``wanted`` would have, if it was lost.

    ``unverified_chain`` is RFC 7515's ``x5c``: the certificate and what issued it. The caller checks
    the certificate's time and its identity as for any other, and records it once it is proven.
    """
    known = gaps(connection)
    if not known or not isinstance(unverified_chain, list) or len(unverified_chain) > LONGEST_CHAIN:
        return None
    try:
        chain = [x509.load_der_x509_certificate(base64.b64decode(one)) for one in unverified_chain]
    except (ValueError, TypeError, binascii.Error):
        return None
    if not chain or thumbprint(chain[0]) != wanted:
        return None
    # Anybody may send a chain: nothing in it is read before one of the cloud's roots stands behind it.
    signed = [gap for gap in known if _leads_to(gap.roots, chain, now)]
    record = _record(connection, chain[0]) if signed else None
    if record is None or not any(_may_be_lost(connection, record, gap) for gap in signed):
        return None
    return record


def write(connection: Connection, certificate: Certificate) -> bool:
    """Record a certificate that ``found`` returned and that is proven; say no if it ended meanwhile."""
    if machines.certificate_by_thumbprint(connection, certificate.thumbprint) is None:
        if not any(_may_be_lost(connection, certificate, gap) for gap in gaps(connection)):
            return False
        machines.add_certificate(connection, certificate)
    return True


def _issued(certificate: Certificate) -> float:
    return certificate.not_before + BACKDATE.total_seconds()


def _may_be_lost(connection: Connection, certificate: Certificate, gap: Gap) -> bool:
    """Say whether a certificate was issued in that time, and its machine has got none since then."""
    if not gap.since - SLACK <= _issued(certificate) <= gap.until:
        return False
    newest = machines.newest_certificate(connection, certificate.principal_id)
    if newest is None:
        return True
    # One that is known and was issued later took the place of this one before the backup.
    return _issued(newest) < int(gap.until) and _issued(newest) <= _issued(certificate)


def _leads_to(roots: Sequence[str], chain: Sequence[x509.Certificate], now: float) -> bool:
    store = Store([x509.load_pem_x509_certificate(text.encode()) for text in roots])
    moment = dt.datetime.fromtimestamp(now, dt.UTC)
    try:
        PolicyBuilder().store(store).time(moment).build_client_verifier().verify(chain[0], list(chain[1:]))
    except (VerificationError, ValueError):
        return False
    return isinstance(chain[0].public_key(), ec.EllipticCurvePublicKey)


def _record(connection: Connection, leaf: x509.Certificate) -> Certificate | None:
    names = leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    principal = principals.by_app_id(connection, str(names[0].value)) if names else None
    if principal is None:
        return None
    return Certificate(
        serial=f"{leaf.serial_number:x}",
        principal_id=principal.object_id,
        thumbprint=thumbprint(leaf),
        pem=leaf.public_bytes(serialization.Encoding.PEM).decode(),
        not_before=leaf.not_valid_before_utc.timestamp(),
        not_after=leaf.not_valid_after_utc.timestamp(),
        revoked_at=None,
    )
