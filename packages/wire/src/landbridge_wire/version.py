"""The version of Landbridge: the one place where it is written down."""

from __future__ import annotations

VERSION = "0.1.0"
"""What the wheels are called; the agent also says, to clients of Azure, which of theirs it equals."""
