"""Rules about the files of the repository that no tool checks."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

CLONE = Path(__file__).resolve().parents[2]
LONGEST = 400
SHELL_SCRIPTS = [
    "quickstart",
    "test",
    ".ci/run",
    "tools/bootstrap.sh",
    "tools/client_environments.sh",
    "tools/lock",
]
SOURCES = sorted(CLONE.glob("packages/*/src/**/*.py"))
TOOLS = sorted(CLONE.glob("tools/**/*.py"))


def tracked() -> list[Path]:
    """Every text file that git knows and that is there."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=CLONE, capture_output=True, check=True).stdout
    paths = (CLONE / name for name in listed.decode().split("\0") if name)
    return [path for path in paths if path.is_file() and b"\0" not in path.read_bytes()]


def name_of(path: Path) -> str:
    return str(path.relative_to(CLONE))


@pytest.mark.parametrize("path", [*SOURCES, *TOOLS], ids=name_of)
def test_a_source_file_can_be_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST


@pytest.mark.parametrize("path", [*SOURCES, *TOOLS], ids=name_of)
def test_every_module_says_what_it_is_for(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree) or not tree.body


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_no_module_is_a_box_of_odds_and_ends(path: Path) -> None:
    assert not {"utils", "util", "helpers", "helper", "common", "misc"} & {path.stem, *path.parent.parts}


@pytest.mark.parametrize("path", sorted(CLONE.glob("packages/wire/src/**/*.py")), ids=name_of)
def test_wire_does_no_io_reads_no_clock_and_needs_nothing_else(path: Path) -> None:
    named: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            named |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            named.add(str(node.module).partition(".")[0])
    assert named <= sys.stdlib_module_names | {"landbridge_wire"}
    assert not named & {"asyncio", "datetime", "io", "os", "pathlib", "socket", "ssl", "subprocess", "time"}


def test_no_tracked_file_names_the_machine_it_was_written_on() -> None:
    home = re.escape(str(CLONE))
    # Spelled apart, so that this file is not a finding of its own.
    hosts = "|".join(re.escape(host) for host in ("files.python" + "hosted.org", "pypi" + ".org/simple"))
    forbidden = re.compile(rf"(?<![\w.*/}}\])>-]){home}(?![\w-])|{hosts}|--(extra-)?index-url|--find-links")
    this = Path(__file__).resolve()
    found = [
        f"{name_of(path)}: {match[0]}"
        for path in tracked()
        if path != this and (match := forbidden.search(path.read_text(errors="replace")))
    ]
    assert found == []


def test_every_requirement_is_hashed() -> None:
    for path in sorted((CLONE / "requirements").glob("*.txt")):
        pinned = re.findall(r"^[a-z0-9][^\n]*", path.read_text(), re.MULTILINE)
        assert pinned
        assert all(re.fullmatch(r"\S+==\S+( ; .+)? \\", line) for line in pinned), path
        blocks = re.split(r"^(?=[a-z0-9])", path.read_text(), flags=re.MULTILINE)[1:]
        assert all("--hash=sha256:" in block for block in blocks), path


@pytest.mark.parametrize("name", SHELL_SCRIPTS)
def test_a_shell_script_is_posix_and_can_be_executed(name: str) -> None:
    path = CLONE / name
    assert path.read_text().startswith("#!/bin/sh\n")
    assert path.stat().st_mode & 0o111
    subprocess.run(["dash", "-n", path], check=True)


def test_every_tracked_shell_script_is_among_those_checked() -> None:
    scripts = {name_of(path) for path in tracked() if path.read_bytes().startswith(b"#!/bin/sh")}
    assert scripts - {name for name in scripts if name.startswith("packages/")} == set(SHELL_SCRIPTS)


@pytest.mark.parametrize("command", ["./quickstart", "./test"])
def test_the_readme_names_the_two_commands_and_they_exist(command: str) -> None:
    assert command in (CLONE / "README.md").read_text()
    assert (CLONE / command).stat().st_mode & 0o111


@pytest.mark.parametrize(
    "name",
    ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE", "CHANGELOG.md"],
)
def test_a_newcomer_finds(name: str) -> None:
    assert (CLONE / name).read_text().strip()


def test_the_links_of_the_documents_lead_somewhere() -> None:
    links = [
        (path, target)
        for path in tracked()
        if path.suffix == ".md"
        for target in re.findall(r"\]\(([^)#\s]+)", path.read_text())
        if "://" not in target and not target.startswith("mailto:")
    ]
    assert [f"{name_of(path)}: {to}" for path, to in links if not (path.parent / to).exists()] == []
