"""A run command by the real programs: 1 MB whole, a failure with its message, a cancellation, a kill."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from quickstart.programs import Child, Children, wait_until
from running import GROUP, MACHINES, PROGRAMS, Agent, ControlPlane

VERSION = "2024-07-10"
ENDED = ("Succeeded", "Failed", "Canceled", "TimedOut")


class Machine:
    """A connected machine with both of its services."""

    def __init__(self, agent: Agent) -> None:
        self.agent, self.cloud = agent, agent.cloud
        self._children = Children()
        self.starts = 0
        agent.start_daemon()
        self.extd = self.start_extd()

    def start_extd(self) -> Child:
        self.starts += 1
        log = self.agent.root / f"extd-{self.starts}.log"
        self.extd = self._children.start("extd", [PROGRAMS / "extd"], log, self.agent.environment)
        return self.extd

    def kill_extd(self) -> None:
        self.extd.process.send_signal(signal.SIGKILL)
        self.extd.process.wait()
        self._children = Children()

    def stop(self) -> None:
        self._children.stop()

    def arm(self, method: str, name: str, body: object = None) -> Any:
        path = f"{self.cloud.subscription}/resourceGroups/{GROUP}/providers/{MACHINES}/{self.agent.name}"
        return self.cloud.arm(method, f"{path}/runCommands/{name}", body, VERSION)

    def run(self, name: str, script: str, **properties: Any) -> None:
        body = {"location": "local", "properties": {"source": {"script": script}, **properties}}
        assert self.arm("PUT", name, body).status in (200, 201)

    def until(self, name: str, states: tuple[str, ...] = ENDED) -> dict[str, Any]:
        def reached() -> dict[str, Any] | None:
            view: dict[str, Any] = self.arm("GET", name).body["properties"].get("instanceView", {})
            return view if view.get("executionState") in states else None

        return wait_until(f"{name} to be one of {states}", reached, self._children, 60)

    def output(self, name: str) -> bytes:
        found = b""
        while True:
            page = self.arm("POST", f"{name}/readOutput", {"offset": len(found)}).body
            found += page["content"].encode()
            if page["complete"]:
                return found
            time.sleep(0.1)


@pytest.fixture(scope="module")
def machine(cloud: ControlPlane) -> Iterator[Machine]:
    agent = Agent(cloud, "runs-commands")
    assert agent.connect().returncode == 0
    found = Machine(agent)
    agent.wait_connected()
    yield found
    found.stop()
    agent.stop()


def test_a_megabyte_arrives_whole(machine: Machine) -> None:
    machine.run("much", "seq 1 200000 | head -c 1048576")
    view = machine.until("much")
    expected = "".join(f"{number}\n" for number in range(1, 200001))[:1048576].encode()
    assert (view["executionState"], view["exitCode"]) == ("Succeeded", 0)
    assert machine.output("much") == expected and view["output"] == expected[-4096:].decode()


def test_a_failure_has_its_message_and_exit_code(machine: Machine) -> None:
    machine.run("fails", "echo 'no such thing' >&2; exit 42")
    view = machine.until("fails")
    assert (view["executionState"], view["exitCode"]) == ("Failed", 42)
    assert view["error"] == "no such thing\n" and "exit code 42" in view["executionMessage"]


def test_a_cancelled_one_is_dead_within_two_seconds(machine: Machine) -> None:
    mark = machine.agent.root / "pids"
    machine.run("long", f"trap '' TERM; sleep 500 & echo $$ $! > {mark}; (setsid sleep 500 &) ; sleep 500")
    machine.until("long", ("Running",))
    wait_for(lambda: mark.exists() and len(mark.read_text().split()) == 2)
    pids = mark.read_text().split()
    began = time.monotonic()
    assert machine.arm("POST", "long/cancel").status == 202
    wait_for(lambda: not any(is_alive(pid) for pid in pids))
    took = time.monotonic() - began
    assert machine.until("long")["executionState"] == "Canceled"
    assert took < 2


def wait_for(condition: Callable[[], object]) -> None:
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def is_alive(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_restart_of_the_service_ends_nothing_and_repeats_nothing(machine: Machine) -> None:
    mark = machine.agent.root / "ran"
    machine.run("goes-on", f"echo once >> {mark}; sleep 3; echo through")
    machine.until("goes-on", ("Running",))
    machine.kill_extd()
    assert machine.agent.show()["extdStatus"] == "inactive"
    machine.start_extd()
    view = machine.until("goes-on")
    assert (view["executionState"], view["output"], mark.read_text()) == ("Succeeded", "through\n", "once\n")
    assert machine.agent.show()["extdStatus"] == "active"
