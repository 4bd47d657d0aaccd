"""Signed JSON (RFC 7515, compact): ES256 with a key on P-256, RS256 with an RSA key.

Short-lived processes only: this module loads ``cryptography``.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

LIFETIME = 300
"""How long a statement is valid, in seconds; the control plane takes at most ten minutes."""

SKEW = 60
"""How far back the start of validity lies, for a machine whose clock runs ahead."""


def base64url(data: bytes) -> str:
    """Return base64url without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def thumbprint(certificate: x509.Certificate, algorithm: hashes.HashAlgorithm) -> str:
    """Return a certificate's thumbprint as ``x5t`` (SHA-1) and ``x5t#S256`` carry it."""
    digest = hashes.Hash(algorithm)
    digest.update(certificate.public_bytes(Encoding.DER))
    return base64url(digest.finalize())


def once(now: float) -> dict[str, object]:
    """Return the claims of a statement that is valid once, from about now."""
    return {
        "jti": secrets.token_urlsafe(16),
        "iat": int(now),
        "nbf": int(now) - SKEW,
        "exp": int(now) + LIFETIME,
    }


def compact(key: SigningKey, header: Mapping[str, object], claims: Mapping[str, object]) -> str:
    """Return a JWT that ``key`` signed; ``alg`` follows from the key."""
    algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
    parts = ({"alg": algorithm, "typ": "JWT", **header}, claims)
    text = ".".join(base64url(json.dumps(part, separators=(",", ":")).encode()) for part in parts)
    return f"{text}.{base64url(_signature(key, text.encode()))}"


def _signature(key: SigningKey, data: bytes) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), hashes.SHA256())
    r, s = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")
