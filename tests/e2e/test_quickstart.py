"""``./quickstart`` as a newcomer runs it."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from quickstart.programs import Child, Children, wait_until
from running import CLONE, ENVIRONMENT, run_client, short_folder

pytestmark = pytest.mark.ssh

STEP = re.compile(r"ok +\d+\.\d s  (.+)")
LAST_LINE = "Ctrl-C ends it"


class Foreground:
    """A quickstart in the foreground of nobody, until it is interrupted."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.runs = 0
        self.children = Children()

    def start(self) -> Child:
        self.runs += 1
        log = self.data.parent / f"quickstart-{self.runs}.log"
        child = self.children.start(
            "quickstart", [CLONE / "quickstart", "--data", self.data], log, ENVIRONMENT
        )
        wait_until("its last line", lambda: LAST_LINE in child.said() or None, self.children, 180)
        return child

    def interrupt(self, child: Child) -> int:
        child.process.send_signal(signal.SIGINT)
        code = child.process.wait(60)
        self.children = Children()  # it has ended as it should; the next one is watched anew
        return code

    def agent_config(self) -> dict[str, str]:
        config: dict[str, str] = json.loads(
            (self.data / "agent/var/opt/azcmagent/agentconfig.json").read_text()
        )
        return config


@pytest.fixture
def foreground() -> Iterator[Foreground]:
    folder = short_folder()
    running = Foreground(folder / "state")
    try:
        yield running
    finally:
        running.children.stop()
        shutil.rmtree(folder)


def check() -> list[str]:
    """Run ``./quickstart --check``, which must pass; return the names of its steps."""
    done = run_client([CLONE / "quickstart", "--check"], 300)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.strip().splitlines()
    assert all(STEP.fullmatch(line) for line in lines), done.stdout
    return [found[1] for line in lines if (found := STEP.fullmatch(line))]


def processes_below(folder: Path) -> list[str]:
    listed = subprocess.run(["ps", "-wweo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if str(folder) in line and "quickstart" not in line]


def test_check_passes_twice_in_a_row_beside_a_running_quickstart(foreground: Foreground) -> None:
    child = foreground.start()
    first, second = check(), check()
    assert first == second
    assert first[-2:] == ["log in over the relay", "tear everything down"]
    child.check()
    assert foreground.interrupt(child) == 0
    assert processes_below(foreground.data) == []


def test_run_again_it_resumes_the_same_cloud_and_the_same_machine(foreground: Foreground) -> None:
    assert foreground.interrupt(foreground.start()) == 0
    admin, machine = (foreground.data / "admin.json").read_text(), foreground.agent_config()
    assert foreground.interrupt(foreground.start()) == 0
    assert (foreground.data / "admin.json").read_text() == admin
    assert foreground.agent_config() == machine


def test_a_second_one_on_the_same_state_is_refused(foreground: Foreground) -> None:
    child = foreground.start()
    done = run_client([CLONE / "quickstart", "--data", foreground.data], 60)
    assert done.returncode == 1
    assert f"process {child.process.pid}" in done.stderr
    child.check()


def test_a_program_that_dies_is_named_with_the_end_of_its_log(foreground: Foreground) -> None:
    child = foreground.start()
    listed = subprocess.run(
        ["ps", "-wweo", "pid,ppid,args"], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split(None, 2) for line in listed.splitlines()]
    daemons = [row[0] for row in rows if row[1] == str(child.process.pid) and "himdsd" in row[2]]
    assert len(daemons) == 1
    subprocess.run(["kill", "-KILL", daemons[0]], check=True)
    assert child.process.wait(60) == 1
    assert "himdsd has ended by signal 9. The end of " in child.said()
    assert processes_below(foreground.data) == []


def test_secrets_are_private_and_in_no_command_line(foreground: Foreground) -> None:
    child = foreground.start()
    secret = json.loads((foreground.data / "admin.json").read_text())["clientSecret"]
    assert secret not in child.said()
    assert not (foreground.data / "connect.json").exists()
    readable = [path for path in foreground.data.rglob("*") if path.is_file() and path.stat().st_mode & 0o077]
    public = {".pub", ".pem", ".log"}
    assert [path for path in readable if path.suffix not in public and secret in path.read_text()] == []


@pytest.mark.az
def test_the_printed_lines_sign_az_in(foreground: Foreground) -> None:
    said = foreground.start().said()
    lines = [line.strip() for line in said.splitlines() if re.match(r"  (az|export) ", line)]
    lines = [line for line in lines if "--use-device-code" not in line]
    assert len(lines) == 6, said
    script = "\n".join(["set -eu", *lines, "az account show --query id -o tsv"])
    path = f"{CLONE}/.cache/az-2.91/bin:{ENVIRONMENT['PATH']}"
    done = subprocess.run(
        ["sh", "-c", script],
        env={**ENVIRONMENT, "PATH": path, "AZURE_CORE_COLLECT_TELEMETRY": "0"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    subscription = json.loads((foreground.data / "admin.json").read_text())["subscriptionId"]
    assert done.stdout.splitlines()[-1] == subscription


def test_the_help_has_examples() -> None:
    done = run_client([CLONE / "quickstart", "--help"])
    assert done.returncode == 0
    assert "examples:" in done.stdout
