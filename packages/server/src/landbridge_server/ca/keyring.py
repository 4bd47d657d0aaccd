"""Private keys and certificates on disk: written atomically, keys readable by the owner only."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

PRIVATE = 0o600
PUBLIC = 0o644


def write_atomically(path: Path, content: bytes, mode: int = PRIVATE) -> None:
    """Write a file so that after a crash either the old or the whole new content is there."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def new_key() -> ec.EllipticCurvePrivateKey:
    """Make an EC P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a private key as unencrypted PKCS#8 PEM."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Read a private key.

    Raises:
        ValueError: the file does not hold an EC private key.
    """
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{path} does not hold an EC private key.")
    return key


def load_certificate(path: Path) -> x509.Certificate:
    """Read the first certificate of a PEM file."""
    return x509.load_pem_x509_certificate(path.read_bytes())


def certificate_pem(*certificates: x509.Certificate) -> bytes:
    """Return certificates as PEM, in the given order."""
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)


def open_secret(path: Path, size: int = 32) -> bytes:
    """Return the secret kept in ``path``, made at the first call.

    Raises:
        ValueError: the file does not hold ``size`` bytes; what was signed with it is void.
    """
    if not path.exists():
        write_atomically(path, secrets.token_bytes(size))
    secret = path.read_bytes()
    if len(secret) != size:
        raise ValueError(f"{path} does not hold a secret of {size} bytes. Delete it to make a new one.")
    return secret
