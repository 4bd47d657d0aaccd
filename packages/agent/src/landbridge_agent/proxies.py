"""An HTTP proxy and what is reached without it. Pure; the environment is an argument.

Loopback addresses are never reached through a proxy. A password leaves this module only in
``headers``, which go to the proxy itself: never in a report, a log or a program's arguments.
"""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

SERVICES = frozenset({"aad", "arm", "ama", "arc", "arcdata"})
"""Words of ``proxy.bypass`` that are no names; ``expanded`` puts names in their place."""


class Proxy(NamedTuple):
    """An HTTP proxy for HTTPS, and the hosts that are reached without it."""

    url: str
    bypass: tuple[str, ...]

    def _parts(self) -> SplitResult:
        return urlsplit(self.url if "://" in self.url else f"http://{self.url}")

    @property
    def shown(self) -> str:
        """The URL without credentials, for reports."""
        scheme, separator, rest = self.url.rpartition("://")
        return scheme + separator + rest.rpartition("@")[2]

    @property
    def where(self) -> str:
        """Host and port, for messages."""
        return self._parts().netloc.rpartition("@")[2]

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to dial.

        Raises:
            ValueError: the URL is not one of an HTTP proxy; the text does not repeat it.
        """
        try:
            parts = self._parts()
            host, port = parts.hostname, parts.port or 80
        except ValueError:
            host, port = None, 0
        if not host or parts.scheme != "http":
            raise ValueError("The proxy must be an http:// URL, such as http://proxy.example:3128.")
        return host, port

    @property
    def headers(self) -> list[tuple[str, str]]:
        """``Proxy-Authorization`` (RFC 7617) where the URL has credentials."""
        parts = self._parts()
        if not parts.username:
            return []
        secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        return [("Proxy-Authorization", "Basic " + base64.b64encode(secret).decode())]

    def serves(self, host: str) -> bool:
        """Whether ``host`` is reached through the proxy.

        Entries are ``*``, a name with everything below it, an address, or a network in CIDR
        notation; networks are compared with addresses only, as no name is resolved for it.
        """
        name = host.lower().strip("[]").rstrip(".")
        if not self.url or name == "localhost" or _is_loopback(name):
            return False
        return not any(_covers(entry.lower(), name) for entry in self.bypass)

    def expanded(self, hosts: Mapping[str, Sequence[str]]) -> Proxy:
        """Return it with the words for services replaced by the names of ``hosts`` (lower-case words)."""
        found: list[str] = []
        for entry in self.bypass:
            word = entry.lower()
            found += hosts.get(word, ()) if word in SERVICES else (entry,)
        return self._replace(bypass=tuple(found))

    def bypasses(self, service: str) -> bool:
        """Whether a service (its word, as ``Arc``) is reached without the proxy."""
        return any(entry.lower() == service.lower() for entry in self.bypass)


NO_PROXY = Proxy("", ())


def proxy_from(environment: Mapping[str, str]) -> Proxy:
    """Return the proxy that HTTPS_PROXY and NO_PROXY name, in upper or lower case."""
    url = environment.get("HTTPS_PROXY") or environment.get("https_proxy") or ""
    bypass = environment.get("NO_PROXY") or environment.get("no_proxy") or ""
    return Proxy(url, tuple(entry.strip() for entry in bypass.split(",") if entry.strip()))


def _covers(entry: str, name: str) -> bool:
    if entry == "*":
        return True
    if "/" in entry or ":" in entry:
        return _in_network(entry, name)
    suffix = entry.lstrip("*").strip(".")
    return bool(suffix) and (name == suffix or name.endswith("." + suffix))


def _in_network(entry: str, name: str) -> bool:
    try:
        return ipaddress.ip_address(name) in ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        return False


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
