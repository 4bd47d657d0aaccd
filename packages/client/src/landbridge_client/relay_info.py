"""The relay information that ``az ssh`` or ``landbridge ssh-config`` hands to the proxy.

Base64 of ``{"relay": {...}}`` (contract A4), from SSHPROXY_RELAY_INFO or a file. Two keys
of our own may stand beside ``relay``: ``caFile``, and ``refresh`` with the argv of a command
that writes the file anew. That command runs only if nobody else could have written it.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

REFRESH_BEFORE = 60
"""Credentials that end within this many seconds are renewed first."""


class ProxyError(Exception):
    """The session cannot be; the text goes to the user as it is."""


CONNECTING = "sshproxy: error connecting to the address: "
COPYING = "sshproxy: error copying information from the connection: "
"""How messages begin; ``az ssh`` looks for both, byte for byte."""


class RelayInfo:
    """Where to connect, and with what."""

    __slots__ = ("ca_file", "expires_on", "host", "path", "port", "refresh", "sas", "token")

    def __init__(self, body: Any) -> None:
        """Read the decoded JSON.

        Raises:
            ProxyError: a member is missing or has the wrong type.
        """
        relay = body.get("relay") if isinstance(body, dict) else None
        if not isinstance(relay, dict):
            raise ProxyError("sshproxy: the relay information has no 'relay' object.")
        suffix = _text(relay, "namespaceNameSuffix")
        suffix, _, port = suffix.partition(":")
        self.host = f"{_text(relay, 'namespaceName')}.{suffix}"
        self.port = int(port) if port.isdigit() else 443
        self.path = _text(relay, "hybridConnectionName").strip("/")
        self.sas = _text(relay, "accessKey")
        token = relay.get("serviceConfigurationToken")
        self.token = token if isinstance(token, str) else ""
        expires = relay.get("expiresOn")
        self.expires_on = expires if isinstance(expires, int) else 0
        ca_file = body.get("caFile")
        self.ca_file = ca_file if isinstance(ca_file, str) else ""
        refresh = body.get("refresh")
        argv = refresh.get("argv") if isinstance(refresh, dict) else None
        self.refresh: list[str] = [str(word) for word in argv] if isinstance(argv, list) else []

    @property
    def authority(self) -> str:
        """The Host header: without a port where that is 443."""
        return self.host if self.port == 443 else f"{self.host}:{self.port}"


def _text(relay: dict[str, Any], name: str) -> str:
    value = relay.get(name)
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ProxyError(f"sshproxy: the relay information has no usable '{name}'.")
    return value


def decode(text: bytes) -> RelayInfo:
    """Read base64 of JSON, or the JSON itself.

    Raises:
        ProxyError: it is neither, or incomplete.
    """
    import json
    from binascii import a2b_base64

    try:
        raw = text.strip()
        return RelayInfo(json.loads(raw if raw[:1] == b"{" else a2b_base64(raw)))
    except (ValueError, RecursionError):
        raise ProxyError("sshproxy: the relay information is not base64 of JSON.") from None


def load(file: str, environment: str, now: float) -> RelayInfo:
    """Return usable relay information: from ``file`` if given, else from the environment's value.

    Raises:
        ProxyError: none is given, it cannot be read, or it has expired and cannot be renewed.
    """
    if not file:
        if not environment:
            raise ProxyError("sshproxy: give the relay information: -r FILE, or SSHPROXY_RELAY_INFO.")
        info = decode(environment.encode("utf-8", "replace"))
        check_expiry(info, now)
        return info
    content, trusted = _read(file)
    info = decode(content)
    if info.refresh and info.expires_on - now < REFRESH_BEFORE:
        if not trusted:
            raise ProxyError(
                f"sshproxy: the credentials have expired, and {file} may not renew them: "
                "others can write it. Run: chmod 600 on it."
            )
        _renew(info.refresh)
        info = decode(_read(file)[0])
    check_expiry(info, now)
    return info


def check_expiry(info: RelayInfo, now: float) -> None:
    """Refuse credentials that have ended, with what to do next.

    Raises:
        ProxyError: they have.
    """
    if info.expires_on and info.expires_on <= now:
        raise ProxyError(
            CONNECTING + f"401 the credentials expired {int(now - info.expires_on)} s ago; get new ones: "
            "run your az ssh or landbridge ssh-config command again"
        )


def _read(file: str) -> tuple[bytes, bool]:
    """Return the content, and whether only the user or root could have written it.

    Both come from one descriptor: the file cannot be exchanged between look and use.
    """
    try:
        descriptor = os.open(file, os.O_RDONLY)
    except OSError as error:
        raise ProxyError(f"sshproxy: cannot read the relay information {file}: {error.strerror}.") from None
    with open(descriptor, "rb") as stream:
        status = os.fstat(descriptor)
        owners = (0, os.getuid()) if hasattr(os, "getuid") else (status.st_uid,)
        trusted = status.st_uid in owners and not status.st_mode & 0o022
        return stream.read(1 << 20), trusted


def _renew(argv: list[str]) -> None:
    """Run the command that writes new credentials; its output goes to our stderr.

    Standard output carries SSH: nothing else may write to it.
    """
    from subprocess import DEVNULL, TimeoutExpired, run  # 15 ms: only when needed

    try:
        done = run(argv, stdin=DEVNULL, stdout=sys.stderr, timeout=60, check=False)
    except (OSError, TimeoutExpired) as error:
        raise ProxyError(
            CONNECTING + f"401 the credentials expired, and renewing them failed: {error}"
        ) from None
    if done.returncode:
        raise ProxyError(
            CONNECTING + f"401 the credentials expired, and '{argv[0]}' could not renew them "
            f"(exit code {done.returncode})"
        )
