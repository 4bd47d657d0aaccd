"""One log line in logrus' text format, the original's: ``time="..." level=... msg="..."``."""

from __future__ import annotations

from datetime import UTC, datetime


def timestamp(now: float) -> str:
    """Return a time (unix seconds) as the agent writes it: UTC, to the second."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def quoted(text: str) -> str:
    """Return a value on one line, in double quotes: a message cannot forge another line."""
    plain = text.replace("\\", "\\\\").replace('"', '\\"').replace("\r", "\\r").replace("\n", "\\n")
    if not plain.isprintable():  # nor steer the terminal of whoever reads it
        plain = "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in plain)
    return f'"{plain}"'


def log_line(now: float, level: str, message: str) -> str:
    """Return a whole line, without its end."""
    return f"time={quoted(timestamp(now))} level={level} msg={quoted(message)}"
