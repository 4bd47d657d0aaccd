"""What is said about items whose worker cannot say it: what is known, and nothing more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from landbridge_agent.extensions import views
from landbridge_agent.logline import timestamp
from landbridge_agent.paths import Paths
from landbridge_agent.work import entry
from landbridge_agent.work.capture import TAIL, text_of
from landbridge_agent.work.journal import Entry
from landbridge_agent.work.tree import boot_id
from landbridge_wire.work_api import RUN_COMMAND, WorkItem, WorkReport

CODE, PREEMPTED = "Conflict", "OperationPreempted"
TASK_FAILED = -223
"""The original handler's exit code for a script that it lost."""


def streams(paths: Paths, item: WorkItem) -> dict[str, Path]:
    """Return the files of a run command's output, by stream; nothing for other items."""
    if item.type != RUN_COMMAND or item.kind != "apply":
        return {}
    folder = paths.run_commands / "download" / item.name / str(item.sequence)
    safe = item.name not in ("", ".", "..") and "/" not in item.name
    return {"stdout": folder / "stdout", "stderr": folder / "stderr"} if safe else {}


def canceled_before(which: Entry) -> WorkReport:
    """Return that an item ended before anything of it had begun."""
    why = entry.canceled(which.folder) or ""
    return _failed(which, PREEMPTED, f"It was canceled before it had begun: {why}", "Canceled")


def not_started(which: Entry) -> WorkReport:
    """Return that no worker could begin."""
    return _failed(
        which, CODE, "The agent could not start a process for it. See its log on the machine.", "Failed"
    )


def _failed(which: Entry, code: str, text: str, state: str) -> WorkReport:
    seen: dict[str, Any] = {}
    if which.item.type == RUN_COMMAND:
        seen = {"instanceView": {"executionState": state, "executionMessage": text}}
    return WorkReport(seen, True, code, text)


def interrupted(which: Entry, paths: Paths, now: float) -> WorkReport:
    """Return that a worker was killed in the middle, with what is known of how far it had come."""
    why = entry.canceled(which.folder)
    begun = entry.read_object(which.folder / entry.STARTED) or {}
    cause = (
        "the machine was restarted" if begun.get("bootId") != boot_id() else "the agent's process was killed"
    )
    text = f"It was ended in the middle, because {cause}; it is not run again. How far it came is not known."
    if why is not None:
        text = f"It was ended: {why}"
    observed = entry.read_object(which.folder / entry.OBSERVED)
    if which.item.type != RUN_COMMAND or which.item.kind != "apply":
        return WorkReport(views.interrupted(observed or {}, text, now), True, CODE, text)
    if observed is None:
        return _failed(
            which, PREEMPTED if why is not None else CODE, text, "Canceled" if why is not None else "Failed"
        )
    seen = {
        **observed.get("instanceView", {}),
        "executionState": "Canceled" if why is not None else "Failed",
        "executionMessage": text,
        "exitCode": TASK_FAILED,
        "endTime": timestamp(now),
    }
    for name, path in zip(("output", "error"), streams(paths, which.item).values(), strict=False):
        seen[name] = _tail(path)
    return WorkReport({"instanceView": seen}, True)


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - TAIL))
            return text_of(file.read(TAIL))
    except OSError:
        return ""
