"""A short-lived child of ``himdsd``: prints one signed assertion (RFC 7523) on its stdout.

    python -m landbridge_agent.assertion IDENTITY_FILE CLIENT_ID TOKEN_ENDPOINT

It proves possession of the machine's key without ``cryptography`` in the daemon. What it
prints is a secret for five minutes: stdout is a pipe to the daemon, never a log.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import sys
import time
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from landbridge_agent.keys import leaf, load

LIFETIME = 300
"""How long an assertion is valid, in seconds; the control plane takes at most ten minutes."""

SKEW = 60
"""How far back the start of validity lies, for a machine whose clock runs ahead."""


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sign(identity: bytes, client_id: str, token_endpoint: str, now: float) -> str:
    """Return an ES256 JWT whose header names the certificate by ``x5t#S256``.

    Raises:
        UnusableKey: ``identity`` (PEM) lacks a usable key or certificate.
    """
    key = load(identity)
    thumbprint = hashlib.sha256(leaf(identity).public_bytes(Encoding.DER)).digest()
    header = {"alg": "ES256", "typ": "JWT", "x5t#S256": _b64(thumbprint)}
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": token_endpoint,
        "jti": secrets.token_urlsafe(16),
        "iat": int(now),
        "nbf": int(now) - SKEW,
        "exp": int(now) + LIFETIME,
    }
    text = ".".join(_b64(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))
    r, s = decode_dss_signature(key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{text}.{_b64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def main() -> int:
    """Print the assertion; on failure say why on stderr and return 1."""
    file, client_id, token_endpoint = sys.argv[1:4]
    try:
        print(sign(Path(file).read_bytes(), client_id, token_endpoint, time.time()))  # noqa: TID251
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
