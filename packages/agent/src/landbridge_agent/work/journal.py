"""The journal of ``extd``: what it was asked, and how that ended. Nothing in it is ever begun twice.

work/ID/       an item that has not ended: its entry (``entry.py``)
ended/ID.json  the last report about an item that has: should the cloud ask for it again, from a
               backup or because an answer was lost, it hears the same, and nothing runs
owner          whose journal it is: the principal of the machine's identity
"""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import NamedTuple

from landbridge_agent.work import entry, tree
from landbridge_wire.agent_api import MalformedMessage
from landbridge_wire.work_api import WorkItem, WorkReport

KEPT = 500
"""Items that have ended and are remembered."""

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}", re.ASCII)


class Entry(NamedTuple):
    """An item that was accepted and has not ended, and its folder."""

    item: WorkItem
    folder: Path

    @property
    def started(self) -> bool:
        """Whether a worker has begun it: then nobody may begin it again."""
        return (self.folder / entry.STARTED).exists()

    @property
    def worker(self) -> int:
        """The process that carries it out; 0 where there is none (any more)."""
        said = entry.read_object(self.folder / entry.STARTED) or {}
        pid, began = said.get("pid"), said.get("startTime")
        if not isinstance(pid, int) or said.get("bootId") != tree.boot_id():
            return 0
        return pid if began and tree.start_time(pid) == began else 0

    @property
    def result(self) -> WorkReport | None:
        """How it ended; None while it has not."""
        return _report(self.folder / entry.RESULT)

    def conclude(self, said: WorkReport) -> WorkReport:
        """Note how it ended, unless that is known; return what holds.

        Raises:
            OSError: it cannot be written.
        """
        entry.write_once(self.folder / entry.RESULT, json.dumps(said.to_json()).encode())
        return self.result or said

    def cancel(self, why: str) -> None:
        """Want it to end before its time, unless somebody wants that already.

        Raises:
            OSError: that cannot be noted.
        """
        entry.write_once(self.folder / entry.CANCEL, why.encode())


def _report(path: Path) -> WorkReport | None:
    said = entry.read_object(path)
    if said is None:
        return None
    try:
        return WorkReport.from_json(said)
    except MalformedMessage:
        return None


class Journal:
    """The journal in one folder, of one ``extd`` at a time."""

    def __init__(self, folder: Path) -> None:
        self._work, self._ended, self._owner = folder / "work", folder / "ended", folder / "owner"

    def prepare(self) -> None:
        """Make the folders, 0700.

        Raises:
            OSError: they cannot be made.
        """
        for folder in (self._work.parent, self._work, self._ended):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)

    @property
    def owner(self) -> str:
        """Whose journal it is; empty: nobody's."""
        return (entry.read(self._owner) or b"").decode("utf-8", "replace")

    def own(self, owner: str) -> None:
        """Note whose journal it is from now on."""
        entry.write(self._owner, owner.encode())

    def entries(self) -> list[Entry]:
        """Return what has not ended, the oldest first. What was never whole is removed."""
        found = []
        for folder in self._work.iterdir():
            if self.ended(folder.name) is not None:  # a kill came between the note and the removal
                shutil.rmtree(folder, ignore_errors=True)
                continue
            said = entry.read_object(folder / entry.ITEM)
            try:
                item = WorkItem.from_json(said) if said is not None else None
            except MalformedMessage:
                item = None
            if item is not None and item.id == folder.name:
                found.append(Entry(item, folder))
            else:
                self._give_up(folder)
        return sorted(found, key=lambda one: (one.item.sequence, one.item.id))

    def _give_up(self, folder: Path) -> None:
        """Remove what cannot be read; had it begun, it is remembered as failed and never begun again."""
        if (folder / entry.STARTED).exists():
            lost = WorkReport(
                {}, True, "Conflict", "What the agent had noted about it can no longer be read."
            )
            entry.write(self._ended / f"{folder.name}.json", json.dumps(lost.to_json()).encode())
        shutil.rmtree(folder, ignore_errors=True)

    def add(self, item: WorkItem) -> Entry | None:
        """Accept an item; None when it was accepted before, has ended, or its id cannot name a folder.

        Raises:
            OSError: it cannot be written; then nothing of it happens.
        """
        if not _ID.fullmatch(item.id) or self.ended(item.id) is not None:
            return None
        folder = self._work / item.id
        if (folder / entry.ITEM).exists():
            return None
        folder.mkdir(mode=0o700, exist_ok=True)
        entry.write(folder / entry.ITEM, json.dumps(item.to_json()).encode())
        entry.sync(self._work)
        return Entry(item, folder)

    def ended(self, work_id: str) -> WorkReport | None:
        """Return the last report about an item that has ended here."""
        return _report(self._ended / f"{work_id}.json") if _ID.fullmatch(work_id) else None

    def end(self, which: Entry, said: WorkReport) -> None:
        """Remember how an item ended, and forget all else about it.

        Raises:
            OSError: it cannot be remembered; then it stays.
        """
        entry.write(self._ended / f"{which.item.id}.json", json.dumps(said.to_json()).encode())
        shutil.rmtree(which.folder, ignore_errors=True)
        self._prune()

    def _prune(self) -> None:
        found = list(os.scandir(self._ended))
        if len(found) <= KEPT + KEPT // 10:
            return
        found.sort(key=lambda one: one.stat().st_mtime_ns)
        for one in found[:-KEPT]:
            Path(one.path).unlink(missing_ok=True)
