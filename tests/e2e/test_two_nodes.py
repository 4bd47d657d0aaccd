"""Two control planes as processes on one PostgreSQL, behind a load balancer; one is killed."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import postgresql_server
from balancer import Balancer
from quickstart.ports import find_free
from quickstart.programs import Children, wait_until
from running import (
    ENVIRONMENT,
    PROGRAMS,
    Agent,
    Connection,
    ControlPlane,
    Sshd,
    kill_and_wait,
    short_folder,
)


class Nodes:
    """One cloud of two nodes; clients reach it through the balancer."""

    def __init__(self, server: postgresql_server.PostgreSql, url: str) -> None:
        self.server = server
        self.balancer = Balancer()
        self.url = f"https://localhost:{self.balancer.port}"
        self.store = short_folder() / "store"
        self.store.write_text(url)
        self.store.chmod(0o600)
        self.folders = [short_folder(), short_folder()]
        one_port, two_port = find_free(), find_free()
        self.balancer.targets = [one_port, two_port]
        self.one = self._start(0, one_port)
        for name in ("ca", "keys"):
            shutil.copytree(self.folders[0] / name, self.folders[1] / name)
        shutil.copy(self.folders[0] / "admin.json", self.folders[1])
        self.two = self._start(1, two_port)

    def _start(self, number: int, port: int) -> ControlPlane:
        node = f"https://127.0.0.1:{port}"
        words = ("--store-file", str(self.store), "--external-url", self.url, "--node-url", node)
        return ControlPlane(self.folders[number], *words, port=port)

    def prefer(self, *nodes: ControlPlane) -> None:
        self.balancer.targets = [node.port for node in nodes]

    def holder(self) -> str:
        """Return the address of the node that holds the only machine's control channel."""
        query = "SELECT address FROM nodes JOIN presence ON holder = node_id"
        return str(self.server.execute(query, self.store.read_text().split("?")[0].rpartition("/")[2])[0][0])

    def stop(self) -> None:
        self.one.stop()
        self.two.stop()
        self.balancer.close()
        for folder in (*self.folders, self.store.parent):
            shutil.rmtree(folder)


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with postgresql_server.started() as server:
        if server is None:
            pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
        with server.database() as url:
            found = Nodes(server, url)
            try:
                found.one.prepare()
                yield found
            finally:
                found.stop()


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
    assert nodes.holder() == f"wss://127.0.0.1:{nodes.one.port}"
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
