"""``landbridge backup`` and ``restore`` as an operator types them."""

from __future__ import annotations

import os
import time

import pytest

from landbridge_server.app import ControlPlane
from landbridge_server.cli.main import main
from landbridge_server.config import Config


@pytest.fixture
def data(tmp_path):
    """The folder of a cloud that has been started once."""
    config = Config(data=tmp_path / "cloud")
    ControlPlane(config, time.time).close()
    return config.data


@pytest.fixture
def passphrase(tmp_path):
    path = tmp_path / "passphrase"
    path.write_text("a passphrase long enough\n")
    path.chmod(0o600)
    return path


def run(*words):
    mask = os.umask(0o077)
    try:
        return main([str(word) for word in words])
    finally:
        os.umask(mask)


def test_both_are_in_the_activity_log_and_it_is_whole(data, tmp_path, passphrase, capsys):
    kept, restored = tmp_path / "kept", tmp_path / "restored"
    assert run("backup", "--data", data, "--passphrase-file", passphrase, kept) == 0
    assert run("restore", kept, "--data", restored, "--passphrase-file", passphrase) == 0
    for folder, wanted in ((data, "backups/create"), (restored, "backups/restore")):
        capsys.readouterr()
        assert run("audit", "export", "--data", folder) == 0
        assert wanted in capsys.readouterr().out
        assert run("audit", "verify", "--data", folder) == 0


def test_an_open_backup_is_said_to_hold_the_keys(data, tmp_path, capsys):
    assert run("backup", "--data", data, tmp_path / "kept") == 0
    assert "private keys, and nothing seals it" in capsys.readouterr().out


def test_how_it_is_started_is_said_after_a_restore(data, tmp_path, capsys):
    assert run("backup", "--data", data, tmp_path / "kept") == 0
    assert run("restore", tmp_path / "kept", "--data", tmp_path / "new") == 0
    assert f"landbridge up --data {tmp_path / 'new'}" in capsys.readouterr().out


def test_a_passphrase_that_others_can_read_or_guess_is_refused(data, tmp_path, passphrase, capsys):
    passphrase.chmod(0o640)
    assert run("backup", "--data", data, "--passphrase-file", passphrase, tmp_path / "kept") == 1
    assert "chmod 600" in capsys.readouterr().err
    passphrase.chmod(0o600)
    passphrase.write_text("short\n")
    assert run("backup", "--data", data, "--passphrase-file", passphrase, tmp_path / "kept") == 1
    assert "at least 12" in capsys.readouterr().err
    assert not (tmp_path / "kept").exists()


def test_without_a_cloud_there_is_nothing_to_keep(tmp_path, capsys):
    assert run("backup", "--data", tmp_path, tmp_path / "kept") == 1
    assert "There is no control plane" in capsys.readouterr().err


def test_a_backup_that_is_not_there_is_one_line(tmp_path, capsys):
    assert run("restore", tmp_path / "none", "--data", tmp_path / "new") == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "new").exists()
