"""Root works in folders of the daemon's user, and is not led elsewhere by links in them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from landbridge_agent import machine as machine_module
from landbridge_agent.log_file import LogFile
from landbridge_agent.machine import Machine, StateError
from landbridge_agent.paths import Paths
from landbridge_agent.platform.posix import Linux

DAEMON = 54321
"""The id of a user who is not root, as himds is."""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root is led elsewhere")


@pytest.fixture
def state(tmp_path) -> Machine:
    """Return the state folder of a daemon that is not root."""
    machine = Machine(Paths(tmp_path / "root", True))
    machine.prepare()
    for path in (machine.paths.state, *machine.paths.state.rglob("*")):
        os.chown(path, DAEMON, DAEMON)
    return machine


def elsewhere(tmp_path: Path) -> Path:
    """Return a folder of root's with a file."""
    folder = tmp_path / "elsewhere"
    folder.mkdir(mode=0o755)
    (folder / "agentconfig.json").write_text("precious")
    return folder


def put_link(folder: Path, target: Path) -> None:
    """Do what the daemon's user may do in its own folder."""
    folder.rename(folder.with_name(folder.name + "-away"))
    folder.symlink_to(target)
    os.chown(folder, DAEMON, DAEMON, follow_symlinks=False)


def test_root_does_not_change_the_mode_of_what_a_link_leads_to(state, tmp_path):
    target = elsewhere(tmp_path)
    put_link(state.paths.certificates, target)
    with pytest.raises(StateError, match="a link in a folder of another user"):
        state.prepare()
    assert target.stat().st_mode & 0o777 == 0o755


def test_root_does_not_give_what_a_link_leads_to_to_a_group(state, tmp_path, monkeypatch):
    monkeypatch.setattr(Linux, "token_group", lambda _self: DAEMON)
    target = elsewhere(tmp_path)
    put_link(state.paths.tokens, target)
    with pytest.raises(StateError):
        state.prepare()
    assert target.stat().st_gid == 0


def test_root_writes_and_removes_nothing_behind_a_link(state, tmp_path):
    target = elsewhere(tmp_path)
    put_link(state.paths.certificates, target)
    path = state.paths.certificates / "agentconfig.json"
    with pytest.raises(StateError):
        machine_module._write(path, b"other")
    with pytest.raises(StateError):
        machine_module._remove(path)
    assert [one.read_text() for one in target.iterdir()] == ["precious"]


def test_root_does_not_write_into_a_file_with_a_second_name(state, tmp_path):
    precious = elsewhere(tmp_path) / "agentconfig.json"
    path = state.paths.certificates / "identity.pem"
    os.link(precious, path.with_name(f".{path.name}.{os.getpid()}.new"))
    machine_module._write(path, b"key")
    assert (precious.read_text(), precious.stat().st_uid) == ("precious", 0)
    assert (path.read_bytes(), path.stat().st_uid, path.stat().st_mode & 0o777) == (b"key", DAEMON, 0o600)


def test_root_logs_into_no_other_file(state, tmp_path):
    precious = elsewhere(tmp_path) / "agentconfig.json"
    log = state.paths.command_log
    for target in (precious, precious.with_name("new")):
        log.symlink_to(target)
        LogFile(log, lambda: 0.0).write("info", "text")
        log.unlink()
    assert [one.read_text() for one in precious.parent.iterdir()] == ["precious"]


def test_the_state_folder_itself_may_be_a_link_of_the_administrators(state, tmp_path):
    target = tmp_path / "disk"
    state.paths.state.rename(target)
    state.paths.state.symlink_to(target)
    state.prepare()
    machine_module._write(state.paths.certificates / "identity.pem", b"key")
    assert (target / "certs" / "identity.pem").read_bytes() == b"key"
