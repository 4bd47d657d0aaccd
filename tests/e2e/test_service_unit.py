"""The control plane under what its systemd unit allows: it says when it is ready, serves, and ends."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import unit_sandbox
from quickstart.ports import find_free
from quickstart.programs import Children, wait_until
from running import CLONE, ENVIRONMENT, PROGRAMS, ControlPlane, short_folder

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("systemd-analyze") or not unit_sandbox.HEADER.exists(),
    reason="needs root, systemd-analyze and the kernel's headers",
)


class Manager:
    """Takes what systemd would be told."""

    def __init__(self, folder: Path) -> None:
        self.address = folder / "notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.address))
        self._socket.settimeout(30)

    def next(self, wanted: str) -> str:
        """Return the next message that begins so."""
        while True:
            message = self._socket.recv(1000).decode()
            if message.startswith(wanted):
                return message

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager() -> Iterator[Manager]:
    folder = short_folder()
    found = Manager(folder)
    yield found
    found.close()
    shutil.rmtree(folder)


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    path = tmp_path / "landbridge.service"
    path.write_bytes(subprocess.run([PROGRAMS / "landbridge", "systemd-unit", "--program", "/bin/true"],
                                    check=True, stdout=subprocess.PIPE).stdout)  # fmt: skip
    return path


class Confined(ControlPlane):
    """A control plane that may do what the unit allows; it tells a manager how it is."""

    def __init__(self, folder: Path, unit: Path, manager: Manager) -> None:
        self.unit, self.manager = unit, manager
        super().__init__(folder, port=find_free())

    def start(self, more: dict[str, str] | None = None):  # type: ignore[no-untyped-def]
        argv = [sys.executable, CLONE / "tests/e2e/parts/unit_sandbox.py", self.unit, self.data]
        argv += [PROGRAMS / "landbridge", "up", "--data", self.data, "--listen", f"127.0.0.1:{self.port}"]
        told = {"NOTIFY_SOCKET": str(self.manager.address), "WATCHDOG_USEC": "400000"}
        self.child = self._children.start("landbridge", argv, self.data / "up.log", {**ENVIRONMENT, **told})
        wait_until("landbridge to be ready", lambda: "ready" in self.child.said() or None, Children(), 60)
        return self.child


def test_it_serves_within_its_sandbox_and_tells_systemd(unit: Path, manager: Manager) -> None:
    folder = short_folder()
    cloud = Confined(folder, unit, manager)
    try:
        assert manager.next("READY=1") == f"READY=1\nSTATUS=Serving https://localhost:{cloud.port}"
        assert manager.next("WATCHDOG=1") == manager.next("WATCHDOG=1")
        status = Path(f"/proc/{cloud.child.process.pid}/status").read_text()
        assert "CapEff:\t0000000000000400\n" in status  # CAP_NET_BIND_SERVICE
        assert "NoNewPrivs:\t1\n" in status
        assert "Seccomp:\t2\n" in status
        cloud.prepare()  # signs in, writes, and waits for what runs in the background
        cloud.child.process.send_signal(signal.SIGTERM)
        assert manager.next("STOPPING=1")
        assert cloud.child.process.wait(30) == 0
    finally:
        cloud.stop()
        shutil.rmtree(folder)
