"""Runs every cell of the table of sign-ins and prints it: ``python -m tests.e2e.sign_in_matrix [--write]``.

With ``--write`` it puts the table into docs/how-to/sign-in.md, if every cell passed. Needs root, for
port 443 and namespaces, and what tools/client_environments.sh installs; takes some minutes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.e2e.parts import sign_in_table

CLONE = Path(__file__).resolve().parents[2]
PAGE = CLONE / "docs/how-to/sign-in.md"
BEGIN, END = "<!-- made by python -m tests.e2e.sign_in_matrix --write -->\n", "\n<!-- end of the table -->"


def run() -> dict[sign_in_table.Cell, str]:
    """Run the tests of all cells; return what came out."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cells"
        words = ["-q", "-k", "test_sign_in or test_a_second_factor", "tests/e2e/test_sign_in_matrix.py"]
        environment = {**os.environ, "LANDBRIDGE_SIGN_IN_TABLE": str(path)}
        subprocess.run([sys.executable, "-m", "pytest", *words], cwd=CLONE, env=environment)
        return sign_in_table.read(path)


def shown() -> str:
    """Return the table that the page shows."""
    return PAGE.read_text().partition(BEGIN)[2].partition(END)[0]


def write(table: str) -> None:
    """Put the table into the page."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(before + BEGIN + table + END + rest.partition(END)[2])


def main() -> int:
    """Run, print, and write where asked."""
    cells = run()
    print(sign_in_table.plain(cells))
    if not sign_in_table.complete(cells):
        print("Not every cell passed: the page stays as it is.")
        return 1
    if "--write" in sys.argv[1:]:
        write(sign_in_table.markdown(cells))
    return 0


if __name__ == "__main__":
    sys.exit(main())
