"""The machine's key pair and certificate requests. Short-lived processes only.

Importing this module costs some 10 MiB (cryptography), so ``himdsd`` never does: it starts
``azcmagent``'s children ``assertion`` and ``renewal`` instead.
"""

from __future__ import annotations

import base64
from datetime import UTC

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID


class UnusableKey(ValueError):
    """A key or certificate cannot be used; the text says why."""


def new_private_key() -> str:
    """Return a new EC P-256 private key (PKCS#8 PEM)."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def load(private_key: str | bytes) -> ec.EllipticCurvePrivateKey:
    """Read the first private key of a PEM text.

    Raises:
        UnusableKey: there is none on P-256.
    """
    data = private_key.encode() if isinstance(private_key, str) else private_key
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError) as error:
        raise UnusableKey(f"The private key cannot be read: {error}.") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise UnusableKey("The private key is not one on the curve P-256.")
    return key


def public_key(private_key: str) -> str:
    """Return the public key as ARM holds it: base64 of the DER SubjectPublicKeyInfo."""
    spki = load(private_key).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(spki).decode()


def certificate_request(private_key: str, common_name: str) -> str:
    """Return a PKCS#10 request (PEM) that proves possession of the key.

    The issuer decides on name and extensions; the subject is only for people to read.
    """
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    return builder.sign(load(private_key), hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def leaf(chain: str | bytes) -> x509.Certificate:
    """Return the first certificate of a PEM text.

    Raises:
        UnusableKey: there is none.
    """
    data = chain.encode() if isinstance(chain, str) else chain
    start = data.find(b"-----BEGIN CERTIFICATE-----")
    try:
        return x509.load_pem_x509_certificate(data[max(start, 0) :])
    except ValueError as error:
        raise UnusableKey(f"The certificate cannot be read: {error}.") from error


def chain(pem: bytes) -> list[str]:
    """Return all certificates of a PEM text as ``x5c`` has them (RFC 7515 section 4.1.6)."""
    mark = b"-----BEGIN CERTIFICATE-----"
    parts = pem.split(mark)[1:]
    ders = [x509.load_pem_x509_certificate(mark + part).public_bytes(Encoding.DER) for part in parts]
    return [base64.b64encode(der).decode() for der in ders]


def period(certificate: x509.Certificate) -> tuple[float, float]:
    """Return when a certificate begins and ends, unix seconds."""
    if hasattr(certificate, "not_valid_before_utc"):
        times = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    else:  # before cryptography 42, as Debian 12 has it
        naive = certificate.not_valid_before, certificate.not_valid_after
        times = naive[0].replace(tzinfo=UTC), naive[1].replace(tzinfo=UTC)
    return times[0].timestamp(), times[1].timestamp()


def check_pair(private_key: str, chain: str) -> None:
    """Check that a chain's leaf carries the public half of a private key.

    Raises:
        UnusableKey: it does not, or one of them cannot be read.
    """
    public = leaf(chain).public_key()
    ours = load(private_key).public_key()
    shape = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if public.public_bytes(*shape) != ours.public_bytes(*shape):
        raise UnusableKey("The certificate that came back is for another key than this machine's.")
