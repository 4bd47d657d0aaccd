"""The distribution, from ``/etc/os-release`` (os-release(5))."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

FILES = ("/etc/os-release", "/usr/lib/os-release")
MAX = 64 * 1024


class OsRelease(NamedTuple):
    """What the distribution calls itself; empty where it does not say."""

    id: str = ""
    version_id: str = ""
    pretty_name: str = ""


def _unquote(value: str) -> str:
    """Undo the shell's quoting, as far as the format allows it."""
    value = value.strip()
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
        inner = value[1:-1]
        if value[0] == "'":
            return inner
        for char in '\\"$`':
            inner = inner.replace("\\" + char, char)
        return inner
    return value


def parse(text: str) -> OsRelease:
    """Read the file; lines that are no assignment are skipped."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and not name.startswith("#"):
            found[name] = _unquote(value)[:200]
    return OsRelease(found.get("ID", ""), found.get("VERSION_ID", ""), found.get("PRETTY_NAME", ""))


def read(files: tuple[str, ...] = FILES) -> OsRelease:
    """Read the first file that exists."""
    for name in files:
        try:
            return parse(Path(name).read_bytes()[:MAX].decode("utf-8", "replace"))
        except OSError:
            continue
    return OsRelease()
