"""Where guest configuration keeps its files, and the shape of what it reports. Small: ``extd`` loads it.

Below ``/var/lib/GuestConfig``, which only root may enter::

    assignments/NAME.json    what is wanted, with its protected parameters (0600)
    history/NAME.json        what was applied and how it drifted; the worker's
    schedule.json            when each was evaluated
    evaluation/              the request and the result of the evaluation that runs
    reports/                 reports that the cloud has not got yet, the oldest first
    Configuration/NAME/      the package of an assignment
    arc_policy_logs/gc_agent.log
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from landbridge_agent.logline import timestamp
from landbridge_agent.paths import Paths

REQUEST, RESULT = "request.json", "result.json"
MEMORY_BYTES = 1024 * 1024 * 1024
"""The most memory that one evaluation may have, with the programs that it runs."""

MAX_PHRASE = 2000
MAX_REPORT = 256 * 1024
"""About how large a report may become, in bytes; then it says less about single resources."""

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyz0123456789._-")


class Places:
    """The files and folders of one agent."""

    def __init__(self, paths: Paths) -> None:
        self.top = paths.guest_configuration
        self.assignments = self.top / "assignments"
        self.reports = self.top / "reports"
        self.evaluation = self.top / "evaluation"
        self.schedule = self.top / "schedule.json"
        self.owner = self.top / "machine.json"
        self.log = self.top / "arc_policy_logs" / "gc_agent.log"

    def make(self) -> None:
        """Make the folders, 0700.

        Raises:
            OSError: one cannot be made.
        """
        self.top.parent.mkdir(parents=True, exist_ok=True)
        for folder in (
            self.top,
            self.assignments,
            self.top / "history",
            self.reports,
            self.top / "Configuration",
            self.log.parent,
        ):
            folder.mkdir(mode=0o700, exist_ok=True)

    def assignment(self, name: str) -> Path:
        """Return the file of what is wanted."""
        return self.assignments / f"{key(name)}.json"

    def history(self, name: str) -> Path:
        """Return the file of what became of it."""
        return self.top / "history" / f"{key(name)}.json"

    def packages(self, name: str) -> Path:
        """Return the folder of its package."""
        return self.top / "Configuration" / key(name)


def key(name: str) -> str:
    """Return the name of an assignment as the name of a file; names differ in more than case."""
    text = "".join(one if one in _PLAIN else "%" + one.encode().hex() for one in name.lower())
    if text.startswith("."):
        text = "%2e" + text[1:]
    if len(text) <= 100:
        return text
    import hashlib

    return text[:60] + "%" + hashlib.sha256(name.lower().encode()).hexdigest()[:32]


def resource_of(
    name: str, status: str, reasons: Iterable[Sequence[str]], properties: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what a report says of one resource (contract: agent, 5.1); reasons are (code, phrase)."""
    return {
        "complianceStatus": status,
        "resourceId": name[:1024],
        "reasons": [{"phrase": phrase[:MAX_PHRASE], "code": code[:1024]} for code, phrase in reasons],
        "properties": {"ResourceId": name, **properties},
    }


def moment(now: float) -> str:
    """Return a time (unix seconds) as reports have it: to the millisecond, so that they have an order."""
    return f"{timestamp(now)[:-1]}.{int(now * 1000) % 1000:03d}Z"


def report_of(
    status: str,
    resources: Sequence[dict[str, Any]],
    *,
    began: float,
    ended: float,
    job: str,
    operation: str,
    version: str,
) -> dict[str, Any]:
    """Return a report (contract: agent, 5.1), of bounded size."""
    times = {"startTime": moment(began), "endTime": moment(max(began, ended))}
    details = {
        "complianceStatus": status,
        **times,
        "jobId": job,
        "operationType": operation,
        "resources": _bounded(resources),
    }
    report: dict[str, Any] = {"complianceStatus": status, **times, "details": details}
    if version:
        report["configurationVersion"] = version[:64]
    return report


def _bounded(resources: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    import json

    rows, left = list(resources), MAX_REPORT
    for index, row in enumerate(rows):
        left -= len(json.dumps(row))
        if left < 0:
            short = [{**one, "phrase": one["phrase"][:200]} for one in row["reasons"][:3]]
            name = {"ResourceId": row["resourceId"], "shortened": True}
            rows[index] = {**row, "reasons": short, "properties": name}
    return rows
