"""Programs of the cloud are bounded, and end with everything that they started."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from landbridge_agent.work import processes, tree
from landbridge_agent.work.capture import TAIL
from landbridge_agent.work.processes import Ended, Limits

BASE = {"PATH": "/usr/bin:/bin"}


class Place:
    """A folder to run in, and an id to be found by."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.id = folder, uuid.uuid4().hex
        self.stdout, self.stderr = folder / "stdout", folder / "stderr"

    def run(self, script: str, seconds: float = 20, **more: object) -> Ended:
        arguments: dict = {"env": BASE, "limits": Limits(), **more}
        return processes.run(
            ["/bin/bash", "-c", script], cwd=self.folder, seconds=seconds,
            stdout=self.stdout, stderr=self.stderr, work_id=self.id, **arguments,
        )  # fmt: skip


@pytest.fixture
def here(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_what_a_program_prints_and_how_it_ends_is_kept(here):
    ended = here.run("echo out; echo err >&2; exit 3")
    assert (ended.exit_code, ended.signal, ended.ok) == (3, None, False)
    assert (here.stdout.read_bytes(), here.stderr.read_bytes()) == (b"out\n", b"err\n")
    assert (ended.stdout_tail, ended.stderr_tail, ended.dropped) == ("out\n", "err\n", 0)
    assert here.stdout.stat().st_mode & 0o777 == 0o600


def test_a_signal_that_ends_it_is_named(here):
    ended = here.run("kill -SEGV $$")
    assert (ended.exit_code, ended.signal) == (None, 11) and "SIGSEGV" in ended.told


def test_a_program_that_hangs_is_ended_when_its_time_is_over(here):
    ended = here.run("trap '' TERM; echo here; while :; do sleep 1; done", seconds=0.5)
    assert ended.timed_out and ended.stdout_tail == "here\n" and not ended.ok
    assert tree.find(here.id) == set()


FORKS = "setsid bash -c 'setsid bash -c \"sleep 300\" & sleep 300' >/dev/null 2>&1 & echo started; "


def test_what_forked_away_twice_is_ended_with_a_cancelled_program(here):
    began = time.monotonic()
    ended = here.run(FORKS + "sleep 300", is_canceled=lambda: time.monotonic() - began > 0.5)
    assert ended.canceled and tree.find(here.id) == set()


def test_what_forked_away_is_ended_with_a_program_that_ends(here):
    assert here.run(FORKS + "exit 0").ok
    assert tree.find(here.id) == set()


def test_what_cleared_its_environment_is_ended_as_a_descendant(here):
    here.run("env -i setsid sleep 301 & sleep 0.3; exit 0")
    found = subprocess.run(["pgrep", "-x", "-f", "sleep 301"], capture_output=True, text=True, check=False)
    assert found.stdout == ""


def test_what_may_stay_stays_until_it_is_ended_by_its_id(here):
    ended = here.run("setsid sleep 302 >/dev/null 2>&1 </dev/null & exit 0", leave_running=True)
    assert ended.ok and len(tree.find(here.id)) == 1
    assert tree.kill(here.id) == 0 and tree.find(here.id) == set()


def test_more_than_the_limit_is_counted_and_the_file_says_so(here):
    ended = here.run(
        "head -c 3000000 /dev/zero | tr '\\0' x; echo; echo last", limits=Limits(output_bytes=100_000)
    )
    content = here.stdout.read_bytes()
    assert ended.exit_code == 0 and len(content) <= 100_000
    assert f"[{ended.dropped} more bytes were printed".encode() in content
    assert ended.dropped + content.index(b"\n[") == 3_000_006
    assert ended.stdout_tail.endswith("x\nlast\n") and len(ended.stdout_tail) == TAIL


def test_what_is_no_text_is_replaced_in_the_tail_and_whole_in_the_file(here):
    ended = here.run(r"printf '\xff\xfe ok \x00'")
    assert ended.stdout_tail == "\ufffd\ufffd ok \ufffd"
    assert here.stdout.read_bytes() == b"\xff\xfe ok \x00"


def test_no_file_grows_beyond_its_bound(here):
    ended = here.run("head -c 5000000 /dev/zero > big", limits=Limits(file_bytes=1_000_000))
    assert ended.exit_code != 0 and (here.folder / "big").stat().st_size <= 1_000_000


def test_a_program_that_is_not_there_is_told(here):
    with pytest.raises(OSError, match="nothing-like-this"):
        processes.run(
            ["/nothing-like-this"], env=BASE, cwd=here.folder, seconds=1, stdout=here.stdout,
            stderr=here.stderr, work_id=here.id, limits=Limits(),
        )  # fmt: skip


def test_a_program_does_not_outlive_a_worker_that_is_killed(here):
    script = (
        "import sys; from pathlib import Path; from landbridge_agent.work import processes\n"
        "f = Path(sys.argv[1])\n"
        "processes.run(['/bin/sh', '-c', 'echo $$ > pid; sleep 303'], env={}, cwd=f, seconds=60,"
        " stdout=f / 'o', stderr=f / 'e', work_id='w', limits=processes.Limits())"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(here.folder)]) as worker:
        pid = here.folder / "pid"
        while not pid.exists() or not pid.read_text().strip():
            time.sleep(0.02)
        worker.kill()
    shell = int(pid.read_text())
    until = time.monotonic() + 5
    while tree.start_time(shell) and time.monotonic() < until:
        time.sleep(0.02)
    assert tree.start_time(shell) == 0
    tree.kill("w")


def test_a_process_is_named_by_its_id_and_its_start():
    assert tree.start_time(os.getpid()) > 0
    assert tree.start_time(2**22 + 1) == 0


def test_ending_one_item_takes_no_leave_of_the_ended_process_of_another(here):
    """Whoever started that one still wants to know how it ended."""
    with subprocess.Popen(["/bin/true"], env=BASE) as other:
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
        with subprocess.Popen(["/bin/sleep", "300"], env={**BASE, tree.WORK_ID: here.id}):
            assert tree.kill(here.id) == 0
        assert os.waitpid(other.pid, os.WNOHANG) == (other.pid, 0)
