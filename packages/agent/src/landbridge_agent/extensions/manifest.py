"""``HandlerManifest.json``: which commands a handler has (contract: agent, 4.2)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from landbridge_agent.extensions import files
from landbridge_agent.extensions.errors import ExtensionFailed

MANIFEST = "HandlerManifest.json"
INSTALL, ENABLE, UPDATE, DISABLE, UNINSTALL = "install", "enable", "update", "disable", "uninstall"
OPERATIONS = (INSTALL, ENABLE, UPDATE, DISABLE, UNINSTALL)


class Manifest(NamedTuple):
    """What a handler says of itself: its commands by operation, how it is updated, how often it is one."""

    commands: Mapping[str, str]
    update_installs: bool
    several: bool
    """Whether several resources may share the handler (``supportsMultipleExtensions``)."""


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of an unpacked handler.

    Raises:
        ExtensionFailed: there is none, or it lacks a command.
    """
    value = files.read_json(folder / MANIFEST)
    first = value[0] if isinstance(value, list) and value else value
    said = first.get("handlerManifest") if isinstance(first, dict) else None
    if not isinstance(said, dict):
        raise ExtensionFailed(f"The package has no {MANIFEST} with a 'handlerManifest'.")
    commands = {name: said.get(f"{name}Command") for name in OPERATIONS}
    for name, command in commands.items():
        if not isinstance(command, str) or not command.strip():
            raise ExtensionFailed(f"The package's {MANIFEST} has no '{name}Command'.")
    mode = str(said.get("updateMode", "UpdateWithInstall")).lower()
    return Manifest(
        {name: str(command) for name, command in commands.items()},
        mode != "updatewithoutinstall",
        _on(said, "supportsMultipleExtensions"),
    )


def _on(said: Mapping[str, Any], name: str) -> bool:
    """Read a switch, which manifests have as a boolean or as text."""
    value = said.get(name, False)
    return value is True or (isinstance(value, str) and value.lower() == "true")
