"""The Windows part on a file system that is not Windows': its decisions, with the API given to it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import types

import pytest

from landbridge_agent import platform
from landbridge_agent.daemon import main as daemon_main
from landbridge_agent.machine import AgentConfig, Machine, StateError
from landbridge_agent.platform import NotSupported, windows, windows_names
from landbridge_agent.platform.windows import Windows
from landbridge_agent.platform.windows_names import WindowsPaths

CONFIG = AgentConfig(*(f"{name}-value" for name in AgentConfig._fields))


class Commands:
    """Notes what would be run; ``refused`` fail."""

    def __init__(self) -> None:
        self.run: list[list[str]] = []
        self.refused: list[str] = []

    def __call__(self, command):
        self.run.append(list(command))
        return (5, "Access is denied.") if any(word in command for word in self.refused) else (0, "")


class Msvcrt(types.SimpleNamespace):
    """Locks of one byte, within this process."""

    LK_NBLCK = 2

    def __init__(self) -> None:
        super().__init__(held=set())

    def locking(self, handle, mode, count):
        assert (mode, count) == (self.LK_NBLCK, 1)
        inode = os.fstat(handle).st_ino
        if inode in self.held:
            raise OSError(errno.EACCES, "Permission denied")
        self.held.add(inode)


@pytest.fixture
def commands() -> Commands:
    return Commands()


@pytest.fixture
def system(commands) -> Windows:
    modules = {
        "msvcrt": Msvcrt(),
        "getpass": types.SimpleNamespace(getuser=lambda: "Ada"),
        "ctypes": types.SimpleNamespace(
            windll=types.SimpleNamespace(shell32=types.SimpleNamespace(IsUserAnAdmin=lambda: 0))
        ),
    }
    return Windows(modules.__getitem__, commands)


@pytest.fixture
def paths(tmp_path) -> WindowsPaths:
    return WindowsPaths(tmp_path, False)


@pytest.fixture
def machine(system, paths, monkeypatch) -> Machine:
    """Return the agent's state as the Windows part keeps it."""
    for module in ("machine", "log_file", "local_socket"):
        monkeypatch.setattr(f"landbridge_agent.{module}.here", lambda: system)
    return Machine(paths)


def test_windows_is_chosen_by_its_name():
    assert platform.choose("win32").name == "windows"
    assert platform.choose("linux").name == "linux"


def test_another_system_is_refused_in_words():
    with pytest.raises(NotSupported, match="for 'darwin' there is none"):
        platform.choose("darwin")


def test_the_state_is_written_read_and_forgotten(machine):
    machine.connect(CONFIG, "key", "chain", b"ca")
    assert machine.config() == CONFIG
    assert machine.paths.agent_config.parent.name == "Config"
    assert sorted(path.name for path in machine.paths.certificates.iterdir()) == [
        "cloud-ca.pem",
        "identity.pem",
    ]
    machine.forget()
    assert machine.config() is None and machine.identity() is None


def test_each_folder_is_closed_once_and_only_tokens_are_shared_with_their_files(machine, commands):
    machine.prepare()
    machine.prepare()
    closed = [command[1] for command in commands.run if "/inheritance:r" in command]
    names = ("", "Tokens", "Certs", "Socks", "Log", "Config")
    assert sorted(closed) == sorted(str(machine.paths.state / name) for name in names)
    group = windows_names.TOKEN_GROUP
    shared = [command[1:4] for command in commands.run if command[3].startswith(group)]
    assert shared == [
        [str(machine.paths.state), "/grant:r", f"{group}:RX"],
        [str(machine.paths.tokens), "/grant:r", f"{group}:(OI)(CI)RX"],
    ]


def test_a_folder_that_cannot_be_closed_is_not_used(machine, commands):
    commands.refused = ["/inheritance:r"]
    with pytest.raises(StateError, match="Access is denied"):
        machine.connect(CONFIG, "key", "chain", None)
    assert not machine.paths.identity.exists()


def test_without_the_group_tokens_are_the_administrators_alone(machine, commands):
    commands.refused = [f"{windows_names.TOKEN_GROUP}:RX", f"{windows_names.TOKEN_GROUP}:(OI)(CI)RX"]
    machine.prepare()
    assert machine.paths.tokens.is_dir()


def test_an_agent_of_ones_own_keeps_the_rights_of_its_folder(system, commands, tmp_path):
    paths = WindowsPaths(tmp_path, True)
    system.private_folder(paths.state, paths)
    assert paths.state.is_dir() and not commands.run


def test_links_in_place_of_a_folder_are_not_followed(machine, tmp_path):
    machine.prepare()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    machine.paths.certificates.rmdir()
    machine.paths.certificates.symlink_to(elsewhere)
    with pytest.raises(StateError, match="cannot be written: it is a link or junction"):
        machine.replace_identity("key", "chain")
    assert list(elsewhere.iterdir()) == []


def test_a_file_that_somebody_reads_is_replaced_when_they_have_done(machine, monkeypatch):
    machine.prepare()
    tries = []

    def replace(old, new):
        tries.append(old)
        if len(tries) < 3:
            raise PermissionError(errno.EACCES, "sharing violation")
        os.rename(old, new)

    monkeypatch.setattr(windows, "REPLACE_SECONDS", 0.0)
    monkeypatch.setattr(windows.os, "replace", replace)
    machine.save_local_settings({"config.mode": "monitor"})
    assert machine.local_settings() == {"config.mode": "monitor"} and len(tries) == 3


def test_a_file_that_is_never_let_go_leaves_the_old_one_and_nothing_else(machine, monkeypatch):
    machine.save_local_settings({"config.mode": "full"})

    def replace(_old, _new):
        raise PermissionError(errno.EACCES, "sharing violation")

    monkeypatch.setattr(windows, "REPLACE_SECONDS", 0.0)
    monkeypatch.setattr(windows.os, "replace", replace)
    with pytest.raises(StateError, match=r"localconfig\.json cannot be written"):
        machine.save_local_settings({"config.mode": "monitor"})
    assert machine.local_settings() == {"config.mode": "full"}
    assert [path.name for path in machine.paths.local_config.parent.iterdir()] == ["localconfig.json"]


def test_a_second_daemon_does_not_get_the_lock(system, tmp_path):
    first = system.lock(tmp_path / "himds.lock", wait=False)
    with pytest.raises(BlockingIOError):
        system.lock(tmp_path / "himds.lock", wait=False)
    first.close()


def test_a_challenge_is_new_and_never_written_over(system, tmp_path):
    path = tmp_path / "a.key"
    system.challenge(path, b"secret", windows_names.TOKEN_GROUP)
    assert path.read_bytes() == b"secret"
    with pytest.raises(FileExistsError):
        system.challenge(path, b"other", windows_names.TOKEN_GROUP)
    assert path.read_bytes() == b"secret"


def test_the_log_grows_and_follows_no_link(system, tmp_path):
    system.append(tmp_path / "himds.log", b"one\n")
    system.append(tmp_path / "himds.log", b"two\n")
    assert (tmp_path / "himds.log").read_bytes() == b"one\ntwo\n"
    (tmp_path / "link.log").symlink_to(tmp_path / "himds.log")
    with pytest.raises(OSError, match="link or junction"):
        system.append(tmp_path / "link.log", b"three\n")


def test_who_is_not_elevated_is_no_administrator(system):
    assert not system.is_administrator()
    assert system.user() == "Ada"


def test_installing_closes_the_folder_before_the_service_starts(system, commands, tmp_path, monkeypatch):
    monkeypatch.setenv("LANDBRIDGE_AGENT_ROOT", str(tmp_path))
    commands.refused = ["localgroup"]  # the group is there
    assert system.manage_service("install") == 0
    words = [command[0] for command in commands.run]
    assert words.index("icacls.exe") < words.index("sc.exe")
    assert commands.run[-1] == ["sc.exe", "start", "himds"]


def test_a_service_that_cannot_be_made_is_said(system, commands, tmp_path, monkeypatch):
    monkeypatch.setenv("LANDBRIDGE_AGENT_ROOT", str(tmp_path))
    commands.refused = ["create"]
    with pytest.raises(OSError, match="Access is denied"):
        system.manage_service("install")
    assert ["sc.exe", "start", "himds"] not in commands.run


def test_linux_leaves_the_service_to_the_package(monkeypatch, capsys):
    monkeypatch.setattr(daemon_main.sys, "argv", ["himdsd", "install"])
    assert daemon_main.main() == 1
    assert "The package" in capsys.readouterr().err


WITHOUT_POSIX = """
import asyncio, asyncio.subprocess, subprocess, zipfile, tempfile, uuid, webbrowser, pathlib, http.server
import sys
for name in ("fcntl", "pwd", "grp", "resource", "termios"):
    sys.modules[name] = None  # as on Windows: an import of it fails
sys.platform = "win32"
import os, signal, socket
for module, name in ((os, "O_NOFOLLOW"), (os, "geteuid"), (os, "getuid"), (os, "fchown"), (os, "fchmod")):
    delattr(module, name)
"""


@pytest.mark.parametrize(
    "verb", ["show", "config", "connect", "disconnect", "reconnect", "check", "logs", "genkey"]
)
def test_the_commands_load_where_there_is_nothing_of_posix(verb):
    code = f"{WITHOUT_POSIX}\nfrom landbridge_agent.cli.run import load\nload({verb!r})"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_unsupported_system_is_told_so_without_a_traceback():
    code = "import sys\nsys.platform = 'darwin'\nfrom landbridge_agent.cli.main import main\n"
    code += "sys.argv = ['azcmagent', 'show']\nsys.exit(main())"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert (
        "AZCM0003" in done.stdout + done.stderr and "for 'darwin' there is none" in done.stdout + done.stderr
    )
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("verb", ["extension", "upgrade"])
def test_what_needs_linux_is_refused_elsewhere(verb, monkeypatch, azcmagent):
    monkeypatch.setattr("landbridge_agent.cli.run.here", Windows)
    ran = azcmagent.run(verb)
    assert ran.code == 3 and f"'azcmagent {verb}' needs Linux" in ran.err
