from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest


def _load(name: str, file: Path) -> None:
    """Make the harness importable: test folders are not packages."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, file)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)


_load("relay_rehearsal", Path(__file__).parent / "rehearsal.py")


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}
