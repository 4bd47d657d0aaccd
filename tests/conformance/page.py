"""``docs/conformance.md``: the tables, and what falls short with the reason."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tests.conformance import scope
from tests.conformance.score import WANTED, Row, Suite

HEAD = """# Conformance

What the resource manager answers, held against what Microsoft published: the OpenAPI documents
with their examples, and recorded traffic of the real service. Written by

    .venv/bin/python -m tests.conformance --write

which also raises the floor in `tests/conformance/floor.json`; `./test` fails when fewer cases
pass than the floor says. The data is not part of the repository: it is read from
`LANDBRIDGE_SPECS`, or from `../shared/specs` beside the clone; without it the tests are skipped.

**Examples** (`tests/conformance/examples.py`): one case for every operation and example. What it
supposes is made through the API; the status must be declared, every body in the case must fit
its schema, every writable value must come back, GET must show what PUT answered, the list must
hold it, and after DELETE follow 404 and 204. **Recordings** (`tests/conformance/recordings.py`):
each recorded request in order; status, polling headers, the code of an error, and the members
and types of the JSON are compared. What may differ is listed at the top of each module.

*Not offered*: the type or operation is not part of this cloud, and the suites check that it is
refused with `InvalidResourceType` (or, for want of even more, `InvalidResourceNamespace` or
`ParentResourceNotFound`). It does not count.
"""

# Why a case falls short, by an expression over "document operation" or "recording request".
REASONS: tuple[tuple[str, str], ...] = (
    (r"DenyAssignments_Get", "nobody can make a deny assignment, so there is none to show"),
)


def table(suite: Suite) -> list[str]:
    """Return the lines of a suite's table, with its sum."""
    rows = suite.rows
    passed, counted = sum(row.passed for row in rows), sum(row.counted for row in rows)
    refused = sum(row.not_offered for row in rows)
    lines = ["| | passed | of | | not offered |", "|---|---:|---:|---:|---:|"]
    lines += [_line(row.name, row.passed, row.counted, row.not_offered) for row in rows]
    return [*lines, _line("**all**", passed, counted, refused)]


def _line(name: str, passed: int, counted: int, refused: int) -> str:
    share = f"{100 * passed / counted:.0f} %" if counted else ""
    return f"| {name.removesuffix('.json')} | {passed} | {counted} | {share} | {refused or ''} |"


def shortfalls(rows: Iterable[Row]) -> list[str]:
    """Return one line for each kind of failure, what is most frequent first."""
    found: dict[tuple[str, str], int] = {}
    for row in rows:
        for what, fault in row.faults:
            known = next((why for pattern, why in REASONS if re.search(pattern, f"{row.name} {what}")), fault)
            key = (f"{row.name.removesuffix('.json')}, {what}", known)
            found[key] = found.get(key, 0) + 1
    ranked = sorted(found.items(), key=lambda one: (-one[1], one[0]))
    return [f"- {what}{f' ({count} times)' if count > 1 else ''}: {why}" for (what, why), count in ranked]


def text(suites: list[Suite]) -> str:
    """Return the whole page."""
    lines = [HEAD]
    for suite in suites:
        lines += [f"## {suite.name.title()}: {suite.percent:.1f} %", ""]
        lines += [f"At least {WANTED[suite.name]:.0f} % are wanted.", "", *table(suite), ""]
        short = shortfalls(suite.rows)
        lines += ["What falls short:", "", *short, ""] if short else ["Nothing falls short.", ""]
    lines += ["## What is not offered", ""]
    lines += [f"- `{one.pattern.strip()}`: {one.reason}" for one in scope.NOT_OFFERED]
    lines += ["", "## Recordings that are left out", ""]
    lines += [f"- `{pattern}`: {reason}" for pattern, reason in scope.RECORDINGS_LEFT_OUT]
    return "\n".join(lines) + "\n"
