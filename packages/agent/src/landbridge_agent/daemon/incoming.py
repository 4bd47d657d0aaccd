"""Which local port a sender may reach. Pure: settings and headers in, a decision out.

The local configuration always wins. With a list of ports, the port must be on it; without
one, the sender must bring a Service-Configuration-Token of this machine's for that port.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Callable, Collection
from typing import NamedTuple

from landbridge_agent.local_config import Incoming

DEFAULT_PORT = 22
HOSTS = {"localhost": ("127.0.0.1", "::1"), "127.0.0.1": ("127.0.0.1",), "::1": ("::1",)}
"""The only names that are ever dialled, and what they mean."""

MAX_TOKEN = 8 * 1024


class Allowed(NamedTuple):
    """Dial one of ``hosts`` on ``port``."""

    hosts: tuple[str, ...]
    port: int


class Denied(NamedTuple):
    """Say no; the text is for the person in front of ``ssh``."""

    status: int
    reason: str


class InvalidToken(ValueError):
    """A Service-Configuration-Token proves nothing; the text says why."""


def parse_target(text: str) -> tuple[str, int]:
    """Read ``host:port`` of ``Microsoft-Guestgateway-Target``; empty means sshd's usual port.

    Raises:
        ValueError: no port, or one that is none.
    """
    if not text.strip():
        return "localhost", DEFAULT_PORT
    host, _, port = text.strip().rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or not 1 <= int(port[:6]) <= 65535:
        raise ValueError(f"'{text[:80]}' is not localhost:PORT.")
    return host.strip("[]").lower(), int(port)


def token_port(unverified_token: str, key: bytes, audiences: Collection[str], now: float) -> int:
    """Verify a Service-Configuration-Token (JWT, HS256) and return the port that it opens.

    1. The algorithm is HS256 and no other. 2. The signature, in constant time. 3. ``aud``
    names this machine. 4. ``exp`` lies ahead. 5. ``port`` is a port.

    Raises:
        InvalidToken: one of these does not hold.
    """
    signed, _, signature = unverified_token[:MAX_TOKEN].rpartition(".")
    unverified_header, _, unverified_claims = signed.partition(".")
    if _object(unverified_header).get("alg") != "HS256":
        raise InvalidToken("it is not signed with HS256")
    expected = hmac.digest(key, signed.encode(), "sha256")
    if not key or not hmac.compare_digest(expected, _bytes(signature)):
        raise InvalidToken("its signature is not by this machine's control plane")
    claims = _object(unverified_claims)
    if str(claims.get("aud", "")).lower() not in audiences:
        raise InvalidToken("it is for another machine")
    expires, port = claims.get("exp"), claims.get("port")
    if not isinstance(expires, int | float) or expires <= now:
        raise InvalidToken("it has expired; ask for new credentials")
    if not isinstance(port, int) or isinstance(port, bool) or not 1 <= port <= 65535:
        raise InvalidToken("it names no port")
    return port


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""


def _object(part: str) -> dict[str, object]:
    try:
        value = json.loads(_bytes(part))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def decide(
    settings: Incoming, target: str, unverified_token: str, verify: Callable[[str], int]
) -> Allowed | Denied:
    """Decide on one sender. ``verify`` is ``token_port`` with this machine's key and names."""
    if not settings.enabled:
        return Denied(
            403,
            "This machine does not allow incoming connections: "
            "azcmagent config set incomingconnections.enabled true",
        )
    try:
        host, port = parse_target(target)
    except ValueError as error:
        return Denied(400, str(error))
    if host not in HOSTS:
        return Denied(403, f"This machine connects to itself only, not to {host[:80]}.")
    if settings.ports:
        if port not in settings.ports:
            return _not_allowed(port, (*settings.ports, port))
        return Allowed(HOSTS[host], port)
    if not unverified_token:
        return _not_allowed(port, (port,))
    try:
        configured = verify(unverified_token)
    except InvalidToken as error:
        return Denied(403, f"The service configuration token was refused: {error}.")
    if configured != port:
        return Denied(
            403,
            f"Port {port} is not the one that the service configuration allows ({configured}): "
            f"azcmagent config set incomingconnections.ports {port}",
        )
    return Allowed(HOSTS[host], port)


def _not_allowed(port: int, wanted: tuple[int, ...]) -> Denied:
    listed = ",".join(str(one) for one in wanted)
    return Denied(
        403,
        f"Port {port} is not allowed by this machine: "
        f"azcmagent config set incomingconnections.ports {listed}",
    )
