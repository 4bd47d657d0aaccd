"""What the agent's wheel carries besides its package: one self-contained file to hand out.

Not with ``force-include``: an editable install would get a copy of landbridge_wire too, which
hides the one that is being worked on. Build with ``uv build --wheel``; by way of an sdist,
``../wire`` could not be reached.
"""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

CARRIED = {
    "../wire/src/landbridge_wire": "landbridge_wire",
    "packaging/himdsd.service": "landbridge_agent/packaging/himdsd.service",
    "packaging/extd.service": "landbridge_agent/packaging/extd.service",
}


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds ``CARRIED`` to a wheel that is not an editable one."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Extend what the wheel includes."""
        if version == "standard":
            build_data["force_include"].update(CARRIED)
