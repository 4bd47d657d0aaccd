"""A documentation page, as a reader pastes it: commands, the files that it shows, outputs to compare."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FENCE = re.compile(r"(?:<!-- (?P<mark>[^>\n]+) -->\n)?```(?P<kind>sh|json)\n(?P<text>.*?)```", re.DOTALL)


@dataclass
class Block:
    """Commands, and what the page says of their output: JSON, or nothing."""

    text: str
    expected: Any = None


def section(page: Path, heading: str) -> str:
    """Return what stands below ``## heading``, up to the next of its kind."""
    text = page.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    assert text, f"{page.name} has no section '{heading}'."
    return text


def read(text: str, version: str) -> tuple[list[Block], dict[str, str]]:
    """Return the blocks for a version of az in order, and the files by name."""
    blocks: list[Block] = []
    files: dict[str, str] = {}
    left_out = False
    for found in FENCE.finditer(text):
        mark = found["mark"] or ""
        if mark.startswith("file "):
            files[mark.removeprefix("file ")] = found["text"]
        elif found["kind"] == "json":
            assert left_out or blocks, "An output stands before every command."
            if not left_out:
                blocks[-1].expected = json.loads(found["text"])
        else:
            left_out = mark.startswith("only ") and mark != f"only {version}"
            if not left_out:
                blocks.append(Block(found["text"]))
    return blocks, files


def shows(expected: Any, found: Any) -> bool:
    """Say whether an output is what the page shows: ``<...>`` is any text, further members may be there."""
    if isinstance(expected, dict):
        return isinstance(found, dict) and all(
            name in found and shows(value, found[name]) for name, value in expected.items()
        )
    if isinstance(expected, list):
        return isinstance(found, list) and len(found) == len(expected) and all(map(shows, expected, found))
    if isinstance(expected, str) and isinstance(found, str):
        pattern = "[^/]+".join(re.escape(piece) for piece in re.split(r"<[^>]*>", expected))
        return re.fullmatch(pattern, found) is not None
    return bool(expected == found)
