"""What two processes, and a crash, must not do to a folder."""

from __future__ import annotations

import argparse
import json

import pytest

from landbridge_server.cli import up
from landbridge_server.cli.arguments import CommandError
from landbridge_server.cli.folder_lock import alone


def start(folder):
    parser = argparse.ArgumentParser()
    up.add_arguments(parser)
    return up.run(parser.parse_args(["--data", str(folder), "--listen", "127.0.0.1:0"]))


def test_a_folder_is_served_by_one_control_plane_and_the_second_changes_nothing(tmp_path):
    (tmp_path / "admin.json").write_text(json.dumps({"resourceManager": "https://localhost:9443"}))
    before = (tmp_path / "admin.json").read_bytes()
    with alone(tmp_path), pytest.raises(CommandError, match="Another 'landbridge up' serves"):
        start(tmp_path)
    assert (tmp_path / "admin.json").read_bytes() == before
    with alone(tmp_path):
        pass


@pytest.mark.parametrize("name", ["keys/relay.key", "ca/root.pem", "keys/signing-1.pem"])
def test_a_file_that_cannot_be_read_is_said_in_one_line(tmp_path, name):
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_text("short")
    with pytest.raises(CommandError, match="cannot start: "):
        start(tmp_path)
