"""A machine below a folder, and a cloud that says what is wanted of it: with real worker processes."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import http.server
import io
import json
import os
import threading
import time
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from landbridge_agent.dial import Unreachable
from landbridge_agent.guest import mof
from landbridge_agent.guest.mof import Instance
from landbridge_agent.guest.places import Places
from landbridge_agent.guest.reconciler import GuestConfiguration
from landbridge_agent.paths import Paths
from landbridge_wire.work_api import Assignment, Assignments


def resource(kind: str, name: str, **values: Any) -> Instance:
    return Instance(kind, "", {"ResourceID": f"[{kind}]{name}", "ModuleName": "nxtools", **values})


def package(name: str, *instances: Instance, meta: Any = None, more: Any = ()) -> bytes:
    """A package as DSC's tools make it."""
    document = mof.write([*instances, Instance("OMI_ConfigurationDocument", "", {"Name": name})])
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{name}.mof", b"\xff\xfe" + document.encode("utf-16-le"))
        archive.writestr(
            f"{name}.metaconfig.json", json.dumps(meta or {"Type": "AuditAndSet", "Version": "1.0.0.0"})
        )
        for path, content in more:
            archive.writestr(path, content)
    return packed.getvalue()


class Shop:
    """A web server that has packages."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        shop = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                shop.asked.append(self.path)
                content = shop.files.get(self.path.split("?")[0])
                self.send_response(200 if content is not None else 404)
                self.send_header("Content-Length", str(len(content or b"")))
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, *words: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def sell(self, name: str, content: bytes) -> dict[str, Any]:
        """Return what an assignment says of a package."""
        self.files[f"/{name}.zip"] = content
        return {
            "name": name,
            "version": "1.*",
            "contentUri": f"{self.url}/{name}.zip",
            "contentHash": hashlib.sha256(content).hexdigest().upper(),
        }

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class World:
    """The machine, its administrator's settings, and the cloud as the reconciler calls it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.paths = Paths(root, True)
        self.places = Places(self.paths)
        self.settings: dict[str, Any] = {"guestconfiguration.agent.cpulimit": 100}
        self.wanted: list[Assignment] = []
        self.tags: dict[str, str] = {}
        self.online = True
        self.late = 0.0
        self.reports: list[tuple[str, str, dict[str, Any]]] = []
        self.refuse: Callable[[str], None] = lambda name: None
        self.messages: list[str] = []
        self.gc: GuestConfiguration | None = None
        (root / "etc").mkdir(parents=True)

    info = warning = lambda self, message: self.messages.append(message)

    def clock(self) -> float:
        return time.time() + self.late

    async def assignments(self) -> Assignments:
        if not self.online:
            raise Unreachable("there is no cloud")
        return Assignments(tuple(self.wanted), dict(self.tags))

    async def put_report(self, name: str, report_id: str, report: Any) -> None:
        if not self.online:
            raise Unreachable("there is no cloud")
        self.refuse(name)
        self.reports.append((name, report_id, json.loads(json.dumps(report))))

    def want(
        self, name: str, configuration: Any, kind: str = "Audit", protected: Any = (), tag: str = "1"
    ) -> None:
        one = Assignment(
            f"/machines/m/{name}", name, tag, {**configuration, "assignmentType": kind}, tuple(protected)
        )
        self.wanted = [each for each in self.wanted if each.name != name] + [one]

    def make(self) -> GuestConfiguration:
        environment = {"LANDBRIDGE_AGENT_ROOT": str(self.root), "PATH": os.environ["PATH"], "NO_PROXY": "*"}
        return GuestConfiguration(self.paths, self, self, lambda: self.settings, self.clock, environment)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self.gc = self.make()
        task = asyncio.ensure_future(self.gc.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self.gc = None

    async def report(self, count: int, seconds: float = 60.0) -> dict[str, Any]:
        """Wait until so many reports came, and return the newest."""
        if self.gc is not None:
            self.gc.poke()
        async with asyncio.timeout(seconds):
            while len(self.reports) < count:
                await asyncio.sleep(0.05)
        return self.reports[count - 1][2]

    def later(self, minutes: float = 16) -> None:
        self.late += minutes * 60


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "machine")


@pytest.fixture
def shop() -> Iterator[Shop]:
    shop = Shop()
    try:
        yield shop
    finally:
        shop.close()


@pytest.fixture
def make_package() -> Any:
    return package


@pytest.fixture
def make_resource() -> Any:
    return resource
