"""A short-lived child of ``himdsd``: prints one signed assertion (RFC 7523) on its stdout.

    python -m landbridge_agent.assertion IDENTITY_FILE CLIENT_ID TOKEN_ENDPOINT

It proves possession of the machine's key without ``cryptography`` in the daemon. What it
prints is a secret for five minutes: stdout is a pipe to the daemon, never a log.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from cryptography.hazmat.primitives import hashes

from landbridge_agent import jws
from landbridge_agent.keys import chain, leaf, load


def sign(identity: bytes, client_id: str, token_endpoint: str, now: float) -> str:
    """Return an ES256 JWT whose header names the certificate by ``x5t#S256``, and carries it (``x5c``).

    A control plane that was restored from a backup may not know the certificate any more: the chain
    shows that it was its own. Both headers are RFC 7515's.

    Raises:
        UnusableKey: ``identity`` (PEM) lacks a usable key or certificate.
    """
    key = load(identity)
    header = {"x5t#S256": jws.thumbprint(leaf(identity), hashes.SHA256()), "x5c": chain(identity)}
    claims = {"iss": client_id, "sub": client_id, "aud": token_endpoint, **jws.once(now)}
    return jws.compact(key, header, claims)


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
