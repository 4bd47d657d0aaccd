"""Shared Access Signatures of the relay: minted and verified, nothing stored.

The key of each rule is derived from one master secret, the path and the rule's name, so a
token is bound to one machine and one right whatever its ``sr`` says. Rules are ``listen``
(the machine) and ``send.{object id}`` (one sender), so every token names who used it.

The signature covers the ``sr`` text as it was sent: Node and .NET encode it differently.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Collection
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import quote, unquote, unquote_plus, urlsplit

from landbridge_wire import hybrid_connections

SCHEME = "SharedAccessSignature"
LISTEN_RULE = "listen"
SEND_RULE = "send."
MAX_TOKEN = 4096
LATEST = 1 << 53
"""The last expiry that is read, unix seconds: beyond it a float is no longer exact."""


class SasError(Exception):
    """A token is refused: ``status`` 401 or 403, and the reason text that says why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True)
class Grant:
    """A verified token: its rule (``listen`` or ``send.{object id}``) and its end, unix seconds."""

    rule: str
    expires_on: int

    @property
    def listens(self) -> bool:
        """The right is Listen."""
        return self.rule == LISTEN_RULE

    @property
    def sender(self) -> str | None:
        """The object id of the sender; None if the right is not Send."""
        return self.rule.removeprefix(SEND_RULE) if self.rule.startswith(SEND_RULE) else None


@dataclass(frozen=True)
class UnverifiedToken:
    """A token's parts as they were sent. ``resource`` stays encoded: it is what was signed."""

    resource: str
    signature: str
    expiry: str
    rule: str


def rule_key(master: bytes, path: str, rule: str) -> str:
    """Return the key of a rule as text; its bytes in UTF-8 are the HMAC key, as in Azure."""
    message = b"\0".join((b"landbridge.relay.sas", path.encode(), rule.encode()))
    return base64.b64encode(hmac.digest(master, message, "sha256")).decode()


def mint(uri: str, rule: str, key: str, expires_on: int) -> str:
    """Return a token for ``uri`` that ends at ``expires_on`` (unix seconds)."""
    resource = quote(uri, safe="")
    signature = quote(_signature(key, resource, str(expires_on)), safe="")
    return f"{SCHEME} sr={resource}&sig={signature}&se={expires_on}&skn={quote(rule, safe='')}"


def _signature(key: str, resource: str, expiry: str) -> str:
    digest = hmac.digest(key.encode(), f"{resource}\n{expiry}".encode(), sha256)
    return base64.b64encode(digest).decode()


def parse(text: str) -> UnverifiedToken:
    """Take a token apart.

    Raises:
        SasError: 401, it is missing or malformed.
    """
    if not text.strip():
        raise SasError(401, hybrid_connections.MISSING_TOKEN)
    scheme, _, fields = text.strip().partition(" ")
    found: dict[str, str] = {}
    for field in fields.strip().split("&"):
        name, _, value = field.partition("=")
        found.setdefault(name, value)
    well_formed = scheme == SCHEME and len(text) <= MAX_TOKEN and text.isascii()
    if not well_formed or not all(found.get(name) for name in ("sr", "sig", "se", "skn")):
        raise SasError(401, hybrid_connections.MALFORMED_TOKEN)
    # hyco-ws leaves skn as it is, others encode it; base64 signatures may hold a bare '+'.
    return UnverifiedToken(found["sr"], unquote(found["sig"]), found["se"], unquote_plus(found["skn"]))


def verify(text: str, master: bytes, path: str, hosts: Collection[str], now: float) -> Grant:
    """Verify a token for ``path`` (lower case).

    1. read the parts, 2. compare the signature over the raw ``sr`` with the rule's key,
    3. the audience covers the path, 4. it has not ended.

    The caller still decides whether the right suffices, and whether the sender still may.
    ``hosts`` are the relay's names in lower case; none means that any will do, as the key
    already binds the token to this relay.

    Raises:
        SasError: 401, with the reason.
    """
    token = parse(text)
    key = rule_key(master, path, token.rule)
    expected = _signature(key, token.resource, token.expiry)
    if not hmac.compare_digest(expected.encode(), token.signature.encode()):
        raise SasError(401, hybrid_connections.INVALID_SIGNATURE)
    if not audience_covers(unquote(token.resource), path, hosts):
        raise SasError(401, hybrid_connections.INVALID_AUDIENCE)
    if not token.expiry.isdigit() or int(token.expiry) > LATEST:
        raise SasError(401, hybrid_connections.MALFORMED_TOKEN)
    if int(token.expiry) <= now:
        raise SasError(401, hybrid_connections.EXPIRED_TOKEN)
    return Grant(token.rule, int(token.expiry))


def audience_covers(uri: str, path: str, hosts: Collection[str]) -> bool:
    """Tell whether an ``sr`` covers a path: scheme, port and final slash do not count.

    A namespace-wide ``sr`` covers every path; otherwise it must end at a segment boundary.
    """
    try:
        parts = urlsplit(uri)
        host = (parts.hostname or "").lower()
    except ValueError:
        return False
    if not host or (hosts and host not in hosts):
        return False
    covered = parts.path.strip("/").lower()
    return not covered or path == covered or path.startswith(covered + "/")
