"""kill -9 at random moments under load: what was acknowledged stays, nothing is half made."""

from __future__ import annotations

import http.client
import random
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from running import Connection, ControlPlane

BACK_SECONDS = 10.0
"""The promise: Connected again within ten seconds of being started."""

SEED = 20261121

INCONSISTENCIES = {
    "machines without an agent's row": (
        "select key from resources where type_key = 'microsoft.hybridcompute/machines'"
        " and key not in (select machine_key from machines)"
    ),
    "agents' rows without a machine": (
        "select machine_key from machines where machine_key not in (select key from resources)"
    ),
    "machines without an identity": (
        "select machine_key from machines where principal_id not in (select object_id from principals)"
    ),
    "identities without a machine": (
        "select object_id from principals where resource_key is not null"
        " and resource_key not in (select key from resources)"
    ),
    "certificates without an identity": (
        "select serial from certificates where principal_id not in (select object_id from principals)"
    ),
    "resources below what is gone": (
        "select key from resources where parent_key like '/%/machines/%'"
        " and parent_key not in (select key from resources)"
    ),
    "machines without their SSH endpoint": (
        "select key from resources as m where type_key = 'microsoft.hybridcompute/machines' and not exists"
        " (select 1 from resources where key = m.key"
        " || '/providers/microsoft.hybridconnectivity/endpoints/default')"
    ),
}


class Writer:
    """Writes until the control plane dies, and remembers what it was told was done."""

    def __init__(self, cloud: ControlPlane, chance: random.Random) -> None:
        self.cloud = cloud
        self.chance = chance
        self.alive: set[str] = set()
        self.gone: set[str] = set()
        self.stopped = threading.Event()
        self.group = f"{cloud.subscription}/resourceGroups/load"

    @contextmanager
    def working(self) -> Iterator[None]:
        """Write beside the block, which is expected to kill the control plane."""
        self.stopped.clear()
        thread = threading.Thread(target=self._work)
        thread.start()
        try:
            yield
        finally:
            self.stopped.set()
            thread.join()

    def _work(self) -> None:
        while not self.stopped.is_set():
            try:
                self._write()
            except (OSError, http.client.HTTPException):
                return  # killed in the middle: nobody was told anything

    def _write(self) -> None:
        if self.alive and self.chance.random() < 0.3:
            path = self.chance.choice(sorted(self.alive))
            self.alive.discard(path)  # from now on it may be either way, until we are told
            if self.cloud.arm("DELETE", path, version="2024-07-10").status in (200, 204):
                self.gone.add(path)
            return
        name = f"m{uuid.UUID(int=self.chance.getrandbits(128)).hex[:12]}"
        path = f"{self.group}/providers/Microsoft.HybridCompute/machines/{name}"
        body = {"location": "local", "identity": {"type": "SystemAssigned"}, "properties": {}}
        if self.cloud.arm("PUT", path, body, version="2024-07-10").status in (200, 201):
            self.alive.add(path)

    def lost(self) -> list[str]:
        """What was acknowledged and is not so."""
        wrong = [p for p in self.alive if self.cloud.arm("GET", p, version="2024-07-10").status != 200]
        return wrong + [p for p in self.gone if self.cloud.arm("GET", p, version="2024-07-10").status != 404]


def half_made(database: Path) -> dict[str, list[str]]:
    """Return what the database holds that cannot be."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        found = {
            name: [row[0] for row in connection.execute(query)] for name, query in INCONSISTENCIES.items()
        }
    connection.close()
    return {name: keys for name, keys in found.items() if keys}


def cut_again_and_again(connection: Connection, cuts: int) -> None:
    agent, cloud = connection.agent, connection.agent.cloud
    chance = random.Random(SEED)
    writer = Writer(cloud, chance)
    assert cloud.arm("PUT", writer.group, {"location": "local"}).status in (200, 201)
    for cut in range(cuts):
        with writer.working():
            time.sleep(chance.uniform(0.0, 0.8))
            if cut % 2:
                agent.kill_daemon()
            cloud.kill()
        cloud.start()
        if cut % 2:
            agent.start_daemon()
        agent.wait_connected(BACK_SECONDS)
    assert writer.alive
    assert writer.lost() == []
    assert half_made(cloud.data / "landbridge.db") == {}
    assert connection.ssh("echo back").stdout == "back\n"


@pytest.mark.ssh
@pytest.mark.slow
def test_twenty_power_cuts_under_load_lose_nothing(connection: Connection) -> None:
    cut_again_and_again(connection, 20)


@pytest.mark.ssh
@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_two_hundred_power_cuts_under_load_lose_nothing(connection: Connection) -> None:
    cut_again_and_again(connection, 200)
