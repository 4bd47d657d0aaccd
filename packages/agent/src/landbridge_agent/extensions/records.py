"""What is known of each extension resource on this machine: one small file each, with its history.

Nothing secret is in it: of the settings only a digest under a key of its own (so that nobody who reads
it can try out passwords) is kept. A record outlives its extension, so that ``azcmagent extension list``
can tell what happened; the oldest records of what is gone are dropped.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from landbridge_agent.extensions import files
from landbridge_agent.extensions.names import Handler

FOLDER = ".records"
KEEP_EVENTS, KEEP_GONE = 40, 20
MAX_TEXT = 500

WORKING, SUCCEEDED, FAILED, GONE = "Working", "Succeeded", "Failed", "Removed"


@dataclass
class Record:
    """A resource ``name`` and the handler that serves it.

    ``state`` is how its last operation ended; WORKING on the disk while no operation is under way
    means that one was killed. ``upgrading_from`` is the version that is good, while another is put in
    its place. ``digest`` is of what the resource said when ``sequence`` was enabled.
    """

    name: str
    publisher: str = ""
    type: str = ""
    version: str = ""
    sequence: int = -1
    digest: str = ""
    state: str = ""
    upgrading_from: str = ""
    history: list[dict[str, str]] = field(default_factory=list)

    @property
    def handler(self) -> Handler:
        """The handler with its version."""
        return Handler(self.publisher, self.type, self.version)

    @property
    def is_here(self) -> bool:
        """Whether a handler serves the resource, whole or in part."""
        return bool(self.publisher) and self.state != GONE


def when(now: float) -> str:
    """Return a time as instance views and status files have it."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Records:
    """The records below the folder of extensions."""

    def __init__(self, extensions: Path) -> None:
        self._folder = extensions / FOLDER

    def get(self, name: str) -> Record:
        """Return the record of a resource; a new one where there is none that can be read."""
        return _read(self._path(name)) or Record(name)

    def every(self) -> list[Record]:
        """Return all records, by name."""
        found = [_read(path) for path in sorted(self._folder.glob("*.json"))]
        return sorted((one for one in found if one is not None), key=lambda one: one.name.lower())

    def sharing(self, record: Record, wanted: Handler) -> list[Record]:
        """Return the other resources that a handler serves."""
        name = record.name.lower()
        return [
            one
            for one in self.every()
            if one.is_here and one.handler.key == wanted.key and one.name.lower() != name
        ]

    def save(self, record: Record) -> None:
        """Write a record; it is on the disk when this returns.

        Raises:
            OSError: it cannot be written.
        """
        files.write_json(self._path(record.name), asdict(record))

    def note(self, record: Record, what: str, outcome: str, now: float) -> None:
        """Add to the history what was done and how it ended, and save the record."""
        event = {"time": when(now), "operation": what, "outcome": outcome[:MAX_TEXT]}
        record.history = [*record.history, event][-KEEP_EVENTS:]
        self.save(record)

    def forget_oldest(self) -> None:
        """Drop the records of what was removed long ago."""
        gone = [path for path in self._folder.glob("*.json") if (one := _read(path)) and not one.is_here]
        for path in sorted(gone, key=lambda path: path.stat().st_mtime)[:-KEEP_GONE]:
            path.unlink(missing_ok=True)

    def digest(self, said: Mapping[str, Any]) -> str:
        """Return what tells whether a resource says the same as before, and nothing else."""
        text = json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
        return hmac.new(self._key(), text, hashlib.sha256).hexdigest()

    def _key(self) -> bytes:
        path = self._folder / "key"
        try:
            key = path.read_bytes()
        except OSError:
            key = b""
        if len(key) != 32:
            key = os.urandom(32)
            files.write(path, key)
        return key

    def _path(self, name: str) -> Path:
        # Names have up to 260 characters, those of files up to 255 bytes.
        return self._folder / f"{hashlib.sha256(name.lower().encode()).hexdigest()[:40]}.json"


def _read(path: Path) -> Record | None:
    value = files.read_object(path)
    known = {one: value[one] for one in Record.__dataclass_fields__ if one in value}
    texts = {one: text for one, text in known.items() if one not in ("sequence", "history")}
    if not known.get("name") or not all(isinstance(one, str) for one in texts.values()):
        return None
    if not isinstance(known.get("sequence", 0), int) or not isinstance(known.get("history", []), list):
        return None
    return Record(**known)
