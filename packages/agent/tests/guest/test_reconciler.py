"""Guest configuration from what is wanted to what is reported, with real workers and a real package."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from landbridge_agent.daemon.control_plane import Refused
from landbridge_agent.guest import ending, reconciler
from landbridge_agent.guest.desired import Desired
from landbridge_agent.local_config import InvalidSetting
from landbridge_agent.work import processes, tree


def codes(report):
    return [reason["code"] for one in report["details"]["resources"] for reason in one["reasons"]]


@pytest.fixture
def motd(shop, make_package, make_resource):
    """What an assignment says of a package that wants /etc/motd."""
    wanted = make_resource(
        "nxFile", "motd", DestinationPath="/etc/motd", Contents="hello\n", Ensure="Present"
    )
    return shop.sell("motd", make_package("motd", wanted))


async def test_an_audit_changes_nothing_and_says_what_is_missing(world, motd):
    world.want("a", motd, "Audit")
    async with world.running():
        report = await world.report(1)
    assert report["complianceStatus"] == "NonCompliant"
    assert report["configurationVersion"] == "1.0.0.0"
    assert report["details"]["operationType"] == "Initial"
    [one] = report["details"]["resources"]
    assert (one["resourceId"], one["complianceStatus"]) == ("[nxFile]motd", "NonCompliant")
    assert one["reasons"] == [{"code": "nxFile:nxFile:Ensure", "phrase": "/etc/motd does not exist."}]
    assert not (world.root / "etc/motd").exists()


async def test_what_drifts_is_corrected_and_the_report_does_not_hide_it(world, motd):
    world.want("a", motd, "ApplyAndAutoCorrect")
    file = world.root / "etc/motd"
    async with world.running():
        report = await world.report(1)
        assert report["complianceStatus"] == "Compliant"
        assert codes(report) == ["DSC::RESOURCE::SUCCESS"]
        assert file.read_text() == "hello\n"
        file.write_text("by hand\n")
        world.later()
        report = await world.report(2)
    assert file.read_text() == "hello\n"
    assert report["complianceStatus"] == "Compliant"
    assert report["details"]["operationType"] == "Consistency"
    [one] = report["details"]["resources"]
    assert codes(report) == ["DSC::RESOURCE::SUCCESS", "Landbridge:Drift:Corrected"]
    assert one["properties"]["driftCorrectedCount"] == 1
    [drift] = one["properties"]["lastDrifts"]
    assert drift["found"]["Contents"] == "by hand\n"
    assert drift["correctedBy"] == "agent" and drift["correctedAt"] in one["reasons"][1]["phrase"]


async def test_apply_and_monitor_sets_once_and_then_only_looks(world, motd):
    world.want("a", motd, "ApplyAndMonitor")
    file = world.root / "etc/motd"
    async with world.running():
        assert (await world.report(1))["complianceStatus"] == "Compliant"
        file.write_text("by hand\n")
        world.later()
        report = await world.report(2)
        assert report["complianceStatus"] == "NonCompliant"
        assert file.read_text() == "by hand\n"
        world.want("a", motd, "ApplyAndMonitor", tag="2")
        assert (await world.report(3))["complianceStatus"] == "Compliant"
    assert file.read_text() == "hello\n"


async def test_offline_it_works_on_and_catches_up_each_report_once(world, motd):
    world.want("a", motd, "DeployAndAutoCorrect")
    file = world.root / "etc/motd"
    async with world.running():
        await world.report(1)
        world.online = False
        for count in (1, 2):
            file.write_text(f"drift {count}\n")
            world.later()
            world.gc.poke()
            while len(list(world.places.reports.iterdir())) < count:
                await asyncio.sleep(0.05)
        assert file.read_text() == "hello\n"
    async with world.running():  # the machine starts anew, still offline
        await asyncio.sleep(0.2)
        assert len(world.reports) == 1
        world.online = True
        report = await world.report(3)
        await asyncio.sleep(0.3)
    assert len({number for _, number, _ in world.reports}) == len(world.reports) == 3
    assert report["details"]["resources"][0]["properties"]["driftCorrectedCount"] == 2
    assert not list(world.places.reports.iterdir())


async def test_what_is_kept_is_for_root_alone_and_goes_with_the_assignment(world, motd):
    secret = {"name": "[nxFile]motd;Contents", "value": "the-secret\n"}
    world.want("a", motd, "ApplyAndAutoCorrect", [secret])
    async with world.running():
        await world.report(1)
        assert (world.root / "etc/motd").read_text() == "the-secret\n"
        (world.root / "etc/motd").write_text("not the-secret\nat all")
        world.later()
        report = await world.report(2)
        assert report["details"]["resources"][0]["properties"]["driftCorrectedCount"] == 1
        assert "the-secret" not in str(world.reports) + world.places.log.read_text()
        for path in world.places.top.rglob("*"):
            assert not path.stat().st_mode & 0o077, path
        world.wanted = []
        world.gc.poke()
        while world.places.packages("a").exists():
            await asyncio.sleep(0.05)
    left = [path.name for path in world.places.top.rglob("*") if path.is_file()]
    assert sorted(left) == ["gc_agent.log", "schedule.json"]
    assert "the-secret" not in world.places.schedule.read_text()


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("guestconfiguration.enabled", False, "guestconfiguration.enabled is false"),
        ("config.mode", "monitor", "config.mode is monitor"),
    ],
)
async def test_a_machine_that_denies_it_says_which_rule_once_and_nothing_changes(
    world, motd, name, value, rule
):
    world.want("a", motd, "ApplyAndAutoCorrect")
    before = dict(world.settings)
    world.settings[name] = value
    async with world.running():
        report = await world.report(1)
        assert codes(report) == ["Landbridge:LocalConfiguration:Denied"]
        assert rule in report["details"]["resources"][0]["reasons"][0]["phrase"]
        world.later()
        world.gc.poke()
        await asyncio.sleep(0.3)
        assert len(world.reports) == 1
        assert not (world.root / "etc/motd").exists()
        world.settings = before
        world.later(2)
        assert (await world.report(2))["complianceStatus"] == "Compliant"
        world.settings = {**before, name: value}
        world.later()
        assert codes(await world.report(3)) == ["Landbridge:LocalConfiguration:Denied"]


async def test_a_local_configuration_that_cannot_be_read_denies(world, motd):
    world.want("a", motd, "ApplyAndAutoCorrect")

    def damaged():
        raise InvalidSetting("it is damaged")

    gc = world.make()
    gc._settings = damaged
    task = asyncio.ensure_future(gc.run())
    report = await world.report(1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert "it is damaged" in report["details"]["resources"][0]["reasons"][0]["phrase"]
    assert not (world.root / "etc/motd").exists()


async def test_scripts_run_only_where_the_machine_allows_them(world, shop, make_package, make_resource):
    flag = world.root / "flag"
    script = make_resource(
        "nxScript", "s", TestScript=f"test -e {flag}", SetScript=f"touch {flag}", GetScript="echo x"
    )
    world.want("s", shop.sell("s", make_package("s", script)), "ApplyAndAutoCorrect")
    async with world.running():
        report = await world.report(1)
        assert codes(report) == ["nxScript:nxScript:CannotApply"]
        assert "guestconfiguration.scripts.enabled is false" in str(report)
        world.settings["guestconfiguration.scripts.enabled"] = True
        world.later()
        report = await world.report(2)
    assert report["complianceStatus"] == "Compliant" and flag.exists()


def worker_of(world) -> int:
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if str(world.places.evaluation).encode() in words:
                return int(folder.name)
    return 0


async def running_worker(world) -> int:
    while not (pid := worker_of(world)):
        await asyncio.sleep(0.02)
    return pid


@pytest.fixture
def slow(world, shop, make_package, make_resource):
    """What an assignment says of a package whose test sleeps until a file is there."""
    world.settings["guestconfiguration.scripts.enabled"] = True
    wait = f"echo x >> {world.root}/starts; while ! test -e {world.root}/go; do sleep 0.1; done"
    return shop.sell("slow", make_package("slow", make_resource("nxScript", "s", TestScript=wait)))


async def test_a_worker_that_is_killed_is_reported_and_the_next_evaluation_is_clean(world, slow):
    world.want("a", slow)
    async with world.running():
        os.kill(await running_worker(world), signal.SIGKILL)
        report = await world.report(1)
        assert codes(report) == ["Landbridge:Evaluation:Failed"]
        assert "SIGKILL" in report["details"]["resources"][0]["reasons"][0]["phrase"]
        (world.root / "go").touch()
        world.later()
        assert (await world.report(2))["complianceStatus"] == "Compliant"
    assert len(world.reports) == 2


async def test_one_that_takes_too_long_is_killed_with_what_it_started_and_reported(world, slow, monkeypatch):
    monkeypatch.setattr(reconciler, "EVALUATION_SECONDS", 3.0)
    world.want("a", slow)
    async with world.running():
        report = await world.report(1)
    assert "took longer than 3 seconds" in str(report)
    assert not worker_of(world)


async def test_an_evaluation_that_outlives_extd_is_found_again_and_reported_once(world, slow):
    world.want("a", slow)
    async with world.running():
        pid = await running_worker(world)
        while not (world.root / "starts").exists():
            await asyncio.sleep(0.05)
    assert worker_of(world) == pid
    async with world.running():
        await asyncio.sleep(0.3)
        (world.root / "go").touch()
        assert (await world.report(1))["complianceStatus"] == "Compliant"
        await asyncio.sleep(1.5)
    assert len(world.reports) == 1
    assert (world.root / "starts").read_text() == "x\n"
    os.waitpid(pid, 0)


async def test_an_evaluation_that_was_cut_off_with_extd_is_done_again(world, slow):
    world.want("a", slow)
    async with world.running():
        pid = await running_worker(world)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    (world.root / "go").touch()
    async with world.running():
        assert (await world.report(1))["complianceStatus"] == "Compliant"
        await asyncio.sleep(0.3)
    assert len(world.reports) == 1


async def test_a_report_that_is_not_wanted_does_not_hold_up_the_others(world, motd):
    def refuse(name):
        if name == "a":
            raise Refused(404, "there is no such assignment")

    world.refuse = refuse
    world.want("a", motd)
    world.want("b", motd)
    async with world.running():
        await world.report(1)
    assert [name for name, _, _ in world.reports] == ["b"]


async def test_another_machine_starts_with_nothing(world, motd):
    world.want("a", motd)
    async with world.running():
        await world.report(1)
    desired = Desired(world.places)
    assert list(desired.assignments) == ["a"]
    desired.belong_to("principal-1")
    assert desired.assignments == Desired(world.places).assignments == {}
    assert not list(world.places.reports.iterdir()) and not world.places.packages("a").exists()
    assert not desired.belong_to("principal-1") and desired.belong_to("principal-2")


async def test_an_evaluation_that_takes_too_long_is_killed_and_that_is_said():
    """Whoever kills it may have taken leave of it before: the queue goes on all the same."""
    folder = Path("/nonexistent")
    pid = processes.start_worker("timeit", folder, "guest-long", {"PATH": "/usr/bin:/bin"})
    os.kill(pid, signal.SIGSTOP)
    how = await ending.ended(pid, "guest-long", 0.1)
    assert "took longer" in how and not tree.start_time(pid)


async def test_more_memory_than_it_may_have_is_a_reason(world, shop, make_package, make_resource):
    world.settings["guestconfiguration.scripts.enabled"] = True
    greedy = make_resource("nxScript", "s", TestScript=f"exec {sys.executable} -c 'len(bytes(3 << 30))'")
    world.want("greedy", shop.sell("greedy", make_package("greedy", greedy)))
    async with world.running():
        report = await world.report(1)
    assert report["complianceStatus"] == "NonCompliant"
    assert codes(report)[0] in ("nxScript:nxScript:TestFailed", "Landbridge:Evaluation:Failed")


async def test_what_is_no_text_in_a_file_does_not_spoil_the_report(world, shop, make_package, make_resource):
    (world.root / "etc/a").write_bytes(b"bad \xff\x00 line\n")
    line = make_resource("nxFileLine", "l", FilePath="/etc/a", DoesNotContainPattern="bad")
    world.want("a", shop.sell("a", make_package("a", line)))
    async with world.running():
        report = await world.report(1)
    assert report["details"]["resources"][0]["properties"]["Lines"] == ["bad ?\ufffd line"]


async def test_what_depends_on_a_failure_is_not_set(world, shop, make_package, make_resource):
    first = make_resource("nxFileLine", "l", FilePath="/etc/none", ContainsLine="x")
    second = make_resource("nxFile", "f", DestinationPath="/etc/f", DependsOn=["[nxFileLine]l"])
    third = make_resource("nxNonsense", "n", A="b")
    world.want("a", shop.sell("a", make_package("a", second, first, third)), "ApplyAndMonitor")
    async with world.running():
        report = await world.report(1)
    assert codes(report) == [
        "nxFileLine:nxFileLine:FileNotFound",
        "nxFileLine:nxFileLine:CannotApply",
        "nxNonsense:nxNonsense:InvalidProperty",
        "nxFile:nxFile:Ensure",
        "nxFile:nxFile:DependsOn",
    ]
    assert not (world.root / "etc/f").exists()


async def test_a_package_that_does_not_come_or_parse_is_reported(world, shop, make_package):
    wanted = shop.sell("broken", make_package("broken"))
    world.want("a", {**wanted, "contentUri": f"{shop.url}/none.zip"})
    world.want("b", wanted)
    async with world.running():
        await world.report(2)
    found = {name: codes(report) for name, _, report in world.reports}
    assert found == {
        "a": ["Landbridge:Configuration:Download"],
        "b": ["Landbridge:Configuration:Document"],
    }


async def test_a_service_that_is_started_goes_on_without_the_bounds_of_the_evaluation(
    world, shop, make_package, make_resource
):
    (world.root / "etc/init.d").mkdir()
    script = world.root / "etc/init.d/demo"
    pid_file = world.root / "pid"
    script.write_text(
        f"#!/bin/sh\ncase $1 in start) setsid sleep 600 >/dev/null 2>&1 </dev/null & echo $! > {pid_file};;\n"
        f"status) kill -0 $(cat {pid_file} 2>/dev/null);; esac\n"
    )
    script.chmod(0o755)
    service = make_resource("nxService", "s", Name="demo", State="Running")
    world.want("a", shop.sell("a", make_package("a", service)), "ApplyAndAutoCorrect")
    async with world.running():
        assert (await world.report(1))["complianceStatus"] == "Compliant"
        await asyncio.sleep(0.3)
    pid = int(pid_file.read_text())
    try:
        process = Path(f"/proc/{pid}")
        assert b"LANDBRIDGE_WORK_ID" not in (process / "environ").read_bytes()
        assert "guest-" not in (process / "cgroup").read_text()
    finally:
        os.kill(pid, signal.SIGKILL)


def test_extd_loads_nothing_heavy_for_it():
    code = "import sys, landbridge_agent.guest.reconciler; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    heavy = {
        "zipfile",
        "yaml",
        "tempfile",
        "urllib.request",
        "http.client",
        "uuid",
        "json.tool",
        "importlib.resources",
    }
    loaded = set(done.stdout.split())
    assert not heavy & loaded
    own = {name for name in loaded if name.startswith("landbridge_agent.guest.")}
    assert own == {
        f"landbridge_agent.guest.{name}" for name in ("reconciler", "desired", "ending", "outbox", "places")
    }


async def test_a_secret_that_is_part_of_a_word_of_reports_leaves_the_word(world, motd):
    world.want("a", motd, "Audit", protected=[{"name": "[nxFile]motd;Contents", "value": "p"}])
    async with world.running():
        report = await world.report(1)
    assert report["complianceStatus"] == "NonCompliant"
    assert [one["complianceStatus"] for one in report["details"]["resources"]] == ["NonCompliant"]
