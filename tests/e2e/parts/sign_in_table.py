"""The table of every way to sign in, in both styles, with both versions of the real ``az``.

A cell says ``passed``, or names what that version of ``az`` itself cannot do. A file, if
``LANDBRIDGE_SIGN_IN_TABLE`` names one, gathers what several processes found.
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

STYLES = {"aad": "AAD", "adfs": "AD FS"}
VERSIONS = ("2.91", "2.66")
IDENTITY = "managed identity"
WAYS = {
    "password": "user and password: `az login -u U -p P`",
    "browser": "browser: `az login`",
    "device code": "device code: `az login --use-device-code`",
    "SP secret": "service principal, secret: `-p SECRET`",
    "SP certificate": "service principal, certificate: `--certificate FILE`",
    IDENTITY: "managed identity, on a machine: `az login --identity`",
}
LIMITS = {("2.66", IDENTITY): "no: knows no Arc"}
"""What a version of ``az`` cannot do, whatever a cloud answers (its code asks 169.254.169.254 alone)."""

PASSED, FAILED, NOT_RUN = "passed", "FAILED", "-"

Cell = tuple[str, str, str]
_cells: dict[Cell, str] = {}


def gathered() -> Path | None:
    """Return the file that several processes share, if there is one."""
    name = os.environ.get("LANDBRIDGE_SIGN_IN_TABLE", "")
    return Path(name) if name else None


def note(cell: Cell, outcome: str) -> None:
    """Write down what came out of a style, a version and a way."""
    _cells[cell] = outcome
    if path := gathered():
        with path.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(json.dumps([*cell, outcome]) + "\n")


def read(path: Path) -> dict[Cell, str]:
    """Return what a shared file says, the last word for each cell."""
    lines = path.read_text().splitlines() if path.exists() else []
    rows = [json.loads(line) for line in lines]
    return {(row[0], row[1], row[2]): row[3] for row in rows}


def outcome(cells: dict[Cell, str], cell: Cell) -> str:
    """Return what a cell says."""
    return cells.get(cell) or LIMITS.get(cell[1:]) or NOT_RUN


def plain(cells: dict[Cell, str] | None = None) -> str:
    """Return the table for a terminal."""
    return _lines(cells if cells is not None else _cells, [["", *_columns()]], WAYS, "  ")


def markdown(cells: dict[Cell, str]) -> str:
    """Return the table for the documentation."""
    top = [["", *_columns()], ["---"] * (len(_columns()) + 1)]
    return _lines(cells, top, {way: text for way, text in WAYS.items()}, " | ", words=True)


def complete(cells: dict[Cell, str]) -> bool:
    """Say whether every cell passed or is beyond its version of ``az``."""
    every = [(style, version, way) for style in STYLES for version in VERSIONS for way in WAYS]
    return all(outcome(cells, cell) in (PASSED, *LIMITS.values()) for cell in every)


def _columns() -> list[str]:
    return [f"{title} {version}" for title in STYLES.values() for version in VERSIONS]


def _lines(
    cells: dict[Cell, str], top: list[list[str]], ways: dict[str, str], between: str, words: bool = False
) -> str:
    rows = top + [
        [text if words else way]
        + [outcome(cells, (style, version, way)) for style in STYLES for version in VERSIONS]
        for way, text in ways.items()
    ]
    if words:
        return "\n".join(f"| {between.join(row)} |" for row in rows)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        between.join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
