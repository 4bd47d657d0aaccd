from __future__ import annotations

import subprocess
import sys

import pytest

from landbridge_server.cli import descriptors

PROGRAM = """
import resource
from landbridge_server.cli.descriptors import raised
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
print(raised(), resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(("soft", "hard"), [(256, 1024), (1024, 1024)])
def test_the_soft_limit_becomes_the_hard_one(soft, hard):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(soft=soft, hard=hard)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == f"{hard} ({hard}, {hard})"


@pytest.mark.parametrize("files", [0, 256, 1024, 20_000, 1 << 20])
def test_there_is_room_for_strangers_but_never_all_of_it(files):
    room = descriptors.room(files)
    assert 0 < room.unproven < room.connections
    assert files <= 1024 or room.connections == files - descriptors.KEPT
    assert room.unproven <= descriptors.UNPROVEN


def test_few_descriptors_are_told_with_what_to_do():
    told = descriptors.warning(1024)
    assert "1024 files" in told and "768 connections" in told and "LimitNOFILE" in told
    assert descriptors.warning(descriptors.LOW) == ""
