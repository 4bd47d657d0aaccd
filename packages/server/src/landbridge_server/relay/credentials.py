"""What the relay hands out: listen and send tokens, and service configuration tokens."""

from __future__ import annotations

import base64
import hmac
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

from landbridge_server.relay import sas

LONGEST_SEND = 10800
"""The longest life of send credentials in seconds; the contract's upper bound of ``expiresin``."""


@dataclass(frozen=True)
class SendCredentials:
    """A Send token for one caller and one machine; ``expires_on`` in unix seconds."""

    access_key: str = field(repr=False)
    expires_on: int


class RelayCredentials:
    """Mints for one relay; ``host`` is what tokens name as their audience, without a port."""

    def __init__(self, master: bytes, host: str) -> None:
        """Take the master secret and the relay's public host."""
        self._master = master
        self._host = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host

    def listen_credentials(self, path: str, seconds: int, now: float) -> tuple[str, int]:
        """Return a machine's own Listen token and when it ends, unix seconds."""
        expires_on = int(now) + seconds
        return self._mint(path, sas.LISTEN_RULE, expires_on), expires_on

    def send_credentials(self, path: str, principal_id: str, seconds: int, now: float) -> SendCredentials:
        """Return a Send token of ``principal_id`` (the caller's object id) for one machine."""
        expires_on = int(now) + min(seconds, LONGEST_SEND)
        return SendCredentials(self._mint(path, sas.SEND_RULE + principal_id, expires_on), expires_on)

    def _mint(self, path: str, rule: str, expires_on: int) -> str:
        uri = f"http://{self._host}/{path}/"
        return sas.mint(uri, rule, sas.rule_key(self._master, path, rule), expires_on)

    def service_configuration_key(self, path: str) -> bytes:
        """Return the key with which the machine at ``path`` verifies what senders bring along."""
        message = b"landbridge.relay.service-configuration\0" + path.encode()
        return hmac.digest(self._master, message, "sha256")

    def service_configuration_token(
        self, path: str, service: str, port: int, principal_id: str, expires_on: int
    ) -> str:
        """Return a JWT (HS256) that allows its bearer one port of one machine until ``expires_on``.

        Claims: ``aud`` the path, ``service``, ``port``, ``sub`` the caller, ``jti``, ``exp``.
        """
        claims = {
            "aud": path,
            "service": service,
            "port": port,
            "sub": principal_id,
            "jti": secrets.token_hex(16),
            "exp": expires_on,
        }
        signed = f"{_segment({'alg': 'HS256', 'typ': 'JWT'})}.{_segment(claims)}"
        digest = hmac.digest(self.service_configuration_key(path), signed.encode(), "sha256")
        return f"{signed}.{_base64url(digest)}"


def _segment(value: dict[str, Any]) -> str:
    return _base64url(json.dumps(value, separators=(",", ":")).encode())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
