"""Puts ``sshProxy`` into the wheel: the one file that tools/build_sshproxy.py makes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

TOOLS = Path(__file__).resolve().parents[3] / "tools"


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Builds the proxy into a file beside the wheel and carries it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Extend what the wheel includes."""
        sys.path.insert(0, str(TOOLS))
        from build_sshproxy import bundle

        made = Path(self.directory) / "sshproxy.py"
        made.parent.mkdir(parents=True, exist_ok=True)
        made.write_text(bundle(), encoding="utf-8")
        build_data["force_include"][str(made)] = "azext_ssh/sshproxy.py"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the file that was carried."""
        (Path(self.directory) / "sshproxy.py").unlink(missing_ok=True)
