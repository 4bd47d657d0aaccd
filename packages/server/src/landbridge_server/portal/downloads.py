"""What this control plane hands out as files: the agent's packages, and the extension of az.

They are built beside the control plane (``tools/build_downloads.py``) and carried in its wheel.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).parent / "downloads"

DEB = re.compile(r"azcmagent_(?P<version>[0-9.]+)_all\.deb")
WHEEL = re.compile(r"landbridge_agent-(?P<version>[0-9.]+)-py3-none-any\.whl")
EXTENSION = re.compile(r"ssh-(?P<version>[0-9.]+)-py3-none-any\.whl")


class Download(NamedTuple):
    """A file; ``sha256`` is in hex."""

    name: str
    version: str
    sha256: str
    content: bytes


class Downloads:
    """The files in a folder, read once: they are some hundred kilobytes."""

    def __init__(self, folder: Path = FOLDER) -> None:
        """Read what is there; nothing, if nothing was built."""
        self.deb = _newest(folder, DEB)
        self.wheel = _newest(folder, WHEEL)
        self.extension = _newest(folder, EXTENSION)

    @property
    def agents(self) -> list[Download]:
        """The agent's packages."""
        return [one for one in (self.deb, self.wheel) if one is not None]


def _newest(folder: Path, pattern: re.Pattern[str]) -> Download | None:
    for path in sorted(folder.iterdir(), reverse=True) if folder.is_dir() else ():
        found = pattern.fullmatch(path.name)
        if found:
            content = path.read_bytes()
            return Download(path.name, found["version"], hashlib.sha256(content).hexdigest(), content)
    return None


def extension_index(downloads: Downloads, mirror: str) -> dict[str, Any]:
    """Return the index that ``az extension add`` reads; ``mirror`` is the URL that az was told."""
    found = downloads.extension
    if found is None:
        return {"formatVersion": "1", "extensions": {}}
    metadata = {
        "name": "ssh",
        "version": found.version,
        "azext.isPreview": False,
        "azext.minCliCoreVersion": "2.45.0",
        "summary": "SSH to connected machines through the relay",
    }
    row = {
        "downloadUrl": f"{mirror}/extensions/{found.name}",
        "filename": found.name,
        "sha256Digest": found.sha256,
        "metadata": metadata,
    }
    return {"formatVersion": "1", "extensions": {"ssh": [row]}}


COMMAND_TREE = {"ssh": {"arc": "ssh", "vm": "ssh", "config": "ssh", "cert": "ssh"}}
"""Which extension has which command, for az's dynamic installation."""
