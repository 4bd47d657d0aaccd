"""kill -9 of the worker in the middle of anything: the next operation deals with what is left."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest

from landbridge_agent.work import tree

SAYS = {"enable": 'say success 0 "it is $VERSION"'}


class Worker:
    """Carries out a task in a process of its own, which can be killed; extd then ends what it left."""

    def __init__(self, host, task) -> None:
        self.task = task
        self.pid = os.fork()
        if not self.pid:
            try:
                outcome = host.carry_out(task)
                (task.folder / "outcome").write_text(outcome.error_code)
            finally:
                os._exit(0)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        tree.kill(self.task.item.id)

    def kill_when(self, marker) -> None:
        until = time.monotonic() + 60
        while not marker.exists():
            assert time.monotonic() < until
            time.sleep(0.02)
        self.kill()


def hanging(shop, operation: str) -> str:
    """A command that hangs the first time, and says by a file that it does."""
    mark = f"{shop.log}.in"
    return f"[ -e {mark} ] || {{ touch {mark}; sleep 300; }}"


def applying(host, **properties):
    return host.task("apply", properties={"publisher": "Contoso.Tools", "type": "Probe", **properties})


@pytest.fixture
def marker(shop):
    return shop.log.parent / f"{shop.log.name}.in"


def test_killed_in_install_the_next_apply_installs(host, shop, marker):
    shop.publish("1.0", cases={**SAYS, "install": hanging(shop, "install")})
    Worker(host, applying(host)).kill_when(marker)
    assert host.record().state == "Working"
    assert host.apply().error_code == ""
    assert host.calls() == ["install 1.0 0", "install 1.0 0", "enable 1.0 0"]


def test_killed_in_enable_the_next_apply_enables_under_another_number(host, shop, marker):
    shop.publish("1.0", cases={"enable": f"{hanging(shop, 'enable')}; say success 0 ok"})
    Worker(host, applying(host)).kill_when(marker)
    assert host.apply().error_code == ""
    assert host.calls() == ["install 1.0 0", "enable 1.0 0", "enable 1.0 1"]


@pytest.mark.parametrize("operation", ["disable", "uninstall"])
def test_killed_in_a_removal_the_next_removal_ends_it(host, shop, marker, operation):
    shop.publish("1.0", cases={**SAYS, operation: hanging(shop, operation)})
    host.apply()
    Worker(host, host.task("remove", "probe")).kill_when(marker)
    assert host.record().is_here
    assert host.remove().error_code == "" and host.left() == []


@pytest.mark.parametrize("operation", ["disable", "uninstall"])
def test_killed_in_a_removal_the_next_apply_has_it_again(host, shop, marker, operation):
    shop.publish("1.0", cases={**SAYS, operation: hanging(shop, operation)})
    host.apply()
    Worker(host, host.task("remove", "probe")).kill_when(marker)
    assert host.apply().error_code == "" and host.calls()[-1] == "enable 1.0 1"


@pytest.mark.parametrize(("where", "operation"), [
    ("1.0", "disable"), ("2.0", "update"), ("1.0", "uninstall"), ("2.0", "install"), ("2.0", "enable"),
])  # fmt: skip
@pytest.mark.parametrize("then", ["apply", "remove", "upgrade"])
def test_killed_in_an_upgrade_the_next_operation_starts_from_the_good_version(
    host, shop, marker, where, operation, then
):
    for version in ("1.0", "2.0"):
        end = SAYS.get(operation, ":")
        cases = {**SAYS, operation: f"{hanging(shop, operation)}; {end}"} if version == where else SAYS
        shop.publish(version, cases=cases)
    host.apply(typeHandlerVersion="1.0")
    content = {"extensionTargets": {"Contoso.Tools.Probe": {"targetVersion": "2.0"}}}
    task = host.task("upgradeExtensions", "", "microsoft.hybridcompute/machines", content=content)
    Worker(host, task).kill_when(marker)
    assert host.record().upgrading_from == "1.0"
    if then == "apply":
        assert host.apply(typeHandlerVersion="1.0", settings={"b": 1}).error_code == ""
        assert host.left() == ["Contoso.Tools.Probe-1.0"] and host.record().version == "1.0"
    elif then == "remove":
        assert host.remove().error_code == "" and host.left() == []
    else:
        assert host.upgrade("2.0").error_code == ""
        assert host.left() == ["Contoso.Tools.Probe-2.0"] and host.record().version == "2.0"
    assert host.record().upgrading_from == ""


def test_killed_at_any_moment_the_next_operation_works_and_no_script_ran_twice(host, shop, tmp_path):
    """The number of a run is in its log: none may be there twice."""
    random.seed(7)
    for version in ("1.0", "2.0"):
        shop.publish(version, cases={"enable": "sleep 0.1; say success 0 ok", "install": "sleep 0.1"})
    runs = tmp_path / "runs"
    for round_number in range(12):
        version = random.choice(["1.0", "2.0"])
        kinds = [
            applying(host, typeHandlerVersion=version, settings={"round": round_number}),
            host.task("remove", "probe"),
            host.task(
                "apply",
                "script",
                properties={
                    "publisher": "Microsoft.Azure.Extensions",
                    "type": "CustomScript",
                    "settings": {"commandToExecute": f"echo {round_number} >> '{runs}'"},
                },
            ),
        ]
        worker = Worker(host, kinds[round_number % 3])
        time.sleep(random.uniform(0.0, 0.8))
        worker.kill()
    assert host.apply(typeHandlerVersion="1.0", settings={"end": 1}).error_code == ""
    assert host.script(commandToExecute=f"echo end >> '{runs}'").error_code == ""
    lines = runs.read_text().split()
    assert lines[-1] == "end" and len(lines) == len(set(lines))
    for name in ("probe", "script"):
        assert host.remove(name).error_code == ""
    assert host.left() == []


def test_a_download_that_was_killed_goes_on(host, shop, monkeypatch):
    from landbridge_agent.extensions import packages

    monkeypatch.setattr(packages, "PART", 300)
    monkeypatch.setattr(packages, "LEAST_PART", 300)
    shop.publish("1.0", cases=SAYS)
    read = shop.read

    def slow(package, offset, count):
        time.sleep(0.1)
        return read(package, offset, count)

    monkeypatch.setattr(shop, "read", slow)
    worker = Worker(host, applying(host))
    time.sleep(0.35)
    worker.kill()
    monkeypatch.setattr(shop, "read", read)
    assert host.apply().error_code == ""
