"""The real ``az`` from its environment under ``.cache``, signed in nowhere."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from running import CLONE, ENVIRONMENT

PUBLIC_AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")


class Az:
    """One person's ``az``: a version, and a configuration folder of its own."""

    def __init__(self, version: str, folder: Path, ca_file: Path, before: Sequence[str | Path] = ()) -> None:
        """``before`` are words that run the program, such as ``unshare`` with its own."""
        self.version = version
        self.before = tuple(before)
        self.program = CLONE / ".cache" / f"az-{version}" / "bin/az"
        bundle = folder / "bundle.pem"
        bundle.write_text(PUBLIC_AUTHORITIES.read_text() + ca_file.read_text())
        self.environment = {
            **ENVIRONMENT,
            "AZURE_CONFIG_DIR": str(folder / "az"),
            "AZURE_CORE_COLLECT_TELEMETRY": "0",
            "AZURE_CORE_NO_COLOR": "1",
            "REQUESTS_CA_BUNDLE": str(bundle),
        }

    def call(self, *words: str, seconds: float = 180) -> subprocess.CompletedProcess[str]:
        """Run ``az`` to its end, whatever that is."""
        return subprocess.run(
            [*self.before, self.program, *words],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
        )

    def __call__(self, *words: str) -> Any:
        """Run ``az``, which must succeed; return its JSON, or None when it printed nothing."""
        done = self.call(*words, "-o", "json")
        assert done.returncode == 0, f"az {' '.join(words)}:\n{done.stdout}{done.stderr}"
        return json.loads(done.stdout) if done.stdout.strip() else None

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start ``az`` and leave it running; stderr comes with stdout."""
        return subprocess.Popen(
            [*self.before, self.program, *words],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
