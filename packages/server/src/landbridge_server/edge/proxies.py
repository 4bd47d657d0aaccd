"""Who a caller is behind reverse proxies: ``X-Forwarded-For``, believed from named proxies only.

Each proxy appends the address that it has seen. So the field is read from its end, as long as a
trusted proxy has written it: the first address that is no trusted proxy's is the caller's. What
stands before it anybody may have made up.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

MOST = 32
"""Addresses that are looked at."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class TrustedProxies:
    """Addresses and networks whose word counts."""

    def __init__(self, networks: Iterable[str]) -> None:
        """Take addresses and networks (CIDR); none: nobody's word counts.

        Raises:
            ValueError: one is neither.
        """
        self._networks = tuple(ipaddress.ip_network(one) for one in networks)

    def __bool__(self) -> bool:
        """Say whether there is any."""
        return bool(self._networks)

    def caller(self, peer: str, forwarded: Sequence[str]) -> str:
        """Return the caller's address: the peer's own, or what trusted proxies say in these fields."""
        found = _address(peer)
        if found is None or not self._trusts(found):
            return peer
        named = [one for field in forwarded for one in field.split(",")][-MOST:]
        for text in reversed(named):
            before = _address(text)
            if before is None:
                break  # what a trusted proxy cannot have written: its own address is all that is known
            found = before
            if not self._trusts(found):
                break
        return str(found)

    def _trusts(self, address: Address) -> bool:
        return any(address in one for one in self._networks)


def _address(text: str) -> Address | None:
    """Read an address as proxies write it: with brackets around IPv6, some with a port behind it."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        return found.ipv4_mapped
    return found
