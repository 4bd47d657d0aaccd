"""The control plane from its wheels, in an environment that knows nothing of the clone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from quickstart.programs import Children, wait_until
from running import CLONE, ENVIRONMENT, PROGRAMS, ControlPlane, short_folder

pytestmark = pytest.mark.slow

UV = {**os.environ, "UV_SYSTEM_CERTS": os.environ.get("UV_SYSTEM_CERTS", "true")}


@pytest.fixture(scope="module")
def installed() -> Iterator[Path]:
    """The programs of a new environment with what the wheels bring, and nothing else."""
    folder = short_folder()
    wheels = folder / "dist"
    subprocess.run([sys.executable, CLONE / "tools/build_wheels.py", wheels], check=True)
    environment = folder / "venv"
    subprocess.run([PROGRAMS / "uv", "venv", "--quiet", "--python", sys.executable, environment], check=True)
    argv = [PROGRAMS / "uv", "pip", "install", "--quiet", "--require-hashes", "-r", "requirements.txt"]
    argv += ["--python", environment / "bin/python"]
    # What the clone's own environment has is in uv's cache; a cleaned cache is filled again.
    if subprocess.run([*argv, "--offline"], cwd=wheels, env=UV, stderr=subprocess.DEVNULL).returncode:
        subprocess.run(argv, cwd=wheels, env=UV, check=True)
    yield environment / "bin"
    shutil.rmtree(folder)


class Installed(ControlPlane):
    """A control plane of that environment, started somewhere else than in the clone."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self.programs = programs
        super().__init__(folder)

    def start(self, more: dict[str, str] | None = None):  # type: ignore[no-untyped-def]
        argv = ["env", "-C", "/", self.programs / "landbridge", "up", "--data", self.data]
        argv += ["--listen", f"127.0.0.1:{self.port}"]
        self.child = self._children.start("landbridge", argv, self.data / "up.log", ENVIRONMENT)
        wait_until("landbridge to be ready", lambda: "ready" in self.child.said() or None, Children(), 60)
        return self.child

    def landbridge(self, *words: str) -> str:
        argv = [self.programs / "landbridge", *words, "--data", self.data]
        return subprocess.run(
            argv, cwd="/", env=ENVIRONMENT, check=True, stdout=subprocess.PIPE, text=True
        ).stdout

    def page(self, path: str) -> bytes:
        with self.opener.open(urllib.request.Request(self.admin.url + path), timeout=30) as answer:
            content: bytes = answer.read()
            return content


def test_what_runs_is_what_was_installed(installed: Path) -> None:
    code = "import landbridge_server as a, landbridge_wire as b; print(a.__file__, b.__file__)"
    said = subprocess.run(
        [installed / "python", "-I", "-c", code], check=True, capture_output=True, text=True
    )
    assert all(Path(name).is_relative_to(installed.parent) for name in said.stdout.split())


def test_the_version_is_the_same_everywhere(installed: Path) -> None:
    version = (CLONE / "packages/wire/src/landbridge_wire/version.py").read_text()
    (wanted,) = re.findall(r'^VERSION = "(.+)"$', version, re.MULTILINE)
    wheels = sorted(path.name for path in (installed.parents[1] / "dist").glob("*.whl"))
    assert [name.split("-")[1] for name in wheels] == [wanted] * 3
    said = subprocess.run([installed / "landbridge", "--version"], check=True, capture_output=True, text=True)
    assert said.stdout == f"landbridge {wanted}\n"


def test_it_serves_with_its_tables_pages_and_packages(installed: Path) -> None:
    folder = short_folder()
    cloud = Installed(installed, folder)
    try:
        cloud.prepare()  # the tables are there
        assert cloud.admin.user_name in cloud.landbridge("user", "list")
        assert b"<form" in cloud.page("/devicelogin")
        for script in ("/trust/linux.sh", "/install_linux_azcmagent.sh"):
            assert cloud.page(script).startswith(b"#!")
        assert b"landbridge_agent-" in cloud.page("/agent/packages.json")
        cloud.landbridge("backup", str(folder / "kept"))
        assert (folder / "kept").exists()
        unit = subprocess.run(
            [installed / "landbridge", "systemd-unit"], check=True, capture_output=True, text=True
        )
        assert f"ExecStart={installed}/landbridge up " in unit.stdout
    finally:
        cloud.stop()
        shutil.rmtree(folder)
