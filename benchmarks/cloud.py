"""A control plane with many machines in it, as a process of its own."""

from __future__ import annotations

import atexit
import os
import shutil
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from benchmarks.seed import NAME, RACK_NAME, seed
from landbridge_server.config import Address, Config
from postgresql_server import PostgreSql, started
from running import ENVIRONMENT, GROUP, MACHINES, PROGRAMS, ControlPlane, short_folder

VERSION = "2024-07-10"
SQLITE = "sqlite"
POSTGRESQL = "postgresql"

_opened = ExitStack()
atexit.register(_opened.close)


@cache
def _server() -> PostgreSql:
    """Return a PostgreSQL of our own, started once.

    Raises:
        RuntimeError: Debian's packages of it are not installed.
    """
    server = _opened.enter_context(started())
    if server is None:
        raise RuntimeError("PostgreSQL is not installed: apt-get install postgresql")
    return server


def _new_database() -> str:
    return _opened.enter_context(_server().database())


class Cloud(ControlPlane):
    """A control plane with ``machines`` machines in one resource group, ready and serving."""

    def __init__(self, store: str, machines: int) -> None:
        """Start it, fill it, and start it again.

        ``store`` is ``sqlite``, the URL of an empty database, or ``postgresql`` for a new
        database of a server that is started, and stopped again, with the benchmarks.
        """
        self.store = _new_database() if store == POSTGRESQL else store
        self.machines = machines
        self.key = ec.generate_private_key(ec.SECP256R1())
        super().__init__(short_folder())
        self.prepare()
        if machines:
            self._fill()

    def _fill(self) -> None:
        answer = self.arm("PUT", self.path(0), machine_body(key=self.key), VERSION)
        if answer.status != 200:
            raise RuntimeError(f"The first machine was refused: {answer.body}")
        self.stop()
        seed(self.database_url, self.machines)
        self.start()

    @property
    def database_url(self) -> str:
        """Where its store is."""
        return self.config.database_url if self.store == SQLITE else self.store

    @property
    def config(self) -> Config:
        """The settings that the process has."""
        return Config(data=self.data, listen=Address("127.0.0.1", self.port))

    def start(self) -> Any:
        """Start it with its store and the log where an operator would send it: to a file."""
        argv: list[str | Path] = [PROGRAMS / "landbridge", "up", "--data", self.data]
        # One caller sends it all: what it may send is not what is measured.
        argv += ["--listen", f"127.0.0.1:{self.port}", "--requests-per-second", "0"]
        if self.store != SQLITE:
            argv += ["--store", self.store]
        log = self.data / f"up-{time.monotonic_ns()}.log"
        self.child = self._children.start("landbridge", argv, log, ENVIRONMENT)
        until = time.monotonic() + 120
        while "ready https://" not in self.child.said():
            self.child.check()
            if time.monotonic() > until:
                raise TimeoutError("landbridge is not ready after 120 s")
            time.sleep(0.05)
        return self.child

    @property
    def pids(self) -> list[int]:
        """The processes whose CPU is the control plane's."""
        return [self.child.process.pid]

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def headers(self) -> dict[str, str]:
        """The administrator's headers."""
        self._token = self._token or self._sign_in()
        return {"Authorization": f"Bearer {self._token}"}

    def path(self, number: int | str) -> str:
        """Return the path of a machine: one that was seeded, or any other name."""
        name = NAME % number if isinstance(number, int) else number
        return f"{self.subscription}/resourceGroups/{GROUP}/providers/{MACHINES}/{name}"

    def versioned(self, number: int | str) -> str:
        """Return the path of a machine with the api-version."""
        return f"{self.path(number)}?api-version={VERSION}"

    def __enter__(self) -> Self:
        """Use it for a block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it and remove what it kept."""
        self.stop()
        shutil.rmtree(self.data)


def machine_body(tag: str = "one", key: ec.EllipticCurvePrivateKey | None = None) -> dict[str, Any]:
    """Return the body with which a machine is put, of the size that the agent sends."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return {
        "location": "local",
        "identity": {"type": "SystemAssigned"},
        "tags": {"benchmark": tag, "city": "Bremen", "owner": "platform", "rack": RACK_NAME % 0},
        "properties": {
            "locationData": {"name": "Bremen", "city": "Bremen", "countryOrRegion": "Germany"},
            "clientPublicKey": public_text(public),
            "osType": "linux",
        },
    }


def public_text(der: bytes) -> str:
    """Return a public key as ``clientPublicKey`` holds it."""
    import base64

    return base64.b64encode(der).decode()


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Make a P-256 certificate for a peer, like ours, and return it with its key."""
    import subprocess

    certificate, key = folder / "srv.pem", folder / "srv.key"
    argv: Sequence[str | Path] = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt"]
    argv = [*argv, "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost", "-days", "2"]
    argv = [
        *argv,
        "-addext",
        "subjectAltName=DNS:localhost,IP:127.0.0.1",
        "-keyout",
        key,
        "-out",
        certificate,
    ]
    subprocess.run(argv, check=True, capture_output=True, env=os.environ)
    shutil.copy(certificate, folder / "ca.pem")
    return certificate, key
