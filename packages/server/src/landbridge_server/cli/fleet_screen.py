"""How ``landbridge run`` says how it goes, and what has become of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TextIO

from landbridge_server.cli.fleet_commands import Machine, Result, printable
from landbridge_server.cli.waves import Waves

TERMINAL_SECONDS, PLAIN_SECONDS = 0.2, 5.0
LONGEST_LINE = 80


class ProgressLine:
    """One line that is written anew on a terminal; elsewhere a line now and then, when something changed."""

    def __init__(self, stream: TextIO, monotonic: Callable[[], float]) -> None:
        """Write to ``stream``."""
        self._stream, self._monotonic = stream, monotonic
        self._terminal = stream.isatty()
        self._last, self._shown, self._at = "", False, -1e9

    def progress(self, waves: Waves) -> None:
        """Show how it stands, unless that was just done."""
        now = self._monotonic()
        wait = TERMINAL_SECONDS if self._terminal else PLAIN_SECONDS
        if now - self._at < wait and not waves.is_over:
            return
        text = standing(waves)
        if text == self._last:
            return
        self._at, self._last = now, text
        if self._terminal:
            self._stream.write(f"\r\x1b[K{text}")
            self._shown = True
        else:
            self._stream.write(text + "\n")
        self._stream.flush()

    def say(self, text: str) -> None:
        """Write a line of its own."""
        self.clear()
        self._stream.write(text + "\n")
        self._stream.flush()

    def clear(self) -> None:
        """Take the line that changes away."""
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._shown, self._last = False, ""


def standing(waves: Waves) -> str:
    """Return in one line how a run stands."""
    text = (
        f"{waves.ended:,} of {waves.count:,} ended, {len(waves.running):,} running, {waves.failed:,} failed"
    )
    if waves.in_canary and waves.canaries:
        text += f" ({len(waves.canaries):,} canaries first)"
    if waves.away:
        text += f", {len(waves.away):,} not connected"
    return text


def table(machines: Sequence[Machine], results: Mapping[str, Result]) -> list[dict[str, Any]]:
    """Return the rows for people: one for each machine, the group named where there are several."""
    several = len({one.group.lower() for one in machines}) > 1
    rows: list[dict[str, Any]] = []
    for machine in machines:
        result = results[machine.key]
        line = result.last_line
        row: dict[str, Any] = {"machine": machine.name}
        row |= {"group": machine.group} if several else {}
        row["state"] = result.state
        row["exitCode"] = "" if result.exit_code is None else result.exit_code
        row["duration"] = "" if result.seconds is None else f"{result.seconds:.1f} s"
        row["lastLine"] = line if len(line) <= LONGEST_LINE else line[: LONGEST_LINE - 3] + "..."
        rows.append(row)
    return rows


def documents(machines: Sequence[Machine], results: Mapping[str, Result]) -> list[dict[str, Any]]:
    """Return the same for programs, with what is left of the output: its last 4 KB."""
    return [
        {
            "id": machine.id,
            "machine": machine.name,
            "resourceGroup": machine.group,
            "state": result.state,
            "exitCode": result.exit_code,
            "seconds": result.seconds,
            "lastLine": result.last_line,
            "output": result.output,
            "error": result.error,
            "message": result.message,
        }
        for machine, result in ((one, results[one.key]) for one in machines)
    ]


def summary(results: Mapping[str, Result]) -> str:
    """Return how many machines ended in which state."""
    counts: dict[str, int] = {}
    for one in results.values():
        counts[one.state] = counts.get(one.state, 0) + 1
    return ", ".join(f"{count:,} {state}" for state, count in sorted(counts.items()))


def print_output(machine: str, text: str, stream: TextIO | None = None) -> None:
    """Print lines that a machine has printed, each with its name in front, without control characters."""
    target = stream or sys.stdout
    target.write("".join(f"{machine}: {printable(line)}\n" for line in text.splitlines()))
    target.flush()
