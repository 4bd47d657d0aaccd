"""Tells systemd how the control plane is: the three messages of ``sd_notify(3)`` that matter.

``READY=1`` once requests are answered, ``WATCHDOG=1`` from the event loop again and again, and
``STOPPING=1``. Nothing is sent where nobody asked for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator, Mapping


class Supervisor:
    """Who started this process and wants to know."""

    def __init__(self, address: str = "", watchdog: float = 0.0) -> None:
        """Take ``NOTIFY_SOCKET`` and the watchdog's time in seconds; nothing: nobody asks."""
        self._address = address
        self._watchdog = watchdog

    @classmethod
    def of(cls, environment: Mapping[str, str], process: int) -> Supervisor:
        """Return what an environment says about it; ``process`` is our own id.

        A watchdog that is meant for another process, or is no number, is none.
        """
        address = environment.get("NOTIFY_SOCKET", "")
        for_us = environment.get("WATCHDOG_PID", str(process)) == str(process)
        text = environment.get("WATCHDOG_USEC", "")
        seconds = int(text) / 1e6 if for_us and text.isascii() and text.isdigit() else 0.0
        return cls(address, seconds)

    def tell(self, *lines: str) -> None:
        """Send lines such as ``READY=1``; that nobody takes them is no reason to stop serving."""
        if not self._address:
            return
        # An address that begins with @ has no file: its first byte is 0.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.sendto("\n".join(lines).encode(), address)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Show, while the block runs, that the event loop goes round: twice in each watchdog's time."""
        if not self._watchdog:
            yield
            return
        loop = asyncio.get_running_loop()
        timer: asyncio.TimerHandle

        def beat() -> None:
            nonlocal timer
            self.tell("WATCHDOG=1")
            timer = loop.call_later(self._watchdog / 2, beat)

        timer = loop.call_later(0, beat)
        try:
            yield
        finally:
            timer.cancel()
