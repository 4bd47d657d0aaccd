"""The score of both suites, the floor that it may not fall below, and the page that shows it.

``floor.json`` holds, for each document and each recording, how many cases passed when the page
was last written. Writing raises it and never lowers it.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.conformance import examples, recordings, world
from tests.conformance.openapi import CLONE

FLOOR = Path(__file__).with_name("floor.json")
PAGE = CLONE / "docs" / "conformance.md"
WANTED = {"examples": 95.0, "recordings": 85.0}


@dataclass
class Row:
    """One line of a table: a document or a recording."""

    name: str
    passed: int = 0
    failed: int = 0
    not_offered: int = 0
    faults: list[tuple[str, str]] = field(default_factory=list)
    """What fell short, and the first thing that was wrong with it."""

    @property
    def counted(self) -> int:
        """How many cases count."""
        return self.passed + self.failed


@dataclass
class Suite:
    """One of the two suites, whole."""

    name: str
    rows: list[Row]

    @property
    def percent(self) -> float:
        """The share of the counted cases that passed."""
        counted = sum(row.counted for row in self.rows)
        return 100.0 * sum(row.passed for row in self.rows) / counted if counted else 0.0


async def of_examples(folder: Path) -> Suite:
    """Replay all examples, each document in a cloud of its own."""
    rows = []
    for number, document in enumerate(examples.in_scope()):
        async with world.opened(folder / f"examples{number}") as cloud:
            rows.append(example_row(document.name, await examples.replay(cloud, document)))
    return Suite("examples", rows)


async def of_recordings(folder: Path) -> Suite:
    """Replay all recordings, each in a cloud of its own."""
    rows = []
    for number, name in enumerate(recordings.in_scope()):
        async with world.opened(folder / f"recordings{number}") as cloud:
            rows.append(recording_row(await recordings.replay(cloud, name)))
    return Suite("recordings", rows)


def example_row(name: str, cases: list[examples.Case]) -> Row:
    """Return the line of a document."""
    outcomes = Counter(case.outcome for case in cases)
    faults = [(f"{case.operation}: {case.title}", case.faults[0]) for case in cases if case.faults]
    return Row(
        name,
        outcomes[examples.PASSED],
        outcomes[examples.FAILED],
        outcomes[examples.NOT_OFFERED],
        faults,
    )


def recording_row(outcome: recordings.Outcome) -> Row:
    """Return the line of a recording; a refusal that is not one counts as failed."""
    refused = [step for step in outcome.steps if step.not_offered]
    wrong = [step for step in refused if step.faults]
    faults = [(f"{step.method} {_end(step.path)}", step.faults[0]) for step in outcome.steps if step.faults]
    failed = len(outcome.counted) - outcome.passed + len(wrong)
    return Row(outcome.name, outcome.passed, failed, len(refused) - len(wrong), faults)


def _end(path: str) -> str:
    return path if len(path) < 80 else "..." + path[-77:]


def floor() -> dict[str, dict[str, int]]:
    """Return what must pass: suite -> document or recording -> how many."""
    known: dict[str, dict[str, int]] = json.loads(FLOOR.read_text()) if FLOOR.exists() else {}
    return {"examples": {}, "recordings": {}} | known


def raise_floor(suites: list[Suite]) -> None:
    """Write the floor anew: where more passed than before, more is asked from now on."""
    known = floor()
    for suite in suites:
        for row in suite.rows:
            known[suite.name][row.name] = max(row.passed, known[suite.name].get(row.name, 0))
    FLOOR.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")


async def measure() -> list[Suite]:
    """Run both suites in a folder that goes away."""
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
        return [await of_examples(Path(folder)), await of_recordings(Path(folder))]
