"""An ``az`` with a certifi of its own: what trusts it can be changed without changing the shared one."""

from __future__ import annotations

import shutil
import subprocess
import venv
from pathlib import Path
from typing import Any

from real_az import Az
from running import CLONE, PROGRAMS


class OwnAz(Az):
    """The installed version, seen through an environment that has only certifi itself."""

    def __init__(self, version: str, folder: Path, ca_file: Path, before: Any = ()) -> None:
        super().__init__(version, folder, ca_file, before)
        for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):  # either takes certifi's place
            self.environment.pop(name, None)
        (shared,) = (CLONE / f".cache/az-{version}/lib").glob("python3*/site-packages")
        base = (CLONE / f".cache/az-{version}/bin/python").resolve()
        venv.EnvBuilder(symlinks=True).create(folder / "own")
        self.python = folder / "own/bin/python"
        (packages,) = (folder / "own/lib").glob("python3*/site-packages")
        assert base.exists() and packages.parent.name == shared.parent.name
        shutil.copytree(shared / "certifi", packages / "certifi")
        (packages / "az.pth").write_text(f"{shared}\n")
        self.bundle = packages / "certifi/cacert.pem"
        self.program = folder / "own/bin/az"
        self.program.write_text(
            f"#!{self.python}\nimport runpy\nrunpy.run_module('azure.cli', run_name='__main__')\n"
        )
        self.program.chmod(0o755)
        self.environment["PATH"] = f"{self.program.parent}:{PROGRAMS}:/usr/local/bin:/usr/bin:/bin"

    def script(self, text: str, folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a shell script in a folder, with this ``az`` on the PATH; ``more`` joins its environment."""
        return subprocess.run(
            [*self.before, "sh", "-eu", "-c", text],
            env=self.environment | more,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
        )

    def start_script(self, text: str, folder: Path, **more: str) -> subprocess.Popen[str]:
        """Start a shell script and leave it running; stderr comes with stdout."""
        return subprocess.Popen(
            [*self.before, "sh", "-eu", "-c", text],
            env=self.environment | more,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
