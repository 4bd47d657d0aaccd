"""Guest configuration by the real programs: audited, applied, drifted by hand, corrected; and offline.

An assignment is evaluated every fifteen minutes. Here the note of when that last was is set back
while ``extd`` is stopped, as if so much time had passed.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any

import pytest

from page_blocks import read
from quickstart.programs import Child, Children, wait_until
from real_az import Az
from running import CLONE, GROUP, MACHINES, PROGRAMS, Agent, ControlPlane, short_folder

VERSION = "2024-04-05"
SSHD = "Port 22\nPermitRootLogin yes\n"
MOF = """
instance of nxFile as $nxFile1ref
{
ResourceID = "[nxFile]motd"; ModuleName = "nxtools"; ModuleVersion = "1.5.0";
DestinationPath = "/etc/motd"; Ensure = "Present"; Contents = "Welcome.\\n"; Mode = "0644";
};
instance of nxFileLine as $nxFileLine1ref
{
ResourceID = "[nxFileLine]root"; ModuleName = "nxtools"; ModuleVersion = "1.5.0";
FilePath = "/etc/ssh/sshd_config"; ContainsLine = "PermitRootLogin no";
DoesNotContainPattern = "^\\\\s*PermitRootLogin\\\\b";
};
instance of OMI_ConfigurationDocument { Version="2.0.0"; Name="House"; };
"""


def package() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("House.mof", MOF)
        archive.writestr("House.metaconfig.json", json.dumps({"Type": "AuditAndSet", "Version": "1.2.0.0"}))
    return packed.getvalue()


PACKAGE = package()


class Shop(BaseHTTPRequestHandler):
    """A web server that has one package."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(PACKAGE)))
        self.end_headers()
        self.wfile.write(PACKAGE)

    def log_message(self, *words: Any) -> None:
        pass


@pytest.fixture(scope="module")
def wanted() -> Iterator[dict[str, Any]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield {
        "name": "House",
        "contentUri": f"http://127.0.0.1:{server.server_address[1]}/House.zip",
        "contentHash": hashlib.sha256(PACKAGE).hexdigest(),
    }
    server.shutdown()
    server.server_close()
    thread.join()


class Machine:
    """A connected machine with both of its services."""

    def __init__(self, agent: Agent) -> None:
        self.agent, self.cloud = agent, agent.cloud
        self.root = Path(agent.root)
        self._children = Children()
        self._starts = 0
        self.extd: Child
        agent.start_daemon()
        self.start()

    def start(self) -> None:
        self._starts += 1
        log = self.root / f"extd-{self._starts}.log"
        self.extd = self._children.start("extd", [PROGRAMS / "extd"], log, self.agent.environment)

    def stop(self) -> None:
        self._children.stop()
        self._children = Children()

    def kill_worker(self) -> None:
        """Kill the evaluation that runs, if one does."""
        mark = str(self.root / "var/lib/GuestConfig/evaluation").encode()
        for folder in Path("/proc").iterdir():
            try:
                if folder.name.isdigit() and mark in (folder / "cmdline").read_bytes().split(b"\0"):
                    os.kill(int(folder.name), signal.SIGKILL)
            except OSError:
                continue

    def let_time_pass(self, minutes: float = 16) -> None:
        """Have it be so much later since the last evaluation; extd is not running then."""
        file = self.root / "var/lib/GuestConfig/schedule.json"
        rows = json.loads(file.read_text())
        for row in rows.values():
            row["at"] -= minutes * 60
        file.write_text(json.dumps(rows))

    @property
    def id(self) -> str:
        return f"{self.cloud.subscription}/resourceGroups/{GROUP}/providers/{MACHINES}/{self.agent.name}"

    def arm(self, method: str, path: str = "", body: object = None) -> Any:
        kind = "providers/Microsoft.GuestConfiguration/guestConfigurationAssignments"
        return self.cloud.arm(method, f"{self.id}/{kind}{path}", body, VERSION)

    def assign(self, name: str, configuration: dict[str, Any], kind: str) -> None:
        properties = {"guestConfiguration": {**configuration, "assignmentType": kind}}
        answer = self.arm("PUT", f"/{name}", {"location": "local", "properties": properties})
        assert answer.status in (200, 201), answer.body

    def reports(self, name: str) -> list[dict[str, Any]]:
        found = [one["properties"] for one in self.arm("GET", f"/{name}/reports").body["value"]]
        return sorted(found, key=lambda one: str(one["endTime"]))

    def until(self, name: str, fits: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        def reached() -> list[dict[str, Any]] | None:
            found = self.reports(name)
            return found if fits(found) else None

        return wait_until(f"the reports of {name}", reached, self._children, 90)


@pytest.fixture(scope="module")
def machine(cloud: ControlPlane) -> Iterator[Machine]:
    agent = Agent(cloud, "is-configured")
    assert agent.connect().returncode == 0
    assert agent.run("config", "set", "guestconfiguration.agent.cpulimit", "100").returncode == 0
    (agent.root / "etc/ssh").mkdir(parents=True)
    (agent.root / "etc/ssh/sshd_config").write_text(SSHD)
    found = Machine(agent)
    agent.wait_connected()
    yield found
    found.stop()
    agent.stop()


def test_audited_applied_drifted_by_hand_and_corrected_with_the_history(
    machine: Machine, wanted: dict[str, Any]
) -> None:
    motd, sshd = machine.root / "etc/motd", machine.root / "etc/ssh/sshd_config"

    machine.assign("house", wanted, "Audit")
    [report] = machine.until("house", lambda found: len(found) == 1)
    assert report["complianceStatus"] == "NonCompliant"
    assert report["details"]["operationType"] == "Initial"
    said = [reason["phrase"] for one in report["details"]["resources"] for reason in one["reasons"]]
    assert said == [
        "/etc/motd does not exist.",
        "/etc/ssh/sshd_config lacks the line 'PermitRootLogin no'.",
        "/etc/ssh/sshd_config matches '^\\s*PermitRootLogin\\b' on line 2.",
    ]
    assert not motd.exists() and sshd.read_text() == SSHD

    machine.assign("house", wanted, "ApplyAndAutoCorrect")
    *_, report = machine.until("house", lambda found: len(found) == 2)
    assert report["complianceStatus"] == "Compliant"
    assert report["assignment"]["configuration"] == {"name": "House", "version": "1.2.0.0"}
    assert motd.read_text() == "Welcome.\n"
    assert sshd.read_text() == "Port 22\nPermitRootLogin no\n"

    sshd.write_text("Port 22\nPermitRootLogin yes # just for now\n")
    machine.stop()
    machine.let_time_pass()
    machine.start()
    *_, report = machine.until("house", lambda found: len(found) == 3)
    assert sshd.read_text() == "Port 22\nPermitRootLogin no\n"
    assert report["complianceStatus"] == "Compliant"
    first, second = report["details"]["resources"]
    assert first["properties"]["driftCorrectedCount"] == 0
    assert second["properties"]["driftCorrectedCount"] == 1
    [drift] = second["properties"]["lastDrifts"]
    assert drift["found"]["Lines"] == ["PermitRootLogin yes # just for now"]
    assert f"corrected at {drift['correctedAt']}" in second["reasons"][1]["phrase"]
    shown = machine.arm("GET", "/house").body["properties"]
    assert shown["complianceStatus"] == "Compliant"
    assert shown["latestReportId"].endswith(report["reportId"])


def test_offline_for_a_while_it_is_corrected_all_the_same_and_the_cloud_catches_up(
    machine: Machine, cloud: ControlPlane, wanted: dict[str, Any]
) -> None:
    motd = machine.root / "etc/motd"
    assert machine.arm("DELETE", "/house").status in (200, 204)
    machine.assign("offline", wanted, "ApplyAndAutoCorrect")
    [report] = machine.until("offline", lambda found: len(found) == 1)
    assert report["complianceStatus"] == "Compliant"
    waiting = machine.root / "var/lib/GuestConfig/reports"
    wait_until("the queue to be empty", lambda: not list(waiting.iterdir()) or None, Children(), 30)
    machine.stop()
    cloud.kill()
    try:
        for count in (1, 2):
            motd.write_text(f"by hand, {count}\n")
            machine.let_time_pass()
            machine.start()
            wait_until(
                "a report to be queued",
                lambda least=count: len(list(waiting.glob("*.offline.*.json"))) == least or None,
                Children(),
                60,
            )
            assert motd.read_text() == "Welcome.\n", [one.read_text() for one in waiting.iterdir()]
            machine.stop()
    finally:
        cloud.start()
    machine.start()
    found = machine.until("offline", lambda found: len(found) == 3)
    assert [one["complianceStatus"] for one in found] == ["Compliant"] * 3
    corrected = [one["details"]["resources"][0]["properties"]["driftCorrectedCount"] for one in found]
    assert corrected == [0, 1, 2]
    wait_until("the queue to be empty", lambda: not list(waiting.iterdir()) or None, Children(), 30)


def test_killed_again_and_again_each_evaluation_has_one_report_and_the_last_is_right(
    machine: Machine, wanted: dict[str, Any]
) -> None:
    """extd dies at random points, and the worker too; a drift is always found in the end."""
    motd, random = machine.root / "etc/motd", Random(7)
    machine.assign("killed", wanted, "ApplyAndAutoCorrect")
    machine.until("killed", lambda found: len(found) >= 1)
    for count in range(12):
        motd.write_text(f"by hand, {count}\n")
        machine.extd.process.send_signal(signal.SIGKILL)
        machine.extd.process.wait()
        if random.random() < 0.5:
            machine.kill_worker()
        machine.let_time_pass()
        machine.start()
        time.sleep(random.uniform(0.3, 1.5))
        if random.random() < 0.5:
            machine.kill_worker()
    motd.write_text("by hand, the last time\n")
    machine.stop()
    machine.let_time_pass()
    machine.start()
    wait_until("the file", lambda: motd.read_text() == "Welcome.\n" or None, Children(), 60)
    waiting = machine.root / "var/lib/GuestConfig/reports"
    wait_until("the queue to be empty", lambda: not list(waiting.iterdir()) or None, Children(), 30)
    machine.until("killed", lambda found: found[-1]["complianceStatus"] == "Compliant")
    found = machine.reports("killed")
    jobs = [one["details"]["jobId"] for one in found]
    assert len(jobs) == len(set(jobs))


def test_a_built_in_configuration_is_assigned_by_its_name(machine: Machine) -> None:
    machine.assign("ssh", {"name": "SshHardening"}, "ApplyAndMonitor")
    [report] = machine.until("ssh", lambda found: len(found) == 1)
    assert report["complianceStatus"] == "Compliant", report
    settings = (machine.root / "etc/ssh/sshd_config.d/00-landbridge.conf").read_text()
    assert "PermitRootLogin prohibit-password\n" in settings and "MaxAuthTries 4\n" in settings
    main = (machine.root / "etc/ssh/sshd_config").read_text()
    assert main.startswith("Include /etc/ssh/sshd_config.d/*.conf\n")

    machine.assign("unknown", {"name": "NoSuchThing"}, "Audit")
    [report] = machine.until("unknown", lambda found: len(found) == 1)
    assert "SshHardening" in report["details"]["resources"][0]["reasons"][0]["phrase"]


def test_what_is_removed_leaves_no_files(machine: Machine) -> None:
    assert machine.arm("DELETE", "/ssh").status in (200, 204)
    history = machine.root / "var/lib/GuestConfig/history/ssh.json"
    wait_until("the files to go", lambda: not history.exists() or None, Children(), 30)
    assert (machine.root / "etc/ssh/sshd_config.d/00-landbridge.conf").exists()


PAGE = CLONE / "docs/how-to/guest-configuration.md"


class Folder(SimpleHTTPRequestHandler):
    """A web server that has the files of a folder."""

    def log_message(self, *words: Any) -> None:
        pass


@pytest.fixture
def az(cloud: ControlPlane) -> Iterator[Az]:
    folder = short_folder()
    found, admin = Az("2.91", folder, Path(cloud.admin.ca_file)), cloud.admin
    found("config", "set", "core.instance_discovery=false", "core.login_experience_v2=off")
    found("cloud", "register", "-n", "Mine", "--endpoint-resource-manager", admin.url)
    found("cloud", "set", "-n", "Mine")
    words = ("-u", admin.client_id, "-p", admin.client_secret, "--tenant", admin.tenant)
    found("login", "--service-principal", *words)
    yield found
    shutil.rmtree(folder)


@pytest.mark.az
def test_what_the_page_shows_works(machine: Machine, az: Az, tmp_path: Path) -> None:
    """Run the blocks that are for whoever manages machines, in order."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Folder, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        environment = az.environment | {
            "MACHINE": machine.id,
            "PATH": f"{az.program.parent}:{az.environment['PATH']}",
            "PACKAGES": f"http://127.0.0.1:{server.server_address[1]}",
            "KIND": "providers/Microsoft.GuestConfiguration/guestConfigurationAssignments",
        }
        assign, show, pack, own, remove, _ = (block.text for block in read(PAGE.read_text(), az.version)[0])

        def paste(script: str) -> Any:
            words = ["bash", "-euc", script]
            done = subprocess.run(words, env=environment, cwd=tmp_path, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            return json.loads(done.stdout) if done.stdout.strip() else None

        assert paste(assign)["properties"]["complianceStatus"] == "Pending"
        machine.until("ssh", lambda found: len(found) >= 1)
        shown = paste(show)
        assert shown["status"] == "NonCompliant"
        assert any("MaxAuthTries 3" in one or "00-landbridge.conf" in one for one in shown["reasons"])
        paste(pack)
        paste(own)
        [report] = machine.until("house", lambda found: len(found) == 1)
        assert report["complianceStatus"] == "Compliant", report
        assert (machine.root / "etc/motd").read_text() == "Welcome.\n"
        paste(remove)
        assert machine.arm("GET", "/house").status == 404
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
