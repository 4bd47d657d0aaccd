"""What the agent loads is a budget: adding to it means changing this file and saying why."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

HEAVY = (
    "cryptography",
    "http",
    "urllib.request",
    "email",
    "concurrent.futures.process",
    "argparse",
    "sqlite3",
    "xml",
    "multiprocessing",
    "tempfile",
    "pydantic",
    "httpx",
    "aiohttp",
    "websockets",
    "landbridge_server",
    "landbridge_client",
)
"""himdsd has none of these: each costs memory on every machine for as long as it runs."""

BELOW = tuple(f"{name}." for name in HEAVY)

VERSION_MODULES = {
    "landbridge_agent",
    "landbridge_agent.cli",
    "landbridge_agent.cli.main",
    "landbridge_agent.version",
}
PACKAGE = Path(__file__).parent.parent


def loaded(code: str) -> set[str]:
    """Return the modules that a fresh interpreter holds after ``code``."""
    script = f"import sys; before = set(sys.modules)\n{code}\nprint(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


SERVICES = ("daemon.main", "work.main")


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_loads_nothing_heavy(service):
    modules = loaded(f"import landbridge_agent.{service}")
    assert {name for name in modules if name in HEAVY or name.startswith(BELOW)} == set()


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_loads_only_the_standard_library_and_wire(service):
    tops = {name.partition(".")[0] for name in loaded(f"import landbridge_agent.{service}")}
    assert tops - set(sys.stdlib_module_names) == {"landbridge_agent", "landbridge_wire"}


def test_version_is_answered_before_anything_is_imported():
    code = "sys.argv = ['azcmagent', 'version']\nimport landbridge_agent.cli.main as m\nm.main()"
    modules = loaded(code)
    assert {name for name in modules if name.startswith("landbridge")} == VERSION_MODULES
    assert modules - VERSION_MODULES <= {"__future__"}


def test_help_and_show_load_neither_asyncio_nor_cryptography():
    code = "from landbridge_agent.cli.run import load\nload('show'), load('help'), load('config')"
    assert not {"asyncio", "cryptography", "ssl", "argparse"} & loaded(code)


@pytest.mark.parametrize(("service", "mebibytes"), [("daemon.main", 32), ("work.main", 30)])
def test_an_idle_service_stays_small(tmp_path, service, mebibytes):
    environment = {**os.environ, "LANDBRIDGE_AGENT_ROOT": str(tmp_path)}
    command = [sys.executable, "-I", "-m", f"landbridge_agent.{service}"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while "waiting for azcmagent connect" not in process.stderr.readline():
            pass
        status = Path(f"/proc/{process.pid}/status").read_text()
        process.terminate()
        process.stderr.read()
    assert process.returncode == 0
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None and int(found.group(1)) <= mebibytes * 1024


UNITS = {
    "himdsd": ("Alias=himds.service", "NoNewPrivileges=yes", "User=himds"),
    # What it has begun must survive its restart.
    "extd": ("Alias=gcad.service", "KillMode=process", "User=root"),
}


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_is_valid_and_says_what_it_must(tmp_path, name):
    text = (PACKAGE / f"packaging/{name}.service").read_text()
    assert all(line in text for line in UNITS[name])
    unit = tmp_path / f"{name}.service"  # systemd looks whether the program is there
    unit.write_text(text.replace(f"/opt/azcmagent/bin/{name}", "/bin/true"))
    try:
        done = subprocess.run(
            ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        pytest.skip("systemd-analyze is not installed")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def built(kind: str, folder: Path) -> set[str]:
    """Build a wheel and return the names in it."""
    script = f"import sys, hatchling.build; print(hatchling.build.build_{kind}(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)], cwd=PACKAGE, capture_output=True, text=True, check=True
    )
    with zipfile.ZipFile(folder / done.stdout.splitlines()[-1]) as wheel:
        return set(wheel.namelist())


def test_the_wheel_is_one_self_contained_file(tmp_path):
    names = built("wheel", tmp_path)
    units = {f"landbridge_agent/packaging/{name}.service" for name in ("himdsd", "extd")}
    assert {"landbridge_wire/agent_api.py", *units} <= names


def test_an_editable_install_gets_no_copy_of_wire(tmp_path):
    assert not {name for name in built("editable", tmp_path) if name.startswith("landbridge_wire")}
