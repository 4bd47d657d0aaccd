"""A short-lived child of ``himdsd``: renews the machine's certificate when half its life is over.

    python -m landbridge_agent.renewal STATE_ROOT RELOCATED [BEFORE]

A certificate that began before ``BEFORE`` (unix seconds) is renewed, whatever its age.
It prints one JSON line: ``{"dueIn": seconds, "expiresIn": seconds}`` when there is time, or
``{"request": PEM, "expiresIn": seconds}`` with a request for a new key, or, once the certificate
has ended, ``{"rejoin": RejoinRequest, "expiresIn": seconds}``. In these cases it waits
for ``{"certificate": PEM}`` on stdin, checks that it fits, and replaces key and certificate in
one step. The new private key never leaves this process but for the identity file.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from landbridge_agent.keys import certificate_request, check_pair, leaf, new_private_key, period
from landbridge_agent.machine import Machine, StateError
from landbridge_agent.paths import Paths
from landbridge_agent.rejoining import by_identity

FUTURE = 24 * 3600.0
"""How far ahead a certificate may begin, in seconds: less ends by itself."""


def due_in(identity: bytes, now: float, before: float = 0.0) -> tuple[float, float]:
    """Return the seconds until half of the certificate's life is over, 0 when it is; and until its end.

    One that began before ``before`` is due at once, and so is one from the future: the cloud's clock was
    ahead when it was issued. (Where our own clock is behind as much, the cloud refuses us anyway.)

    Raises:
        UnusableKey: ``identity`` (PEM) holds no certificate.
    """
    begin, end = period(leaf(identity))
    return 0.0 if begin < before or begin > now + FUTURE else max(0.0, (begin + end) / 2 - now), end - now


def renew(machine: Machine, now: float, before: float = 0.0) -> None:
    """Speak the protocol above over stdin and stdout.

    Raises:
        StateError, ValueError: the state or the answer cannot be used; nothing is replaced.
    """
    identity, config = machine.identity(), machine.config()
    if identity is None or config is None:
        raise ValueError("This machine is not connected.")
    wait, left = due_in(identity, now, before)
    if wait > 0:
        print(json.dumps({"dueIn": wait, "expiresIn": left}), flush=True)
        return
    private_key = new_private_key()
    if left > 0:
        asked: dict[str, object] = {"request": certificate_request(private_key, config.clientId)}
    else:
        proven = by_identity(identity, config.resourceId, config.endpoint, private_key, now)
        asked = {"rejoin": proven.to_json()}
    print(json.dumps({**asked, "expiresIn": left}), flush=True)
    answer = json.loads(sys.stdin.readline() or "{}")
    chain = answer.get("certificate") if isinstance(answer, dict) else None
    if not isinstance(chain, str):
        raise ValueError("No certificate came back.")
    check_pair(private_key, chain)
    machine.replace_identity(private_key, chain)


def main() -> int:
    """Renew if it is time; on failure say why on stderr and return 1."""
    root, relocated, *before = sys.argv[1:4]
    try:
        renew(Machine(Paths(Path(root), relocated == "1")), time.time(), float(*before))  # noqa: TID251
    except (StateError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
