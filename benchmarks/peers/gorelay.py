"""The yardstick in Go (``go-relay/``): relay and agent as processes, the proxy as ssh runs it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from benchmarks import CLONE
from benchmarks.cloud import make_certificate
from quickstart.ports import find_free
from running import ENVIRONMENT, short_folder


def built() -> Path:
    """Return the program, built with Debian's Go and its gorilla/websocket."""
    source = Path(__file__).parent / "go-relay/main.go"
    program = CLONE / ".cache/benchmarks/gorelay"
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        program.parent.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode"}
        subprocess.run(
            ["go", "build", "-o", program, source], check=True, env=environment, capture_output=True
        )
    return program


class GoRelay:
    """Relay and agent with TLS, in front of the sshd at ``port``."""

    def __init__(self, port: int) -> None:
        """Start both."""
        self.folder = short_folder()
        make_certificate(self.folder)
        self.port = find_free()
        self.environment = {**ENVIRONMENT, "PKI_DIR": str(self.folder), "SSHD_PORT": str(port)}
        self.program = built()
        self.relay = self._start("relay")
        self._wait()
        self.agent = self._start("agent")
        time.sleep(0.5)

    def _start(self, role: str) -> subprocess.Popen[bytes]:
        argv = [self.program, role, "1", str(self.port)]
        return subprocess.Popen(argv, env=self.environment, stderr=subprocess.DEVNULL)

    def _wait(self) -> None:
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise TimeoutError("The Go relay does not listen.")

    @property
    def proxy(self) -> str:
        """The ProxyCommand."""
        return f"env PKI_DIR={self.folder} {self.program} client 1 {self.port}"

    def stop(self) -> None:
        """End both."""
        for process in (self.agent, self.relay):
            process.terminate()
            process.wait()
        shutil.rmtree(self.folder)
