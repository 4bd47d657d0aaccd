"""Benchmarks: what we promise about speed and size, measured beside programs that do the like.

One command runs all of it, or one table of it: ``python -m benchmarks --help``. Every table
runs its baselines in turn with ours, in the same run, and prints ratios: absolutes belong to
one machine on one day. Nothing here runs in ``./test``.
"""

from __future__ import annotations

import sys
from pathlib import Path

CLONE = Path(__file__).resolve().parents[1]

# What starts the real programs is the same here and in the end-to-end tests.
sys.path += [str(CLONE / "tools"), str(CLONE / "tests/e2e/parts")]
