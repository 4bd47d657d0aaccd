"""What is wanted of this machine, on disk: it holds while the cloud is away, however long that is.

The original forgets its assignments after 14 days without the cloud. Here they stay: a machine whose
link is down for three weeks is not to lose what was wanted of it. They go when the cloud takes them
away, or when the machine becomes another one.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from landbridge_agent.guest.places import Places, key
from landbridge_agent.work import entry
from landbridge_wire.agent_api import MalformedMessage
from landbridge_wire.work_api import Assignment, Assignments


class Desired:
    """The assignments of a machine, in memory and on disk."""

    def __init__(self, places: Places) -> None:
        """Read what is there; a file that cannot be read is as good as none, and is fetched again."""
        self._places = places
        self.assignments: dict[str, Assignment] = {}
        for path in sorted(places.assignments.glob("*.json")):
            try:
                one = Assignment.from_json(entry.read_object(path))
            except MalformedMessage:
                continue
            self.assignments[key(one.name)] = one
        tags = entry.read_object(places.top / "tags.json") or {}
        self.tags = {name: str(value) for name, value in tags.items()}

    def take(self, wanted: Assignments) -> list[str]:
        """Have disk and memory say what the cloud says; return the names of what is gone.

        Raises:
            OSError: it cannot be written; what was known holds on.
        """
        found = {key(one.name): one for one in wanted.assignments}
        for name, one in found.items():
            if self.assignments.get(name) != one:
                body = {**one.to_json(), "protected": list(one.protected)}
                entry.write(self._places.assignment(one.name), json.dumps(body).encode())
        gone = [one.name for name, one in self.assignments.items() if name not in found]
        for name in gone:
            self.remove(name)
        if self.tags != wanted.tags:
            entry.write(self._places.top / "tags.json", json.dumps(wanted.tags).encode())
        self.assignments, self.tags = found, dict(wanted.tags)
        return gone

    def remove(self, name: str) -> None:
        """Remove the files of an assignment: what was wanted, its history, its package."""
        self._places.assignment(name).unlink(missing_ok=True)
        self._places.history(name).unlink(missing_ok=True)
        shutil.rmtree(self._places.packages(name), ignore_errors=True)

    def belong_to(self, owner: str) -> bool:
        """Forget everything if the machine has become another one; say whether that was so.

        Raises:
            OSError: it cannot be written down.
        """
        known = (entry.read_object(self._places.owner) or {}).get("owner")
        if known == owner:
            return False
        for one in list(self.assignments.values()):
            self.remove(one.name)
        self.assignments, self.tags = {}, {}
        for path in (self._places.schedule, self._places.top / "tags.json", *self._left()):
            path.unlink(missing_ok=True)
        entry.write(self._places.owner, json.dumps({"owner": owner}).encode())
        return known is not None

    def _left(self) -> list[Path]:
        return [*self._places.assignments.glob("*"), *self._places.reports.glob("*")]
