"""The chain of the activity log through kill -9, and real sessions in it."""

from __future__ import annotations

import json
import shutil
import threading
import time
import urllib.error
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPException

import pytest

from running import Connection, ControlPlane, short_folder

KILLS = 3
LOG = "/providers/Microsoft.Insights/eventtypes/management/values"


@pytest.fixture
def mortal() -> Iterator[ControlPlane]:
    """A control plane of its own."""
    folder = short_folder()
    control_plane = ControlPlane(folder)
    try:
        yield control_plane
    finally:
        control_plane.stop()
        shutil.rmtree(folder)


def verified(cloud: ControlPlane) -> dict[str, object]:
    told: dict[str, object] = json.loads(cloud.landbridge("audit", "verify", "-o", "json"))
    assert told["whole"], told
    return told


def write_until_it_dies(cloud: ControlPlane, name: str) -> None:
    path = f"{cloud.subscription}/resourceGroups/{name}"
    with suppress(OSError, urllib.error.URLError, HTTPException):
        for number in range(100_000):
            cloud.arm("PUT", path, {"location": "local", "tags": {"n": str(number)}})


def test_a_kill_in_the_middle_of_writing_leaves_a_chain_that_verifies(mortal: ControlPlane) -> None:
    heads: list[str] = []
    for turn in range(KILLS):
        mortal.arm("GET", mortal.subscription)  # has a token before the threads begin
        writers = [
            threading.Thread(target=write_until_it_dies, args=(mortal, f"g{number}")) for number in range(3)
        ]
        for writer in writers:
            writer.start()
        time.sleep(1.2 + 0.37 * turn)  # some flushes, and then in the midst of one or between two
        mortal.kill()
        for writer in writers:
            writer.join()
        head = verified(mortal)["head"]
        assert isinstance(head, dict)
        heads.append(str(head["hash"]))
        mortal.start()
        mortal.landbridge("subscription", "create", f"after kill {turn}")  # beside the control plane
    for one in heads:
        mortal.landbridge("audit", "verify", "--expect-head", one)
    assert len(set(heads)) == KILLS


@pytest.mark.ssh
def test_an_ssh_session_is_in_the_log_with_who_opened_it_and_what_it_carried(connection: Connection) -> None:
    cloud = connection.agent.cloud
    assert connection.ssh("echo noted").stdout == "noted\n"
    path = f"{cloud.subscription}{LOG}"
    deadline = time.monotonic() + 20
    while True:
        listed = json.loads(cloud.landbridge("audit", "list", "--last", "500", "-o", "json"))
        names = [one["operation"] for one in listed]
        if "Microsoft.HybridConnectivity/endpoints/disconnect/action" in names:
            break
        assert time.monotonic() < deadline, names
        time.sleep(0.3)
    opened = next(one for one in listed if one["operation"].endswith("endpoints/connect/action"))
    assert opened["caller"] == cloud.admin.client_id
    assert opened["about"].endswith(
        f"machines/{connection.agent.name}/providers/Microsoft.HybridConnectivity/endpoints/default"
    )
    assert {"Microsoft.HybridCompute/machines/enroll/action", "Microsoft.aadiam/signIns/action"} <= set(names)
    answer = cloud.arm("GET", path, version="2015-04-01&$filter=eventTimestamp%20ge%20'2020-01-01'")
    shown = [
        one for one in answer.body["value"] if one["operationName"]["value"].endswith("disconnect/action")
    ]
    assert int(shown[0]["properties"]["bytes"]) > 1000
