"""A TCP load balancer for tests: new connections go to the first of ``targets`` that answers.

With ``spread`` each begins to look one target further than the one before. Between
``freeze`` and ``thaw`` all connections stand, new ones too, and no byte passes.
"""

from __future__ import annotations

import contextlib
import socket
import threading


class Balancer:
    """Listens on a free port of loopback. ``targets`` (ports) may be changed at any time."""

    def __init__(self) -> None:
        self.targets: list[int] = []
        self.spread = False
        self._turn = 0
        self._flowing = threading.Event()
        self._flowing.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._serve, daemon=True).start()

    def freeze(self) -> None:
        self._flowing.clear()

    def thaw(self) -> None:
        self._flowing.set()

    def close(self) -> None:
        self.thaw()
        for one in [self._listener, *self._open]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._join, args=(client,), daemon=True).start()

    def _join(self, client: socket.socket) -> None:
        self._flowing.wait()
        self._turn += self.spread
        first = self._turn % len(self.targets)
        for port in self.targets[first:] + self.targets[:first]:
            try:
                server = socket.create_connection(("127.0.0.1", port), 2)
            except OSError:
                continue
            server.settimeout(None)
            self._open |= {client, server}
            threading.Thread(target=self._pump, args=(server, client), daemon=True).start()
            self._pump(client, server)
            return
        client.close()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._flowing.wait()
                sink.sendall(data)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._open.discard(source)
        source.close()
