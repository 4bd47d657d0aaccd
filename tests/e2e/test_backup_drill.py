"""The drill: a backup while people write, the control plane dies, and another folder takes its place."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import postgresql_server
from landbridge_agent import assertion
from landbridge_agent.keys import certificate_request, leaf, new_private_key
from landbridge_agent.machine import Machine
from landbridge_agent.paths import Paths
from landbridge_wire import agent_api
from running import PROGRAMS, Agent, Connection, ControlPlane, Sshd, run_client, short_folder

pytestmark = [pytest.mark.ssh, pytest.mark.slow]

BACK_SECONDS = 30.0
WRITERS = 3


class Writing:
    """Resource groups that are made by several callers, and which of them were acknowledged."""

    def __init__(self, cloud: ControlPlane) -> None:
        self.cloud = cloud
        self.acknowledged: list[str] = []
        self.refused: list[object] = []
        self.slowest = 0.0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(number,)) for number in range(WRITERS)]

    def __enter__(self) -> Writing:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _write(self, writer: int) -> None:
        count = 0
        while not self._stop.is_set():
            count += 1
            name = f"load-{writer}-{count}"
            began = time.monotonic()
            answer = self.cloud.arm(
                "PUT", f"{self.cloud.subscription}/resourceGroups/{name}", {"location": "local"}
            )
            self.slowest = max(self.slowest, time.monotonic() - began)
            if answer.status == 201:
                self.acknowledged.append(name)
            else:
                self.refused.append(answer.body)

    def wait_for(self, more: int) -> list[str]:
        """Wait until so many more were acknowledged; return all that were."""
        goal, until = len(self.acknowledged) + more, time.monotonic() + 60
        while len(self.acknowledged) < goal:
            assert time.monotonic() < until, self.refused
            time.sleep(0.01)
        return list(self.acknowledged)


def renewed(agent: Agent) -> str:
    """Have the machine renew its certificate now, as its daemon does after 45 days; return its serial."""
    machine = Machine(Paths(agent.root, True))
    config, identity = machine.config(), machine.identity()
    assert config is not None and identity is not None
    opener = agent.cloud.opener
    form = {
        "grant_type": "client_credentials",
        "client_id": config.clientId,
        "client_assertion_type": agent_api.CLIENT_ASSERTION_TYPE,
        "client_assertion": assertion.sign(identity, config.clientId, config.tokenEndpoint, time.time()),
        "scope": agent_api.AUDIENCE + "/.default",
    }
    with opener.open(config.tokenEndpoint, urllib.parse.urlencode(form).encode()) as answer:
        token = json.load(answer)["access_token"]
    key = new_private_key()
    body = agent_api.CertificateRequest(certificate_request(key, config.clientId)).to_json()
    request = urllib.request.Request(config.endpoint + agent_api.CERTIFICATES, json.dumps(body).encode())
    request.add_header("Authorization", f"Bearer {token}")
    request.add_header("Content-Type", "application/json")
    with opener.open(request) as answer:
        chain = agent_api.Certificate.from_json(json.load(answer)).certificate
    machine.replace_identity(key, chain)
    return f"{leaf(chain).serial_number:x}"


def serial_on_disk(agent: Agent) -> str:
    """Return the serial of the certificate that the machine has."""
    identity = Machine(Paths(agent.root, True)).identity()
    assert identity is not None
    return f"{leaf(identity).serial_number:x}"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.soak)])
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, ...]]:
    """The words that say where the restored rows go: to a file as before, or to PostgreSQL."""
    if request.param == "sqlite":
        yield ()
        return
    with postgresql_server.started() as server:
        if server is None:
            pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
        with server.database() as url:
            file = tmp_path / "store.url"
            file.write_text(url)
            file.chmod(0o600)
            yield ("--store-file", str(file))


@pytest.fixture
def folders() -> Iterator[Callable[[], Path]]:
    """Makes folders with short names that go with the test."""
    made: list[Path] = []

    def make() -> Path:
        made.append(short_folder())
        return made[-1]

    yield make
    for folder in made:
        shutil.rmtree(folder, ignore_errors=True)


def groups(cloud: ControlPlane) -> set[str]:
    """Return the names of all resource groups."""
    listed = cloud.arm("GET", f"{cloud.subscription}/resourceGroups").body
    assert "nextLink" not in listed
    return {one["name"] for one in listed["value"]}


def test_a_cloud_that_is_lost_comes_back_from_its_backup_and_its_machine_with_it(
    sshd: Sshd, folders: Callable[[], Path], new_store: tuple[str, ...]
) -> None:
    first = ControlPlane(folders())
    agent, late = Agent(first, "shore"), Agent(first, "late")
    try:
        first.prepare()
        agent.start_daemon()
        assert agent.run("config", "set", "incomingconnections.ports", str(sshd.port)).returncode == 0
        done = agent.connect()
        assert done.returncode == 0, done.stdout
        agent.wait_connected()
        assert Connection(agent, sshd).ssh("echo before").stdout == "before\n"

        passphrase = folders() / "passphrase"
        passphrase.write_text("a passphrase of the drill\n")
        passphrase.chmod(0o600)
        kept = folders() / "landbridge.backup"
        with Writing(first) as writing:
            before = writing.wait_for(30)
            first.landbridge("backup", str(kept), "--passphrase-file", str(passphrase))
            after = writing.wait_for(10)
        assert writing.refused == []
        serial = renewed(agent)  # the backup knows nothing of this certificate
        late.start_daemon()
        assert late.connect().returncode == 0  # nor of this machine
        first.kill()
        agent.kill_daemon()  # the machine is rebooted, too: it has nothing but what is on its disk
        shutil.rmtree(first.data)

        data = folders() / "restored"
        argv = [*("restore", str(kept), "--passphrase-file", str(passphrase)), *new_store]
        first.data = data
        print(first.landbridge(*argv))
        second = ControlPlane(data, *new_store, port=first.port)
        agent.cloud = second
        agent.start_daemon()
        try:
            agent.wait_connected(BACK_SECONDS)
            again = Connection(agent, sshd).ssh("echo after")  # its lines name the folder
            assert again.stdout == "after\n", again.stderr
            found = groups(second)
            assert set(before) <= found
            print(f"{len(after)} writes acknowledged, {len(before)} of them before the backup began;")
            print(f"{len(found & set(after))} are there. The slowest took {writing.slowest:.2f} s.")
            assert serial == serial_on_disk(agent)
            late.cloud = second
            assert late.run("disconnect", "--force-local-only").returncode == 0
            assert late.connect().returncode == 0
            late.wait_connected(BACK_SECONDS)
            print(second.landbridge("audit", "verify", *new_store))
        finally:
            second.stop()
    finally:
        late.stop()
        agent.stop()
        first.stop()


def test_a_restore_that_is_stopped_leaves_nothing_behind(folders: Callable[[], Path]) -> None:
    cloud = ControlPlane(folders())
    try:
        kept, target = folders() / "b", folders() / "restored"
        cloud.landbridge("backup", str(kept))
        argv = [PROGRAMS / "landbridge", "restore", str(kept), "--data", str(target)]
        process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and not list(target.parent.glob(".restored.restoring-*/landbridge.db")):
            time.sleep(0.01)
        process.terminate()
        assert process.wait(30) == 143
        assert list(target.parent.iterdir()) == []
    finally:
        cloud.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
def test_a_restore_fills_a_file_system_of_its_own(folders: Callable[[], Path]) -> None:
    cloud = ControlPlane(folders())
    kept, target = folders() / "b", folders()
    try:
        cloud.landbridge("backup", str(kept))
    finally:
        cloud.stop()
    # As a disk is: with a lost+found, and here with what a restore has left that was killed.
    script = f"""
        mount -t tmpfs -o uid=65534,gid=65534,mode=700 none {target}
        cd {target} && mkdir lost+found .{target.name}.restoring-0123
        touch .{target.name}.restoring-0123/lock
        {PROGRAMS}/landbridge restore {kept} --data {target} >&2
        ls -A {target}; stat -c %u {target}/keys/relay.key
        ! {PROGRAMS}/landbridge restore {kept} --data {target}
    """
    done = run_client(["unshare", "--mount", "sh", "-ec", script])
    assert done.returncode == 0, done.stderr
    names = ["admin.json", "ca", "keys", "landbridge.db", "lock", "lost+found", "tls", "up.json", "65534"]
    assert done.stdout.split() == names
    assert "is not an empty folder" in done.stderr
    assert list(target.iterdir()) == []  # the mount was the script's alone
