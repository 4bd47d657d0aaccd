"""One cloud of two control planes on a real PostgreSQL, behind a load balancer."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import postgresql_server
from balancer import Balancer
from quickstart.ports import find_free
from running import Agent, Connection, ControlPlane, Sshd, short_folder


class Nodes:
    """The cloud; clients reach it through the balancer."""

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

    def query(self, statement: str) -> list[tuple]:
        database = self.store.read_text().split("?")[0].rpartition("/")[2]
        return self.server.execute(statement, database)

    def holders(self) -> dict[str, str]:
        """Return the address of the node that holds each machine's control channel, by its name."""
        rows = self.query("SELECT machine_key, address FROM nodes JOIN presence ON holder = node_id")
        return {key.rpartition("/")[2]: address for key, address in rows}

    def stop(self) -> None:
        self.one.stop()
        self.two.stop()
        self.balancer.close()
        for folder in (*self.folders, self.store.parent):
            shutil.rmtree(folder)


@contextmanager
def running_nodes() -> Iterator[Nodes]:
    """Yield two nodes, prepared for machines."""
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


def connected(nodes: Nodes, name: str, sshd: Sshd, *more: int) -> Connection:
    """Connect a machine, at the node that is preferred now; ``sshd`` and ``more`` ports may be reached."""
    agent = Agent(nodes.one, name)
    agent.start_daemon()
    ports = ",".join(str(port) for port in (sshd.port, *more))
    assert agent.run("config", "set", "incomingconnections.ports", ports).returncode == 0
    done = agent.connect()
    assert done.returncode == 0, done.stdout
    agent.wait_connected()
    return Connection(agent, sshd)
