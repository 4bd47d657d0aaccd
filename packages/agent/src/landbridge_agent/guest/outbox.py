"""Reports that the cloud has not got yet, on disk.

A report's id is made before its evaluation begins, so one that is sent twice, or queued twice, is one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from landbridge_agent.guest.places import key
from landbridge_agent.work import entry

KEPT_EACH = 100
"""Reports of one assignment that wait; the control plane keeps no more."""

KEPT = 1000
KEPT_BYTES = 64 * 1024 * 1024


class Letter(NamedTuple):
    """One report that waits. ``tag`` says of which assignment's state it is."""

    path: Path
    name: str
    tag: str
    report_id: str
    report: dict[str, Any]


class Outbox:
    """The reports in a folder, the oldest first. When there are too many the oldest go."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, name: str, tag: str, report_id: str, report: Mapping[str, Any]) -> None:
        """Queue a report, unless it is queued.

        Raises:
            OSError: it cannot be written.
        """
        paths = self._paths()
        if any(path.name.endswith(f".{report_id}.json") for path in paths):
            return
        last = max((int(path.name.split(".")[0]) for path in paths), default=0)
        body = {"name": name, "tag": tag, "id": report_id, "report": dict(report)}
        path = self._folder / f"{last + 1:012d}.{key(name)}.{report_id}.json"
        entry.write(path, json.dumps(body).encode())
        self._bound([*paths, path], f".{key(name)}.")

    def _paths(self) -> list[Path]:
        return sorted(path for path in self._folder.glob("*.json") if path.name.split(".")[0].isdecimal())

    def _bound(self, paths: list[Path], middle: str) -> None:
        own = [path for path in paths if middle in path.name]
        old = {*own[:-KEPT_EACH], *paths[:-KEPT]}
        left = KEPT_BYTES
        for path in reversed(paths):
            left -= path.stat().st_size
            if left < 0:
                old.add(path)
        for path in old:
            path.unlink(missing_ok=True)

    def letters(self) -> Iterator[Letter]:
        """Yield what waits; what cannot be read is thrown away."""
        for path in self._paths():
            body = entry.read_object(path) or {}
            texts = [body.get(name) for name in ("name", "tag", "id")]
            report = body.get("report")
            if isinstance(report, dict) and all(isinstance(one, str) for one in texts):
                yield Letter(path, str(texts[0]), str(texts[1]), str(texts[2]), report)
            else:
                path.unlink(missing_ok=True)
