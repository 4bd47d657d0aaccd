"""Print the score of the conformance suites; ``--write`` makes ``docs/conformance.md`` of it.

.venv/bin/python -m tests.conformance            the tables
.venv/bin/python -m tests.conformance --faults   also what falls short
.venv/bin/python -m tests.conformance --write    and write the page, and raise the floor
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from tests.conformance import openapi, page, score


def main(arguments: list[str]) -> int:
    """Measure and print; 1 where the documents are absent."""
    parser = argparse.ArgumentParser(prog="tests.conformance", description=__doc__.splitlines()[0])
    parser.add_argument("--faults", action="store_true", help="print what falls short")
    parser.add_argument("--write", action="store_true", help="write docs/conformance.md and raise the floor")
    options = parser.parse_args(arguments)
    if openapi.folder() is None:
        print("No documents: set LANDBRIDGE_SPECS to the folder that holds them.", file=sys.stderr)
        return 1
    suites = asyncio.run(score.measure())
    for suite in suites:
        print(f"{suite.name}: {suite.percent:.1f} %", *page.table(suite), "", sep="\n")
        if options.faults:
            print(*page.shortfalls(suite.rows), "", sep="\n")
    if options.write:
        score.PAGE.write_text(page.text(suites))
        score.raise_floor(suites)
        print(f"Wrote {score.PAGE} and {score.FLOOR}.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
