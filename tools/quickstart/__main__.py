"""Run the quickstart from its folder: ``python tools/quickstart``."""

from __future__ import annotations

import sys
from pathlib import Path

# Python puts this folder first on the path; its parent is what holds the package.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from quickstart.main import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
