"""How many descriptors the server's process may have: one for each machine, session and request.

The soft limit that a shell gives is often 1,024, whatever the machine could bear; the hard one
is the operator's decision. So the soft limit becomes the hard one.
"""

from __future__ import annotations

import resource

from landbridge_server.edge.connections import Room

KEPT = 256
"""Descriptors that are not for connections: database, logs, certificates, listeners."""

UNPROVEN = 16_384
"""Connections that may be open without a token: some 50 KiB each while TLS begins."""

LOW = 4096
"""Descriptors below which an operator should know: they are a few thousand machines at most."""


def raised() -> int:
    """Allow this process as many descriptors as the hard limit lets it; return how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < most:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        except (OSError, ValueError):
            return soft
    return most


_MOST = 1 << 20
"""Where nothing is forbidden: Linux allows no more to a process by itself (fs.nr_open)."""


def room(descriptors: int) -> Room:
    """Return how many connections this many descriptors allow.

    A quarter of them is for machines and sessions alone.
    """
    connections = max(64, descriptors - KEPT)
    return Room(connections, min(UNPROVEN, max(48, connections * 3 // 4)))


def warning(descriptors: int) -> str:
    """Return what to tell an operator; empty if there are enough descriptors."""
    if descriptors >= LOW:
        return ""
    return (
        f"This process may open {descriptors} files only, enough for some {room(descriptors).connections} "
        "connections: each machine and each session needs one. Raise the hard limit: 'ulimit -Hn 65536' as "
        "root before the start, or LimitNOFILE=65536 in the systemd unit."
    )
