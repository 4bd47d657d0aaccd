from __future__ import annotations

import stat
from pathlib import Path

import pytest

from landbridge_server.ca.keyring import open_secret, write_atomically


def test_the_secret_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    file = tmp_path / "relay.secret"
    first = open_secret(file)
    assert open_secret(file) == first
    assert len(first) == 32
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_damaged_secret_is_refused_with_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "relay.secret"
    file.write_bytes(b"short")
    with pytest.raises(ValueError, match="Delete it"):
        open_secret(file)


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "file"
    write_atomically(file, b"old")
    with pytest.raises(TypeError):
        write_atomically(file, "not bytes")
    assert file.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
