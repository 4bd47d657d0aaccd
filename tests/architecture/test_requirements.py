"""What is installed elsewhere is what is tested here, and says one version."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

CLONE = Path(__file__).resolve().parents[2]
REQUIREMENTS = CLONE / "requirements"
PACKAGES = sorted((CLONE / "packages").glob("*/pyproject.toml"))


def pinned(name: str) -> dict[str, str]:
    """Return the versions of a locked file, by package."""
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (REQUIREMENTS / name).read_text(), re.MULTILINE))


def test_the_control_plane_is_installed_with_the_versions_that_are_tested() -> None:
    tested, installed = pinned("dev.txt"), pinned("server.txt")
    assert len(installed) > 10
    assert {name: tested.get(name) for name in installed} == installed


def test_the_locked_requirements_are_those_of_the_package() -> None:
    project = tomllib.loads((CLONE / "packages/server/pyproject.toml").read_text())["project"]
    declared = {re.split(r"[<>=]", one)[0] for one in project["dependencies"]} - {"landbridge-wire"}
    lines = (REQUIREMENTS / "server.in").read_text().splitlines()
    assert {line for line in lines if line and not line.startswith("#")} == declared


def test_the_version_stands_in_one_place() -> None:
    assert len(PACKAGES) == 4
    for path in PACKAGES:
        content = tomllib.loads(path.read_text())
        assert content["project"]["dynamic"] == ["version"], path
        source = (path.parent / content["tool"]["hatch"]["version"]["path"]).resolve()
        assert source == CLONE / "packages/wire/src/landbridge_wire/version.py"
