"""One run command on one machine, as ``landbridge run`` writes and reads it. Pure.

The document is ``Microsoft.HybridCompute/machines/runCommands``. What a machine printed is a
stranger's text: nothing of it that could steer a terminal is shown.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

VERSION = "2024-07-10"
SUCCEEDED, FAILED, TIMED_OUT, CANCELED = "Succeeded", "Failed", "TimedOut", "Canceled"
REFUSED, NO_ANSWER, SKIPPED, NOT_STARTED = "Refused", "NoAnswer", "Skipped", "NotStarted"
RUNNING, PENDING = "Running", "Pending"

ENDS = frozenset({SUCCEEDED, FAILED, TIMED_OUT, CANCELED})
_OPEN = frozenset({"Creating", "Updating", "Deleting"})


@dataclass(frozen=True)
class Machine:
    """A machine of the run: its resource id, where it is said to be, and its status."""

    id: str
    location: str = "local"
    status: str = ""

    @property
    def key(self) -> str:
        """The id in lower case: what two spellings have in common."""
        return self.id.lower()

    @property
    def name(self) -> str:
        """The name of the machine in its group."""
        return self.id.rsplit("/", 1)[-1]

    @property
    def group(self) -> str:
        """The resource group."""
        return self.id.split("/")[4]


@dataclass(frozen=True)
class Result:
    """What became of the command on one machine. ``seconds``: None where it never ran."""

    state: str
    exit_code: int | None = None
    seconds: float | None = None
    output: str = ""
    error: str = ""
    message: str = ""

    @property
    def is_end(self) -> bool:
        """Whether the machine has done with it."""
        return self.state in ENDS or self.state in (REFUSED, NO_ANSWER)

    @property
    def last_line(self) -> str:
        """The last line that was printed, else what the cloud says about it; without control characters."""
        for text in (self.output, self.error, self.message):
            lines = [line for line in text.splitlines() if line.strip()]
            if lines:
                return printable(lines[-1].strip())
        return ""


def printable(text: str) -> str:
    """Return a text without what steers a terminal; tabs become spaces."""
    return "".join(
        one if one.isprintable() else " " if one == "\t" else "\N{REPLACEMENT CHARACTER}" for one in text
    )


def script_of(words: Sequence[str]) -> str:
    """Return the words of a command as one line of shell that means exactly these words."""
    return shlex.join(words)


def body(
    script: str,
    *,
    arguments: Sequence[str] = (),
    parameters: Mapping[str, str] | None = None,
    seconds: int,
    user: str = "",
) -> dict[str, Any]:
    """Return the properties of the run command: named parameters are environment variables there."""
    given: list[dict[str, str]] = [
        {"name": name, "value": value} for name, value in (parameters or {}).items()
    ]
    given += [{"value": one} for one in arguments]
    properties: dict[str, Any] = {
        "source": {"script": script},
        "asyncExecution": False,
        "timeoutInSeconds": seconds,
    }
    if given:
        properties["parameters"] = given
    if user:
        properties["runAsUser"] = user
    return properties


def path_of(machine: str, run: str, action: str = "") -> str:
    """Return the address of a run's command on a machine, or of an action of it."""
    return f"{machine}/runCommands/{run}{'/' if action else ''}{action}?api-version={VERSION}"


def read(document: Mapping[str, Any]) -> Result:
    """Return what a run command's resource says; whatever is missing or malformed is left out."""
    properties = _object(document.get("properties"))
    view = _object(properties.get("instanceView"))
    state = str(view.get("executionState") or PENDING)
    provisioned = str(properties.get("provisioningState") or "Creating")
    if provisioned in _OPEN and state in ENDS:
        state = RUNNING  # it says so before it has reported the end
    elif provisioned not in _OPEN and state not in ENDS:
        state = CANCELED if provisioned == CANCELED else FAILED
    code = view.get("exitCode")
    return Result(
        state,
        code if isinstance(code, int) else None,
        _seconds(view.get("startTime"), view.get("endTime")),
        str(view.get("output") or ""),
        str(view.get("error") or ""),
        str(view.get("executionMessage") or ""),
    )


def judged(result: Result) -> Result:
    """Return an ended result whose state agrees with its exit code."""
    if result.state == SUCCEEDED and result.exit_code not in (0, None):
        return replace(result, state=FAILED)
    return result


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _seconds(began: object, ended: object) -> float | None:
    try:
        span = datetime.fromisoformat(str(ended)) - datetime.fromisoformat(str(began))
    except (TypeError, ValueError):
        return None
    return max(0.0, span.total_seconds())
