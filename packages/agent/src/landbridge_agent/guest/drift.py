"""What became of an assignment's resources: which were once as wanted, and how they drifted since.

It is kept on disk beside the assignment, so a correction is never forgotten: a drift is noted before
anything is done about it, and its end afterwards. The worker is the only writer.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from landbridge_agent.logline import timestamp
from landbridge_agent.work import entry

KEPT = 5
"""How many drifts of one resource are kept; all are counted."""

AGENT, ANOTHER = "agent", "another"


class History:
    """The history of one assignment; ``tag`` names what is wanted now."""

    def __init__(self, path: Path, tag: str) -> None:
        """Read what is known. What was applied counts for the same tag only; drifts stay."""
        known = entry.read_object(path) or {}
        self._path, self._tag = path, tag
        applied = known.get("applied") if known.get("tag") == tag else None
        self._applied: list[str] = [str(one) for one in applied] if isinstance(applied, list) else []
        found = known.get("drifts")
        rows = found if isinstance(found, dict) else {}
        self._drifts: dict[str, dict[str, Any]] = {
            name: row
            for name, row in rows.items()
            if isinstance(row, dict) and isinstance(row.get("last"), list)
        }

    def _save(self) -> None:
        """Write it down.

        Raises:
            OSError: it cannot be written; then nothing is changed on the machine.
        """
        kept = {"tag": self._tag, "applied": self._applied, "drifts": self._drifts}
        entry.write(self._path, json.dumps(kept).encode())

    def forget_others(self, ids: Sequence[str]) -> None:
        """Forget resources that the configuration does not have any more."""
        known = {one.lower() for one in ids}
        self._drifts = {name: row for name, row in self._drifts.items() if name in known}
        self._applied = [one for one in self._applied if one in known]

    def was_applied(self, resource: str) -> bool:
        """Whether a resource was as wanted since this was wanted."""
        return resource.lower() in self._applied

    def as_wanted(self, resource: str, now: float, *, by_us: bool) -> None:
        """Note that a resource is as wanted; a drift that was open has ended."""
        name = resource.lower()
        row = self._drifts.get(name)
        is_open = row is not None and bool(row["last"]) and not row["last"][-1].get("correctedAt")
        if name in self._applied and not is_open:
            return
        if name not in self._applied:
            self._applied.append(name)
        if row is not None and is_open:
            row["last"][-1] |= {"correctedAt": timestamp(now), "correctedBy": AGENT if by_us else ANOTHER}
            row["count"] = int(row.get("count", 0)) + (1 if by_us else 0)
        self._save()

    def drifted(self, resource: str, now: float, found: dict[str, Any], phrases: Sequence[str]) -> None:
        """Note that a resource that was as wanted is not any more; once, until that has ended."""
        row = self._drifts.setdefault(resource.lower(), {"count": 0, "last": []})
        if row["last"] and not row["last"][-1].get("correctedAt"):
            return
        noted = {"detectedAt": timestamp(now), "found": found, "reasons": list(phrases)[:5]}
        row["last"] = [*row["last"], noted][-KEPT:]
        self._save()

    def shown(self, resource: str) -> dict[str, Any]:
        """Return what a report says of a resource's past."""
        row = self._drifts.get(resource.lower(), {"count": 0, "last": []})
        return {"driftCorrectedCount": row.get("count", 0), "lastDrifts": row["last"]}

    def corrected(self, resource: str) -> tuple[str, str, int] | None:
        """Return when the agent last corrected a resource, why, and how often it has; None: never."""
        row = self._drifts.get(resource.lower())
        for one in reversed(row["last"] if row else []):
            if one.get("correctedBy") == AGENT and row is not None:
                return str(one["correctedAt"]), " ".join(map(str, one.get("reasons", []))), int(row["count"])
        return None
