"""Runs scenarios in an environment of the SDKs, each suite as one process, and reads how they ended.

A suite is one file of ``scenarios`` in one environment below ``.cache``. Its tests are named by
reading the file, not by running it: the interpreter of the tests has none of the SDKs.
"""

from __future__ import annotations

import ast
import re
import subprocess
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path

from running import CLONE, ENVIRONMENT, ControlPlane

SCENARIOS = Path(__file__).parent / "scenarios"
SECONDS = 300


@dataclass
class Outcome:
    """How one scenario ended: with a fault, left out for a reason, or well."""

    fault: str = ""
    left_out: str = ""


@dataclass
class Ran:
    """A suite that ran: the outcomes by name, and everything that it printed."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    output: str = ""


def environment(cloud: ControlPlane) -> dict[str, str]:
    """Return the variables that show an SDK the cloud, and nothing else to trust."""
    ca_file = str(cloud.admin.ca_file)
    trust = dict.fromkeys(("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"), ca_file)
    return {**ENVIRONMENT, **trust, "LANDBRIDGE_ADMIN": str(cloud.data / "admin.json")}


def python_of(name: str) -> Path:
    """Return the interpreter of an environment."""
    found = CLONE / ".cache" / name / "bin/python"
    assert found.exists(), "Run tools/client_environments.sh first, as ./test does."
    return found


def names_in(file: str) -> list[str]:
    """Return the names of the scenarios in a Python file."""
    tree = ast.parse((SCENARIOS / file).read_text())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [one.name for one in tree.body if isinstance(one, functions) and one.name.startswith("test_")]


def node_names_in(file: str) -> list[str]:
    """Return the names of the scenarios in a file of JavaScript."""
    return re.findall(r'^test\("([^"]+)"', (SCENARIOS / file).read_text(), re.MULTILINE)


def run(argv: list[str | Path], report: Path, cloud: ControlPlane, more: dict[str, str]) -> Ran:
    """Run a suite to its end, or for ``SECONDS``, and read the JUnit report that it wrote."""
    ran = Ran()
    try:
        done = subprocess.run(
            argv,
            cwd=SCENARIOS,
            env={**environment(cloud), **more},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
        )
        ran.output = done.stdout
    except subprocess.TimeoutExpired as late:
        said = late.stdout or b""
        ran.output = f"The suite did not end within {SECONDS} s.\n{said.decode(errors='replace')}"
    if report.exists():
        for case in ElementTree.parse(report).iter("testcase"):
            # A scenario with parameters is one case for each; all must do.
            outcome = ran.outcomes.setdefault(case.get("name", "").partition("[")[0], Outcome())
            for child in case:
                told = f"{child.get('message', '')}\n{child.text or ''}\n"
                if child.tag in ("failure", "error"):
                    outcome.fault += f"{case.get('name')}: {told}"
                elif child.tag == "skipped":
                    outcome.left_out = child.get("message", "")
    return ran


def run_python(name: str, file: str, cloud: ControlPlane, folder: Path) -> Ran:
    """Run a file of scenarios in one of the Python environments."""
    report = folder / f"{name}-{Path(file).stem}.xml"
    argv = [python_of(name), "-m", "pytest", "-q", "-c", "pytest.ini", file, f"--junitxml={report}"]
    return run(argv, report, cloud, {"PYTHONPATH": str(SCENARIOS), "PYTHONDONTWRITEBYTECODE": "1"})


def run_node(
    file: str,
    cloud: ControlPlane,
    folder: Path,
    before: tuple[str, ...] = (),
    more: dict[str, str] | None = None,
) -> Ran:
    """Run a file of scenarios on Node, with its own test runner; ``before`` are words that run it."""
    packages = CLONE / ".cache/sdk-node/node_modules"
    assert packages.exists(), "Run tools/client_environments.sh first, as ./test does."
    report = folder / f"{file}.xml"
    argv: list[str | Path] = [*before, "node", "--test", "--test-reporter=junit"]
    argv += [f"--test-reporter-destination={report}", str(SCENARIOS / file)]
    return run(argv, report, cloud, {"NODE_PATH": str(packages), **(more or {})})
