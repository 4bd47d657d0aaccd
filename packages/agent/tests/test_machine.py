"""The state on disk: whole or not at all, its owner's alone."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys

import pytest

from landbridge_agent.machine import MAX_FILE, AgentConfig, Machine, Pending, StateError
from landbridge_agent.paths import Paths, paths_from

CONFIG = AgentConfig(*(f"{name}-value" for name in AgentConfig._fields))
PENDING = Pending("/r", "https://c", "vm", "public", "private")


@pytest.fixture
def machine(tmp_path):
    return Machine(Paths(tmp_path / "root", True))


def test_paths_are_the_originals():
    paths = paths_from({})
    assert str(paths.agent_config) == "/var/opt/azcmagent/agentconfig.json"
    assert str(paths.socket) == "/var/opt/azcmagent/socks/himds.sock"
    assert not paths.relocated


def test_a_root_moves_the_whole_tree(tmp_path):
    paths = paths_from({"LANDBRIDGE_AGENT_ROOT": str(tmp_path)})
    assert paths.local_config == tmp_path / "var/opt/azcmagent/localconfig.json"
    assert paths.cloud == tmp_path / "etc/opt/azcmagent/cloud.json"
    assert paths.relocated


def test_nothing_on_disk_means_not_connected(machine):
    assert machine.config() is None
    assert machine.identity() is None
    assert machine.pending() is None
    assert machine.local_settings() == {}
    assert machine.cloud_file() is None


def test_what_is_written_is_read_back(machine):
    machine.begin(PENDING)
    assert machine.pending() == PENDING
    machine.connect(CONFIG, "key", "chain", b"ca")
    assert machine.config() == CONFIG
    assert machine.identity() == b"key\nchain\n"
    assert machine.paths.cloud_ca.read_bytes() == b"ca"
    assert machine.pending() is None


def test_forget_leaves_the_local_configuration(machine):
    machine.connect(CONFIG, "key", "chain", b"ca")
    machine.save_local_settings({"incomingconnections.enabled": False})
    machine.forget()
    machine.forget()
    assert machine.config() is None and machine.identity() is None
    assert machine.local_settings() == {"incomingconnections.enabled": False}
    assert list(machine.paths.certificates.iterdir()) == []


def test_an_open_folder_is_closed(machine):
    machine.paths.certificates.mkdir(parents=True, mode=0o755)
    machine.begin(PENDING)
    assert stat.S_IMODE(machine.paths.certificates.stat().st_mode) == 0o700
    assert stat.S_IMODE(machine.paths.pending.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", ["", "{", "[]", '"x"', "\xff", '{"resourceId": 1}', "[" * 5000])
def test_a_damaged_file_is_named(machine, content):
    machine.prepare()
    machine.paths.agent_config.write_text(content)
    with pytest.raises(StateError, match=r"agentconfig\.json"):
        machine.config()


def test_half_a_configuration_is_not_taken_for_one(machine):
    machine.prepare()
    machine.paths.agent_config.write_text(json.dumps({"resourceName": "m"}))
    with pytest.raises(StateError, match="lacks"):
        machine.config()


def test_a_huge_file_is_not_read(machine):
    machine.prepare()
    machine.paths.local_config.write_bytes(b" " * (MAX_FILE + 1))
    with pytest.raises(StateError, match="larger"):
        machine.local_settings()


def test_a_state_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "root").write_text("a file")
    with pytest.raises(StateError, match="cannot be made"):
        Machine(Paths(tmp_path / "root", True)).prepare()


def test_a_planted_link_is_not_followed(machine, tmp_path):
    machine.prepare()
    target = tmp_path / "target"
    target.write_text("precious")
    for name in (".localconfig.json", "localconfig.json"):
        link = machine.paths.state / f"{name}.{os.getpid()}.new"
        link.symlink_to(target)
    machine.save_local_settings({"a": 1})
    assert target.read_text() == "precious"
    assert not machine.paths.local_config.is_symlink()
    assert machine.local_settings() == {"a": 1}


WRITER = """
import sys
from pathlib import Path
from landbridge_agent.machine import Machine
from landbridge_agent.paths import Paths
machine = Machine(Paths(Path(sys.argv[1]), True))
machine.save_local_settings({"n": "0" * 20000})
print("ready", flush=True)
n = 0
while True:
    n += 1
    machine.save_local_settings({"n": str(n % 10) * 20000})
"""


def test_a_kill_at_any_point_leaves_a_whole_file(machine, tmp_path):
    for _ in range(5):
        command = [sys.executable, "-c", WRITER, str(machine.paths.root)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            before = machine.paths.local_config.stat().st_ino
            while machine.paths.local_config.stat().st_ino == before:
                pass
            writer.send_signal(signal.SIGKILL)
        settings = machine.local_settings()
        assert len(set(str(settings["n"]))) == 1 and len(str(settings["n"])) == 20000
