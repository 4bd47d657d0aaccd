from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def _load(name: str, file: Path) -> None:
    """Make a file importable that is in no package: the relay's harness, the build tool."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, file)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)


_load("relay_rehearsal", ROOT / "packages/server/tests/relay/rehearsal.py")
_load("build_sshproxy", ROOT / "tools/build_sshproxy.py")


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="session")
def proxy_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real thing: the built, single file."""
    import os

    from build_sshproxy import build

    file = tmp_path_factory.mktemp("bin") / "sshProxy"
    build(file, f"{os.path.realpath(sys.executable)} -ISE")
    return file
