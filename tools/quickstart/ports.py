"""Ports on loopback: whether one is free, and finding a free one."""

from __future__ import annotations

import socket

LOOPBACK = "127.0.0.1"
PREFERRED_PORT = 9443
"""Where the control plane listens unless something else does."""


def is_free(port: int) -> bool:
    """Whether a program could listen on this port of loopback now."""
    with socket.socket() as probe:
        # As servers do, so that connections that ended lately are not taken for a listener.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def find_free(preferred: int = 0) -> int:
    """Return ``preferred`` if it is free, and otherwise a port that is.

    The port is not reserved: whoever binds it first has it.
    """
    if preferred and is_free(preferred):
        return preferred
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])
