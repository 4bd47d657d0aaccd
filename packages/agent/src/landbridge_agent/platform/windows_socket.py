"""Windows: the daemon's local socket is a loopback port, and a file that says which, with a key.

A Unix socket's rights do not exist there for asyncio, and named pipes only by an interface of asyncio
that is not documented. So the file's rights decide: whoever can read it knows the key, which every
message carries. The key is new at each start; the file is removed at the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hmac
import json
import secrets
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

from landbridge_agent.platform import Answered

KEY = "key"
MAX_FILE = 4096


class KeyedDoor:
    """The listening end."""

    def __init__(self, listening: socket.socket, key: str, forget: Callable[[], None]) -> None:
        self._socket, self._key, self._forget = listening, key, forget

    async def serve(
        self, answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Answered], limit: int
    ) -> asyncio.Server:
        """Hand each connection to ``answer``."""
        return await asyncio.start_server(answer, sock=self._socket, limit=limit)

    def admits(self, message: Mapping[str, object]) -> bool:
        """Say whether the message carries the key."""
        told = message.get(KEY)
        return isinstance(told, str) and hmac.compare_digest(told.encode(), self._key.encode())

    def close(self) -> None:
        """Remove the file."""
        with contextlib.suppress(OSError):
            self._forget()


def listen(path: Path, write: Callable[[Path, bytes], None], remove: Callable[[Path], None]) -> KeyedDoor:
    """Open a port of the loopback and write the file that leads to it.

    Raises:
        OSError: there is no port, or the file cannot be written.
    """
    key = secrets.token_hex(32)
    server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        exclusive = getattr(socket, "SO_EXCLUSIVEADDRUSE", None)
        if exclusive is not None:  # nobody else may take the port beside us
            server.setsockopt(socket.SOL_SOCKET, exclusive, 1)
        server.bind(("127.0.0.1", 0))
        server.listen(16)
        server.setblocking(False)
        write(path, json.dumps({"port": server.getsockname()[1], KEY: key}).encode())
    except OSError:
        server.close()
        raise
    return KeyedDoor(server, key, lambda: remove(path))


def way_in(path: Path, seconds: float) -> tuple[socket.socket, dict[str, str]]:
    """Connect to where the file says; return the socket and what every message must carry.

    Raises:
        OSError: the file is not there, may not be read or makes no sense, or nobody listens.
    """
    with path.open("rb") as file:
        content = file.read(MAX_FILE)
    try:
        found = json.loads(content)
        port, key = found["port"], found[KEY]
        if type(port) is not int or not 0 < port < 65536 or not isinstance(key, str):
            raise ValueError("port or key is none")
    except (ValueError, KeyError, TypeError) as error:
        raise OSError(errno.EINVAL, f"{path} is damaged", str(path)) from error
    client = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        client.settimeout(seconds)
        client.connect(("127.0.0.1", port))
    except OSError:
        client.close()
        raise
    return client, {KEY: key}
