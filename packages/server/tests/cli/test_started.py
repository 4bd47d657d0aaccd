"""How a control plane was started is kept, without what is secret."""

from __future__ import annotations

import argparse
import shlex

from landbridge_server.cli import started, up


def options(*words):
    parser = argparse.ArgumentParser()
    up.add_arguments(parser)
    return parser.parse_args(words)


def test_what_was_given_comes_back_as_the_same_options(tmp_path):
    words = ["--listen", "0.0.0.0:443", "--domain", "cloud.example", "--audience", "https://a b/"]
    words += ["--audience", "https://c/", "--requests-per-second", "0"]
    given = options("--data", str(tmp_path), *words)
    started.note(tmp_path, given, options())
    again = shlex.split(started.command(tmp_path))
    assert again[:2] == ["landbridge", "up"]
    assert options(*again[2:]) == given


def test_the_address_of_the_store_is_not_kept(tmp_path):
    started.note(tmp_path, options("--store", "postgresql://me:secret@host/db"), options())
    assert "secret" not in (tmp_path / started.FILE).read_text()
    assert (tmp_path / started.FILE).stat().st_mode & 0o777 == 0o600


def test_without_the_file_the_folder_is_all_that_is_known(tmp_path):
    assert started.command(tmp_path) == f"landbridge up --data {tmp_path}"
    (tmp_path / started.FILE).write_text("[]")
    assert started.command(tmp_path) == f"landbridge up --data {tmp_path}"
