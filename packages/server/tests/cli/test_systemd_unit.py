"""The unit that is printed: what systemd says of it, and what it does not start."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from landbridge_server.cli import systemd_unit
from landbridge_server.cli.arguments import CommandError
from landbridge_server.cli.main import main

needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
WORST = 20
"""Tenths of systemd's exposure, from 0 (none) to 100: what is here, and no more."""


@pytest.fixture
def printed(tmp_path, capsys):
    assert main(["systemd-unit", "--program", "/bin/true"]) == 0
    path = tmp_path / "landbridge.service"
    path.write_text(capsys.readouterr().out)
    return path


@needs_systemd
def test_systemd_understands_every_line(printed):
    done = subprocess.run(["systemd-analyze", "verify", printed], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@needs_systemd
def test_systemd_finds_it_little_exposed(printed):
    argv = ["systemd-analyze", "security", "--no-pager", "--offline=true", f"--threshold={WORST}", printed]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_it_starts_the_program_of_this_installation(printed):
    assert "ExecStart=/bin/true up --data %S/landbridge $LANDBRIDGE_OPTIONS\n" in printed.read_text()
    assert "@" not in printed.read_text().replace("@system-service", "").replace("@privileged", "")


@pytest.mark.parametrize(
    "program", ["landbridge", "/opt/my programs/landbridge", "/root/landbridge", "/home/me/x", "/opt/%i"]
)
def test_a_program_that_a_service_cannot_start_is_refused(program):
    with pytest.raises(CommandError, match="is no place for a service"):
        systemd_unit.unit(Path(program))
