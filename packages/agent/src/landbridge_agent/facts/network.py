"""Interfaces and addresses, from ``ip -json address`` or, without it, the kernel's IPv6 table."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import NamedTuple

COMMAND = ("ip", "-json", "address")
MOST = 64
"""Interfaces beyond this are left out: a container host may have thousands."""


class Address(NamedTuple):
    """An address with the prefix of its subnet."""

    address: str
    version: str
    prefix: int


class Interface(NamedTuple):
    """A network interface that is not the loopback."""

    name: str
    mac: str
    addresses: tuple[Address, ...]


def parse(text: str) -> list[Interface]:
    """Read the JSON of iproute2; what does not fit is skipped."""
    try:
        links = json.loads(text)
    except (ValueError, RecursionError):
        return []
    found = []
    for link in links if isinstance(links, list) else []:
        if not isinstance(link, dict) or "LOOPBACK" in _list(link.get("flags")):
            continue
        addresses = [_address(one) for one in _list(link.get("addr_info"))]
        kept = tuple(one for one in addresses if one is not None)
        if kept:
            found.append(Interface(str(link.get("ifname", "")), str(link.get("address", "")), kept))
    return sorted(found)[:MOST]


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _address(value: object) -> Address | None:
    """Link-local addresses say nothing about where a machine is; they are left out."""
    if not isinstance(value, dict) or value.get("scope") != "global" or not value.get("local"):
        return None
    length = value.get("prefixlen")
    version = "IPv6" if value.get("family") == "inet6" else "IPv4"
    return Address(str(value["local"]), version, length if isinstance(length, int) else 0)


def parse_if_inet6(text: str) -> list[Interface]:
    """Read ``/proc/net/if_inet6``: address, index, prefix length, scope, flags, name, in hex."""
    by_name: dict[str, list[Address]] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) != 6 or words[3] != "00" or len(words[0]) != 32:
            continue
        try:
            prefix = int(words[2], 16)
        except ValueError:
            continue
        groups = ":".join(words[0][i : i + 4] for i in range(0, 32, 4))
        by_name.setdefault(words[5], []).append(Address(groups, "IPv6", prefix))
    return [Interface(name, "", tuple(found)) for name, found in sorted(by_name.items())][:MOST]


def read() -> list[Interface]:
    """Read this machine's interfaces; empty when nothing tells."""
    try:
        done = subprocess.run(COMMAND, capture_output=True, timeout=10, check=False)
        if done.returncode == 0:
            return parse(done.stdout.decode("utf-8", "replace"))
    except (OSError, subprocess.TimeoutExpired):
        pass
    try:
        return parse_if_inet6(Path("/proc/net/if_inet6").read_text())
    except OSError:
        return []
