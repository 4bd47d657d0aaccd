"""One ``extd`` at a time, and nobody but root keeps it from running."""

from __future__ import annotations

import fcntl

import pytest

from landbridge_agent import work_lock
from landbridge_agent.paths import Paths


@pytest.fixture
def paths(tmp_path, monkeypatch):
    monkeypatch.setattr(work_lock, "TRIES", 0)
    return Paths(tmp_path, True)


def test_there_is_one_at_a_time_and_everybody_can_see_it(paths):
    assert not work_lock.is_held(paths)
    with work_lock.take(paths):
        assert work_lock.is_held(paths) and paths.work_lock.stat().st_mode & 0o777 == 0o644
        with pytest.raises(BlockingIOError):
            work_lock.take(paths)
    assert not work_lock.is_held(paths)


def test_what_others_may_read_they_cannot_lock_it_out_by(paths):
    work_lock.take(paths).close()
    with paths.work_lock.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        with work_lock.take(paths):
            assert work_lock.is_held(paths)


def test_the_lock_that_counts_is_for_its_owner_alone(paths):
    with work_lock.take(paths):
        assert paths.work.stat().st_mode & 0o777 == 0o700
        assert (paths.work / "lock").stat().st_mode & 0o777 == 0o600
