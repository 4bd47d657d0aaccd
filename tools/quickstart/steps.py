"""One line per step, with the seconds it took."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from quickstart.programs import Failed


class StepFailed(Exception):
    """A step failed: its name, and why."""

    def __init__(self, step: str, reason: str) -> None:
        super().__init__(reason)
        self.step = step


def report(outcome: str, seconds: float, name: str) -> None:
    """Print one step's line."""
    print(f"{outcome:<6} {seconds:6.1f} s  {name}", flush=True)


@contextmanager
def step(name: str) -> Iterator[None]:
    """Time a step and print its line.

    Raises:
        StepFailed: the step did not succeed.
    """
    began = time.monotonic()
    try:
        yield
    except (Failed, OSError, KeyError, ValueError) as error:
        report("FAILED", time.monotonic() - began, name)
        reason = str(error) if isinstance(error, Failed) else f"{type(error).__name__}: {error}"
        raise StepFailed(name, reason) from error
    except KeyboardInterrupt:
        print(f"{'ended':<6} {time.monotonic() - began:6.1f} s  {name}", file=sys.stderr, flush=True)
        raise
    report("ok", time.monotonic() - began, name)
