"""Where the metadata and token service listens: 127.0.0.1:40342 and [::1]:40342, as the original.

A relocated agent takes a free port, since several may run; ``azcmagent show`` tells it. A port
that is taken keeps nothing else of the daemon from running: it is said, and tried again.
"""

from __future__ import annotations

import asyncio
import errno
import socket

from landbridge_agent.daemon.local_http import LocalServer
from landbridge_agent.daemon.log import Log

PORT = 40342
AGAIN_SECONDS = 30.0
ATTEMPTS = 8
"""Free ports that are tried until one is free for both families."""


class PortTaken(OSError):
    """Another program listens there; the text says where."""


class IdentityEndpoint:
    """Listens, and knows whether it does."""

    def __init__(self, server: LocalServer, relocated: bool, log: Log) -> None:
        self._server = server
        self._port = 0 if relocated else PORT
        self._log = log
        self.url = ""
        self.problem = "It is starting."

    async def run(self) -> None:
        """Listen until cancelled."""
        try:
            listening = await self._try()
            while not listening:
                await asyncio.sleep(AGAIN_SECONDS)
                listening = await self._try()
            await asyncio.get_running_loop().create_future()
        finally:
            self._server.close()
            self.url = ""

    async def _try(self) -> bool:
        try:
            sockets = bind(self._port)
            for one in sockets:
                await self._server.listen(one)
        except OSError as error:
            self._complain(error)
            return False
        self.url = f"http://localhost:{sockets[0].getsockname()[1]}"
        self.problem = ""
        where = " and ".join(f"[{h}]:{p}" if ":" in h else f"{h}:{p}" for h, p in map(_address, sockets))
        self._log.info(f"Instance metadata and tokens are served at {where}")
        return True

    def _complain(self, error: OSError) -> None:
        text = str(error) if isinstance(error, PortTaken) else f"No port can be opened: {error.strerror}."
        if text != self.problem:
            self.problem = text
            self._log.error(f"{text} It is tried again; all else goes on.")


def _address(one: socket.socket) -> tuple[str, int]:
    host, port = one.getsockname()[:2]
    return str(host), int(port)


def bind(port: int) -> list[socket.socket]:
    """Return bound sockets for 127.0.0.1 and, where there is IPv6, for ::1 with the same port.

    ``port`` 0 takes one that is free.

    Raises:
        PortTaken: another program listens on one of them. OSError: another fault.
    """
    for last in range(ATTEMPTS):
        first = _bound(socket.AF_INET, "127.0.0.1", port)
        try:
            return [first, _bound(socket.AF_INET6, "::1", first.getsockname()[1])]
        except PortTaken:
            first.close()
            if port or last == ATTEMPTS - 1:
                raise
        except OSError:
            return [first]  # there is no IPv6 here
    raise OSError(errno.EADDRINUSE, "no port is free")


def _bound(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind((host, port))
        # Only one of two may listen: whoever comes second learns it here, not at the first request.
        made.listen(64)
        made.setblocking(False)
    except OSError as error:
        made.close()
        if error.errno == errno.EADDRINUSE:
            where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            raise PortTaken(
                f"{where} is taken by another program, so this machine's identity is not served: "
                f"'ss -ltnp sport = :{port}' names it."
            ) from error
        raise
    return made
