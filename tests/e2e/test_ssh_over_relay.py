"""Plain OpenSSH programs through the relay, to a machine on which nothing is open."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from running import ENVIRONMENT, PROGRAMS, Connection, run_client, short_folder

pytestmark = pytest.mark.ssh

SIZE = 64 * 1024 * 1024


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@pytest.fixture(scope="module")
def blob(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """64 MiB that no compression can shorten."""
    path = tmp_path_factory.mktemp("blob") / "blob"
    path.write_bytes(os.urandom(SIZE))
    return path


def test_ssh_runs_a_command_and_brings_its_exit_code_back(connection: Connection) -> None:
    done = connection.ssh("echo over the relay; echo apart >&2; exit 7")
    assert (done.stdout, done.returncode) == ("over the relay\n", 7), done.stderr
    assert "apart" in done.stderr


def test_ssh_pins_the_host_keys_that_the_agent_reported(connection: Connection) -> None:
    text = connection.config.read_text()
    assert "StrictHostKeyChecking yes" in text
    known_hosts = Path(re.findall(r'UserKnownHostsFile "(.+)"', text)[0])
    ours = (connection.sshd.places.sshd / "host_key.pub").read_text().split()[1]
    assert ours in known_hosts.read_text()


def test_scp_of_64_mib_there_and_back_is_byte_identical(
    connection: Connection, blob: Path, tmp_path: Path
) -> None:
    there, back = tmp_path / "there", tmp_path / "back"
    scp = ["scp", "-q", "-F", str(connection.config), "-o", "BatchMode=yes"]
    up = run_client([*scp, str(blob), f"{connection.host}:{there}"])
    assert up.returncode == 0, up.stderr
    down = run_client([*scp, f"{connection.host}:{there}", str(back)])
    assert down.returncode == 0, down.stderr
    assert digest(there) == digest(blob)
    assert digest(back) == digest(blob)


def test_rsync_carries_a_tree(connection: Connection, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    for number in range(40):
        file = source / f"folder {number % 4}" / f"file {number}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.urandom(number * 997))
    (source / "link").symlink_to("folder 0/file 0")
    argv = ["rsync", "-a", "-e", " ".join(connection.ssh_command)]
    done = run_client([*argv, f"{source}/", f"{connection.host}:{target}/"])
    assert done.returncode == 0, done.stderr
    again = run_client(
        [*argv, "--checksum", "--itemize-changes", f"{source}/", f"{connection.host}:{target}/"]
    )
    assert again.returncode == 0, again.stderr
    assert "file" not in again.stdout  # nothing was left to carry
    assert (target / "folder 3/file 39").read_bytes() == (source / "folder 3/file 39").read_bytes()


class Terminal:
    """A shell in tmux, of which a test sees what a person would see."""

    def __init__(self, folder: Path, shell: str) -> None:
        self._tmux = ["tmux", "-S", str(folder / "tmux"), "-f", "/dev/null"]
        self._environment = {**ENVIRONMENT, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
        self("new-session", "-d", "-s", "relay", "-x", "100", "-y", "30", shell)

    def __call__(self, *words: str) -> str:
        argv = [*self._tmux, *words]
        return subprocess.run(
            argv, env=self._environment, stdout=subprocess.PIPE, text=True, check=True
        ).stdout

    def type_in(self, text: str) -> None:
        self("send-keys", "-t", "relay", "-l", text)
        self("send-keys", "-t", "relay", "Enter")

    def wait_for(self, line: str) -> None:
        deadline = time.monotonic() + 30
        while line not in (screen := self("capture-pane", "-p", "-t", "relay")).splitlines():
            assert time.monotonic() < deadline, f"'{line}' never appeared on:\n{screen}"
            time.sleep(0.2)


def test_an_interactive_shell_works_in_tmux(connection: Connection) -> None:
    folder = short_folder()
    terminal = Terminal(folder, " ".join([*connection.ssh_command, "-tt", connection.host]))
    try:
        terminal.type_in("stty size")
        terminal.wait_for(terminal("display-message", "-p", "#{pane_height} #{pane_width}").strip())
        terminal.type_in("echo be''gun; sleep 60")
        terminal.wait_for("begun")
        terminal("send-keys", "-t", "relay", "C-c")
        terminal.type_in("echo code $?")
        terminal.wait_for("code 130")
        terminal("resize-window", "-t", "relay", "-x", "90", "-y", "20")
        terminal.type_in("stty size")
        terminal.wait_for(terminal("display-message", "-p", "#{pane_height} #{pane_width}").strip())
    finally:
        terminal("kill-server")
        shutil.rmtree(folder)


def test_only_loopback_is_listened_on(connection: Connection) -> None:
    daemon = connection.agent.daemon
    assert daemon is not None
    listening = subprocess.run(
        ["ss", "-Hltnp"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    of_daemon = [line for line in listening if f"pid={daemon.process.pid}," in line]
    of_sshd = [line.split()[3] for line in listening if line.split()[3].endswith(f":{connection.sshd.port}")]
    assert {line.split()[3].rsplit(":", 1)[0] for line in of_daemon} <= {"127.0.0.1", "[::1]"}
    assert of_sshd == [f"127.0.0.1:{connection.sshd.port}"]


def relay_info(connection: Connection) -> str:
    return re.findall(r'sshProxy" -r "(.+)" -p', connection.config.read_text())[0]


def test_a_server_that_speaks_first_is_heard_from_its_first_byte(connection: Connection) -> None:
    """sshd greets before the client says a word, maybe before the relay's side stands."""
    argv = [PROGRAMS / "sshProxy", "-r", relay_info(connection), "-p", str(connection.sshd.port)]
    for _ in range(30):
        with subprocess.Popen(argv, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as proxy:
            assert proxy.stdout is not None
            greeting = proxy.stdout.readline()
            proxy.terminate()
        assert greeting.startswith(b"SSH-2.0-OpenSSH")


def test_a_port_that_is_not_allowed_is_refused_with_one_line_of_json(connection: Connection) -> None:
    closed = connection.sshd.port - 1
    done = run_client([PROGRAMS / "sshProxy", "-r", relay_info(connection), "-p", str(closed)])
    assert done.returncode != 0
    assert done.stdout == ""
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert str(closed) in json.dumps(json.loads(lines[0]))
    assert "incomingconnections.ports" in lines[0]


def test_a_port_allowed_while_the_agent_runs_works_at_once_and_is_named_when_nothing_listens(
    connection: Connection,
) -> None:
    nobody = 1  # tcpmux: nothing listens there
    agent, port = connection.agent, connection.sshd.port
    assert agent.run("config", "set", "incomingconnections.ports", f"{port},{nobody}").returncode == 0
    try:
        done = run_client([PROGRAMS / "sshProxy", "-r", relay_info(connection), "-p", str(nobody)])
    finally:
        assert agent.run("config", "set", "incomingconnections.ports", str(port)).returncode == 0
    assert done.returncode != 0
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert "refused" in done.stderr
