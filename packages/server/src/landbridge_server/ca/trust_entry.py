"""A root certificate as certifi's ``cacert.pem`` holds one: a header of comments, then the PEM.

The Azure Stack document appends such an entry by hand. Its fingerprints are of the PEM file;
here they are of the certificate (DER), as in certifi's own entries, so that people can compare.
Works on bytes only: reads and writes no file.
"""

from __future__ import annotations

import re

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID


class LabelError(ValueError):
    """A label cannot stand in one line of comments."""


def common_name(certificate: x509.Certificate) -> str:
    """Return the subject's common name, or the whole subject when it has none."""
    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else certificate.subject.rfc4514_string()


def _print(certificate: x509.Certificate, algorithm: hashes.HashAlgorithm) -> str:
    return certificate.fingerprint(algorithm).hex(":")


def entry(certificate: x509.Certificate, label: str = "") -> bytes:
    """Return what is appended; ``label`` names the root, by default with its common name.

    Raises:
        LabelError: the label has a line break or other control characters.
    """
    label = label or common_name(certificate)
    if not label.isprintable():
        raise LabelError("A label is one line of printable characters.")
    lines = (
        "",
        f"# Issuer: {certificate.issuer.rfc4514_string()}",
        f"# Subject: {certificate.subject.rfc4514_string()}",
        f"# Label: {label}",
        f"# Serial: {certificate.serial_number:x}",
        f"# MD5 Fingerprint: {_print(certificate, hashes.MD5())}",  # noqa: S303 - a comment that people read
        f"# SHA1 Fingerprint: {_print(certificate, hashes.SHA1())}",  # noqa: S303 - as above
        f"# SHA256 Fingerprint: {_print(certificate, hashes.SHA256())}",
    )
    return "\n".join(lines).encode() + b"\n" + _pem(certificate)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def holds(bundle: bytes, certificate: x509.Certificate) -> bool:
    """Say whether a bundle has the certificate, by whomever it was added."""
    return _pem(certificate) in bundle.replace(b"\r\n", b"\n")


def without(bundle: bytes, certificate: x509.Certificate) -> bytes:
    """Return the bundle as it was before ``entry``, whatever the label; other entries keep every byte."""
    names = (b"Issuer", b"Subject", b"Label", b"Serial", b"MD5 Fingerprint", b"SHA1 Fingerprint")
    header = b"".join(b"# " + name + b": [^\n]*\n" for name in (*names, b"SHA256 Fingerprint"))
    return re.sub(b"\n" + header + re.escape(_pem(certificate)), b"", bundle)
