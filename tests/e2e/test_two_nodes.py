"""Two control planes as processes on one PostgreSQL, behind a load balancer; one is killed."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from quickstart.programs import Children, wait_until
from running import (
    ENVIRONMENT,
    PROGRAMS,
    Agent,
    Connection,
    Sshd,
    kill_and_wait,
    short_folder,
)
from two_nodes import Nodes, running_nodes


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with running_nodes() as found:
        yield found


@pytest.fixture(scope="module")
def machine(nodes: Nodes, sshd: Sshd) -> Iterator[Connection]:
    """A machine whose control channel is at the first node."""
    agent = Agent(nodes.one, "shore")
    try:
        agent.start_daemon()
        assert agent.run("config", "set", "incomingconnections.ports", str(sshd.port)).returncode == 0
        done = agent.connect()
        assert done.returncode == 0, done.stdout
        agent.wait_connected()
        yield Connection(agent, sshd)
    finally:
        agent.stop()


def up(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAMS / "landbridge", "up", *words],
        env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_a_folder_without_the_keys_of_the_cloud_is_refused(nodes: Nodes) -> None:
    folder = short_folder()
    done = up("--data", str(folder), "--store-file", str(nodes.store), "--listen", "127.0.0.1:0")
    assert done.returncode == 1
    assert "Copy 'ca' and 'keys' of a node of that cloud" in done.stderr
    assert done.stderr.count("\n") == 1
    shutil.rmtree(folder)


def test_a_wrong_password_is_one_line_and_is_not_repeated(nodes: Nodes) -> None:
    folder = short_folder()
    url = nodes.server.url_over_tcp("postgres", "wrong-secret")
    done = up("--data", str(folder), "--store", url, "--listen", "127.0.0.1:0")
    assert done.returncode == 1
    assert "password authentication failed" in done.stderr
    assert done.stderr.count("\n") == 1
    assert "wrong-secret" not in done.stdout + done.stderr
    shutil.rmtree(folder)


def test_the_secret_of_the_store_is_not_in_the_process_list(nodes: Nodes) -> None:
    arguments = b"".join(
        Path(f"/proc/{node.child.process.pid}/cmdline").read_bytes() for node in (nodes.one, nodes.two)
    )
    assert b"postgresql://" not in arguments


def test_ssh_through_the_node_that_does_not_hold_the_machine(nodes: Nodes, machine: Connection) -> None:
    assert nodes.holders() == {"shore": f"wss://127.0.0.1:{nodes.one.port}"}
    nodes.prefer(nodes.two, nodes.one)
    done = machine.ssh("echo across")
    assert done.stdout == "across\n", done.stderr


def test_one_node_is_killed_and_the_other_goes_on(nodes: Nodes, machine: Connection) -> None:
    nodes.prefer(nodes.two, nodes.one)
    session = subprocess.Popen(
        [*machine.ssh_command, machine.host, "cat"],
        env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert session.stdin is not None
        assert session.stdout is not None

        def echo(line: bytes) -> bytes:
            os.write(session.stdin.fileno(), line)  # type: ignore[union-attr]
            return session.stdout.readline()  # type: ignore[union-attr]

        assert echo(b"before\n") == b"before\n"
        nodes.one.kill()
        killed = time.monotonic()
        assert echo(b"after\n") == b"after\n"
        wait_until("ssh after the kill", lambda: machine.ssh("true").returncode == 0 or None, Children(), 30)
        print(f"new sessions {time.monotonic() - killed:.1f} s after the kill")
        assert echo(b"still\n") == b"still\n"
        machine.agent.cloud = nodes.two
        machine.agent.wait_connected()
        done = nodes.two.arm("PUT", f"{nodes.two.subscription}/resourceGroups/later", {"location": "local"})
        assert done.status == 201
    finally:
        kill_and_wait(session)
        for pipe in (session.stdin, session.stdout):
            pipe.close()  # type: ignore[union-attr]


def test_the_killed_node_comes_back(nodes: Nodes, machine: Connection) -> None:
    nodes.one.start()
    nodes.prefer(nodes.one, nodes.two)
    done = machine.ssh("echo again")
    assert done.stdout == "again\n", done.stderr
