"""What a command prints: plain lines and percent lines, or one JSON object with ``--json``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TextIO

from landbridge_agent.codes import AgentError
from landbridge_agent.logline import log_line

BAR = 15
"""Columns of the progress bar."""


def _nowhere(level: str, text: str) -> None:
    """Record nothing."""


class Output:
    """Writes to the two streams; knows whether JSON was asked for."""

    def __init__(self, stdout: TextIO, stderr: TextIO, clock: Callable[[], float]) -> None:
        self._stdout = stdout
        self._stderr = stderr
        self._clock = clock
        self.json = False
        self.verbose = False
        self.log_stderr = False
        self.record: Callable[[str, str], None] = _nowhere
        """Takes level and text of what happens into the log; secrets are not for it."""

    def print(self, text: str) -> None:
        """Write a line of the command's result."""
        print(text, file=self._stdout, flush=True)

    def info(self, text: str) -> None:
        """Write a progress line; silent with ``--json``."""
        self.record("info", text)
        if not self.json:
            self.print(f"INFO    {text}")

    def percent(self, done: int) -> None:
        """Write a progress bar line as the original prints it; silent with ``--json``."""
        if not self.json:
            filled = done * BAR // 100
            bar = "=" * filled + (">" if filled < BAR else "")
            self.print(f"{done:3d}% [{bar:<{BAR}}]")

    def must_see(self, text: str) -> None:
        """Write what a person has to read now: the device code. On stderr with ``--json``."""
        print(text, file=self._stderr if self.json else self._stdout, flush=True)

    def warn(self, text: str) -> None:
        """Write a warning to stderr."""
        self.record("warning", text)
        print(f"WARN    {text}", file=self._stderr, flush=True)

    def debug(self, text: str) -> None:
        """Write a log line with ``--verbose``: to stderr with ``--log-stderr`` or ``--json``."""
        if self.verbose:
            self.record("debug", text)
            stream = self._stderr if self.log_stderr or self.json else self._stdout
            print(log_line(self._clock(), "debug", text), file=stream, flush=True)

    def object(self, value: Mapping[str, object]) -> None:
        """Write the one JSON object of a command."""
        import json

        self.print(json.dumps(value, indent=2, ensure_ascii=False))

    def fail(self, error: AgentError) -> None:
        """Report why a command failed: a log line, the code, the remedy; JSON if asked for."""
        self.record("fatal", f"{error.name}: {error.title}: {error.detail}")
        print(log_line(self._clock(), "fatal", error.detail), file=self._stderr)
        print(f"{error.name}: {error.title}", file=self._stderr)
        print(f"  Cause:  {error.detail}", file=self._stderr)
        print(f"  Remedy: {error.remedy}", file=self._stderr, flush=True)
        if self.json:
            self.object(
                {
                    "status": "failed",
                    "errorCode": error.name,
                    "errorTitle": error.title,
                    "message": error.detail,
                    "recommendedAction": error.remedy,
                    "exitCode": error.exit_code,
                }
            )
