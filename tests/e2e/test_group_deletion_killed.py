"""A power cut in the middle of the deletion of a group with a thousand resources."""

from __future__ import annotations

import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from running import MACHINES, ControlPlane, short_folder

COUNT = 1_000
CUTS = 3
GROUP = "doomed"
VERSION = "2024-07-10"


@pytest.fixture
def cloud() -> Iterator[ControlPlane]:
    folder = short_folder()
    control_plane = ControlPlane(folder)
    try:
        control_plane.prepare()
        yield control_plane
    finally:
        control_plane.stop()
        shutil.rmtree(folder)


def fill(cloud: ControlPlane, group: str) -> None:
    """Make the group with ``COUNT`` machines, each with an identity and an endpoint."""
    assert cloud.arm("PUT", group, {"location": "local"}).status == 201
    cloud.arm("GET", group)  # the token is there before the threads begin

    def put(number: int) -> int:
        path = f"{group}/providers/{MACHINES}/m{number:04}"
        return cloud.arm("PUT", path, {"location": "local"}, VERSION).status

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(put, range(COUNT))) == {200}


def rows(cloud: ControlPlane, group: str) -> dict[str, int]:
    """Return how many rows of each kind the store holds that belong to the group."""
    below = f"{cloud.subscription}/resourcegroups/{GROUP}/%".lower()
    wanted = {
        "resources": "key LIKE ?",
        "resource_tags": "resource_key LIKE ?",
        "machines": "machine_key LIKE ?",
        "principals": "resource_key LIKE ?",
        "role_assignments": "scope_key LIKE ?",
    }
    with closing(sqlite3.connect(f"file:{cloud.data / 'landbridge.db'}?mode=ro", uri=True)) as store:
        return {
            table: store.execute(f"SELECT count(*) FROM {table} WHERE {where}", [below]).fetchone()[0]
            for table, where in wanted.items()
        }


def wait_for(cloud: ControlPlane, group: str, below: int) -> int:
    """Wait until fewer than ``below`` machines are left, and return how many."""
    until = time.monotonic() + 60
    while (left := rows(cloud, group)["machines"]) >= below:
        assert time.monotonic() < until, f"{left} machines are left"
        time.sleep(0.002)
    return left


def test_after_power_cuts_a_deletion_goes_on_and_leaves_nothing_half_deleted(cloud: ControlPlane) -> None:
    group = f"{cloud.subscription}/resourceGroups/{GROUP}"
    fill(cloud, group)
    assert rows(cloud, group)["machines"] == COUNT
    answers = []
    asking = threading.Thread(target=lambda: answers.append(cloud.arm("DELETE", group).status))
    asking.start()
    left = COUNT
    for cut in range(CUTS):
        left = wait_for(cloud, group, left)
        cloud.kill()
        found = rows(cloud, group)
        # Whatever the cut hit: a machine is there with its identity and its endpoint, or all of it is gone.
        assert found["machines"] == found["principals"], found
        if not found["machines"]:
            break
        left = found["machines"]
        cloud.start()
        if cut == 0:
            asking.join()
            assert answers == [202], "the deletion was accepted before the first machine went"
    else:
        assert left < COUNT
    until = time.monotonic() + 60
    while cloud.arm("GET", group).status == 200:
        assert time.monotonic() < until, rows(cloud, group)
        time.sleep(0.05)
    assert set(rows(cloud, group).values()) == {0}
    assert cloud.arm("GET", group).status == 404
