"""The RSA key of a machine that was created in the cloud before it connects (``genkey``).

Only this first proof is made with it: the identity that follows has an EC key of its own.
Short-lived processes only: this module loads ``cryptography``.
"""

from __future__ import annotations

import base64
import binascii

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from landbridge_agent.keys import UnusableKey

BITS = 2048
"""What the original makes and takes."""


def new() -> str:
    """Return a new private key: base64 of its PKCS#1 DER form, as ``--private-key`` takes it."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=BITS)
    der = key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return base64.b64encode(der).decode()


def load(text: str) -> rsa.RSAPrivateKey:
    """Read a private key: base64 of PKCS#1 (or PKCS#8) DER, or PEM.

    Raises:
        UnusableKey: it is none, or not RSA of at least 2048 bits.
    """
    try:
        if "-----BEGIN" in text:
            key = serialization.load_pem_private_key(text.encode(), password=None)
        else:
            key = serialization.load_der_private_key(base64.b64decode(text, validate=True), password=None)
    except (binascii.Error, ValueError, TypeError) as error:
        raise UnusableKey(
            "The private key must be base64 of its PKCS#1 DER form, as genkey keeps it."
        ) from error
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size < BITS:
        raise UnusableKey(f"The private key must be RSA with at least {BITS} bits.")
    return key


def public(private: str) -> str:
    """Return the public half as ``clientPublicKey`` takes it: base64 of its PKCS#1 DER form.

    Raises:
        UnusableKey: as ``load``.
    """
    der = load(private).public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
    return base64.b64encode(der).decode()
