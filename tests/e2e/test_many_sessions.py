"""Many sessions at once: a restart ends them clearly, and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from running import ENVIRONMENT, Connection

pytestmark = [pytest.mark.ssh, pytest.mark.slow]

SESSIONS = 50
BACK_SECONDS = 5.0
"""The promise: new sessions work within five seconds of the start."""

Ssh = subprocess.Popen[str]


@contextmanager
def open_sessions(connection: Connection, count: int) -> Iterator[list[Ssh]]:
    """Open sessions one after the other: sshd itself refuses a crowd at its door."""
    opened: list[Ssh] = []
    try:
        for _ in range(count):
            argv = [*connection.ssh_command, connection.host, "echo in; sleep 600"]
            pipe = subprocess.PIPE
            opened.append(
                subprocess.Popen(
                    argv, env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True
                )
            )
            assert opened[-1].stdout is not None
            assert opened[-1].stdout.readline() == "in\n", opened[-1].communicate()[1]
        yield opened
    finally:
        for session in opened:
            session.kill()
            session.communicate()


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def settled(pid: int, wanted: int, seconds: float = 15.0) -> int:
    """Return how many descriptors a process has, once it has no more than ``wanted`` or time is up."""
    end = time.monotonic() + seconds
    while descriptors(pid) > wanted and time.monotonic() < end:
        time.sleep(0.2)
    return descriptors(pid)


def test_fifty_sessions_end_clearly_when_the_control_plane_restarts(connection: Connection) -> None:
    agent, cloud = connection.agent, connection.agent.cloud
    assert agent.daemon is not None
    assert connection.ssh("true").returncode == 0
    daemon = agent.daemon.process.pid
    before = descriptors(daemon)
    with open_sessions(connection, SESSIONS) as sessions:
        assert descriptors(daemon) >= before + SESSIONS
        cloud.stop()
        said = [session.communicate(timeout=30)[1] for session in sessions]
        assert [session.returncode for session in sessions] == [255] * SESSIONS
        assert [text for text in said if "going away" not in text] == []
    cloud.start()
    began = time.monotonic()
    while connection.ssh("true").returncode != 0:
        assert time.monotonic() - began < BACK_SECONDS
    assert settled(daemon, before) <= before


def test_sessions_leave_no_descriptors_behind(connection: Connection) -> None:
    agent = connection.agent
    assert agent.daemon is not None
    pids = {"himdsd": agent.daemon.process.pid, "landbridge": agent.cloud.child.process.pid}
    assert connection.ssh("true").returncode == 0
    before = {name: descriptors(pid) for name, pid in pids.items()}
    with open_sessions(connection, 20):
        pass
    after = {name: settled(pid, before[name]) for name, pid in pids.items()}
    assert {name: after[name] for name in pids if after[name] > before[name]} == {}


def test_a_session_that_nobody_reads_does_not_slow_another(connection: Connection, tmp_path: Path) -> None:
    argv = [*connection.ssh_command, connection.host, "cat /dev/zero"]
    with subprocess.Popen(argv, env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as stuck:
        try:
            assert stuck.stdout is not None
            stuck.stdout.read(1)
            done = connection.ssh("head -c 8M /dev/zero | wc -c")
            assert done.stdout.strip() == str(8 * 1024 * 1024)
            assert stuck.poll() is None
        finally:
            stuck.kill()


def test_a_session_that_the_machine_does_not_read_does_not_slow_another(connection: Connection) -> None:
    argv = [*connection.ssh_command, connection.host, "echo in; sleep 600"]
    with (
        Path("/dev/zero").open("rb") as endless,
        subprocess.Popen(argv, env=ENVIRONMENT, stdin=endless, stdout=subprocess.PIPE) as stuck,
    ):
        try:
            assert stuck.stdout is not None
            assert stuck.stdout.readline() == b"in\n"
            done = connection.ssh("head -c 8M /dev/zero | wc -c")
            assert done.stdout.strip() == str(8 * 1024 * 1024)
            assert stuck.poll() is None
        finally:
            stuck.kill()


def test_a_login_that_comes_while_the_agent_restarts_is_held_and_then_served(connection: Connection) -> None:
    agent = connection.agent
    for number in range(5):
        agent.kill_daemon()
        argv = [*connection.ssh_command, connection.host, f"echo held {number}"]
        with subprocess.Popen(
            argv, env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        ) as held:
            agent.start_daemon()
            assert held.communicate(timeout=60)[0] == f"held {number}\n".encode()
