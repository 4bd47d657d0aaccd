"""The key pair for which protected settings are sealed on this machine: ``<thumbprint>.crt`` and ``.prv``.

It is made once and lies beside the extensions, for root only. It proves nothing to anybody and never
leaves the machine; the cloud gives protected settings over TLS. The thumbprint is the SHA-1 of the
certificate, in capitals, because that is how handlers find their key.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from landbridge_agent.extensions import files

NOTE = "machine-certificate"
"""The file that says which thumbprint is this machine's."""

YEARS = 20


class MachineCertificate(NamedTuple):
    """The certificate and the name by which a handler finds its key."""

    thumbprint: str
    certificate: x509.Certificate


def obtain(folder: Path, now: float) -> MachineCertificate:
    """Return the machine's certificate; it is made when there is none that can be used.

    Raises:
        OSError: the folder cannot be written.
    """
    try:
        thumb = (folder / NOTE).read_text("ascii").strip()
        certificate = x509.load_pem_x509_certificate((folder / f"{thumb}.crt").read_bytes())
        key = load_key(folder, thumb)
        if key.public_key().public_numbers() == certificate.public_key().public_numbers():  # type: ignore[union-attr]
            return MachineCertificate(thumb, certificate)
    except (OSError, ValueError, AttributeError):
        pass
    return _make(folder, now)


def load_key(folder: Path, thumb: str) -> rsa.RSAPrivateKey:
    """Return the private key of a thumbprint.

    Raises:
        OSError, ValueError: there is none.
    """
    if not thumb.isalnum():
        raise ValueError("That is no thumbprint.")
    key = load_pem_private_key((folder / f"{thumb}.prv").read_bytes(), password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("That is no RSA key.")
    return key


def _make(folder: Path, now: float) -> MachineCertificate:
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Landbridge extensions")])
    begins = datetime.fromtimestamp(now, UTC) - timedelta(days=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(int.from_bytes(os.urandom(16), "big") >> 1 or 1)
        .not_valid_before(begins)
        .not_valid_after(begins + timedelta(days=365 * YEARS))
        .sign(key, hashes.SHA256())
    )
    thumb = certificate.fingerprint(hashes.SHA1()).hex().upper()  # noqa: S303 - a name, no proof
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    files.write(folder / f"{thumb}.prv", private)
    files.write(folder / f"{thumb}.crt", certificate.public_bytes(Encoding.PEM))
    files.write(folder / NOTE, thumb.encode())  # last: before this nobody looks for the pair
    return MachineCertificate(thumb, certificate)
