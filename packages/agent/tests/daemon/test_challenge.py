"""Challenge files: their life, their bounds, their mode."""

from __future__ import annotations

import asyncio
import os

import pytest

from landbridge_agent.daemon import challenge
from landbridge_agent.daemon.challenge import MOST, PER_USER, Challenges


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "tokens"
    made.mkdir()
    return made


def files(folder):
    return sorted(path.name for path in folder.iterdir())


async def test_a_file_holds_a_secret_without_an_end_of_line(folder):
    challenges = Challenges(folder, None)
    path = challenges.issue(0)
    text = path.read_text()
    assert len(text) == 64 and text.isalnum()
    assert path.stat().st_mode & 0o7777 == 0o440
    assert path.stat().st_uid == os.getuid()
    assert "=" not in str(path.relative_to(folder))
    challenges.clear()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file to any group")
async def test_a_file_is_the_groups_to_read(folder):
    challenges = Challenges(folder, 4242)
    assert challenges.issue(None).stat().st_gid == 4242
    challenges.clear()


async def test_a_secret_is_used_once(folder):
    challenges = Challenges(folder, None)
    secret = challenges.issue(0).read_text()
    handle = challenges.good(secret)
    assert handle is not None and challenges.good(secret) == handle
    assert challenges.used(handle) is True
    assert challenges.used(handle) is False
    assert challenges.good(secret) is None
    assert files(folder) == []


@pytest.mark.parametrize("secret", ["", "x", "0" * 64, "é" * 64, "0" * 10_000])
async def test_what_is_no_secret_of_ours_is_not_good(folder, secret):
    challenges = Challenges(folder, None)
    challenges.issue(0)
    assert challenges.good(secret) is None
    challenges.clear()


async def test_an_old_challenge_is_neither_good_nor_left(folder, monkeypatch):
    monkeypatch.setattr(challenge, "LIFETIME", 0.05)
    challenges = Challenges(folder, None)
    secret = challenges.issue(0).read_text()
    monkeypatch.setattr(challenge, "LIFETIME", 0.2)
    challenges.issue(0)
    await asyncio.sleep(0.1)
    assert challenges.good(secret) is None
    assert len(files(folder)) == 1
    await asyncio.sleep(0.3)
    assert files(folder) == []


async def test_one_user_who_asks_without_end_takes_no_room_from_another(folder):
    challenges = Challenges(folder, None)
    theirs = challenges.issue(1000).read_text()
    ours = [challenges.issue(0).read_text() for _ in range(PER_USER + 5)]
    assert challenges.good(theirs) is not None
    assert challenges.good(ours[0]) is None and challenges.good(ours[-1]) is not None
    assert len(files(folder)) == PER_USER + 1
    challenges.clear()
    assert files(folder) == []


async def test_there_is_a_bound_for_all_users_together(folder):
    challenges = Challenges(folder, None)
    for user in range(MOST + 10):
        challenges.issue(user)
    assert len(files(folder)) == MOST
    challenges.clear()


async def test_a_folder_that_cannot_be_written_leaves_nothing_behind(folder):
    challenges = Challenges(folder / "missing", None)
    with pytest.raises(OSError):
        challenges.issue(0)
    assert not challenges._open


async def test_a_full_disk_leaves_no_half_written_file(folder, monkeypatch):
    def full(*_arguments):
        raise OSError(28, "No space left on device")

    challenges = Challenges(folder, 4242)
    monkeypatch.setattr("landbridge_agent.platform.posix.os.fchmod", full)
    with pytest.raises(OSError, match="No space"):
        challenges.issue(0)
    assert files(folder) == []
