"""Where a sign-in may send its code: the redirect addresses of each program (RFC 8252, RFC 9700).

A native program listens on the loopback interface of the person's own machine, at a port that
it finds when it starts; everything but the port is compared as text. Nothing else is ever
redirected to, not even to report an error: otherwise this cloud would be an open redirector.
"""

from __future__ import annotations

import re

from landbridge_server.identity.clients import AZCMAGENT, AZURE_CLI

_LOOPBACK = re.compile(r"http://(?:localhost|127\.0\.0\.1)(?::([0-9]{1,5}))?/?")

LOOPBACK_CLIENTS = frozenset({AZURE_CLI, AZCMAGENT})
"""Programs that may be answered on the loopback interface; the others use device codes."""


def allowed(client_id: str, unverified_uri: str) -> bool:
    """Say whether a program may have its answer sent to an address."""
    if client_id not in LOOPBACK_CLIENTS:
        return False
    found = _LOOPBACK.fullmatch(unverified_uri)
    return found is not None and (found[1] is None or 0 < int(found[1]) <= 65535)
