"""Machines are told at once that there is something for them, by whichever way it was asked."""

from __future__ import annotations

import asyncio

import pytest

from landbridge_server.fleet import machine_news as machine_news_task
from landbridge_server.relay.names import hybrid_connection_path
from landbridge_server.store import machine_news, machines
from landbridge_server.store.database import Database
from landbridge_wire.agent_api import HeartbeatReply
from working_machine import WorkingMachine

SCRIPT = {"location": "local", "properties": {"source": {"script": "echo hello"}}}
WANTED = {"properties": {"guestConfiguration": {"name": "Motd", "version": "1.0.0"}}}


@pytest.fixture
async def machine(cloud):
    made = WorkingMachine(cloud)
    await made.enrol()
    return made


@pytest.fixture
async def told(cloud, machine):
    """The paths whose machines were poked; nothing is left to be told at the beginning."""
    await cloud.plane.machine_news()
    paths = []

    def tell(path, body):
        assert HeartbeatReply.from_json(body) == HeartbeatReply(workWanted=True)
        paths.append(path)
        return True

    cloud.plane.machine_news.tell = tell
    return paths


async def test_each_write_that_a_machine_is_to_learn_of_pokes_it_once(arm, cloud, machine, told):
    path = hybrid_connection_path(machine.enrollment.principalId)
    assignment = f"{machine.id}/providers/Microsoft.GuestConfiguration/guestConfigurationAssignments/Motd"
    command = f"{machine.id}/runCommands/hello"
    for method, what, body, version in (
        ("PUT", command, SCRIPT, "2024-07-10"),
        ("PATCH", command, {"properties": {"source": {"script": "date"}}}, "2024-07-10"),
        ("PUT", assignment, WANTED, "2024-04-05"),
        ("DELETE", assignment, None, "2024-04-05"),
        (
            "POST",
            f"{machine.id}/upgradeExtensions",
            {"extensionTargets": {"Microsoft.Azure.Extensions.CustomScript": {"targetVersion": "2.1"}}},
            "2024-07-10",
        ),
    ):
        told.clear()
        cloud.plane._news_task.woken.clear()
        assert (await arm(method, what, body, version=version)).status_code < 300
        assert cloud.plane._news_task.woken.is_set()
        await cloud.plane.machine_news()
        await cloud.plane.machine_news()
        assert told == [path]


async def test_a_cancellation_pokes_the_machine_that_runs(arm, cloud, machine, told):
    command = f"{machine.id}/runCommands/hello"
    await arm("PUT", command, SCRIPT)
    await machine.fetch()
    cloud.plane._news_task.woken.clear()
    assert (await arm("POST", f"{command}/cancel")).status_code == 202
    assert cloud.plane._news_task.woken.is_set()
    await cloud.plane.machine_news()
    assert told == [hybrid_connection_path(machine.enrollment.principalId)]


async def test_what_another_process_has_asked_is_told_with_the_next_look(cloud, machine, told):
    other = Database(cloud.plane.db.url)
    try:
        with other.writing() as connection:
            machine_news.mark(connection, machine.id.lower(), machine_news.WORK)
    finally:
        other.close()
    await cloud.plane.machine_news()
    assert told == [hybrid_connection_path(machine.enrollment.principalId)]


async def test_a_heartbeat_tells_too_until_all_is_fetched(arm, cloud, machine, told):
    assert (await machine.beat()).workWanted is False
    await arm("PUT", f"{machine.id}/runCommands/hello", SCRIPT)
    await cloud.plane.machine_news()
    assert (await machine.beat()).workWanted is True
    await machine.fetch()
    assert (await machine.beat()).workWanted is False


async def test_assignments_are_news_until_they_are_fetched(arm, cloud, machine, told):
    assignment = f"{machine.id}/providers/Microsoft.GuestConfiguration/guestConfigurationAssignments/Motd"
    await arm("PUT", assignment, WANTED, version="2024-04-05")
    await cloud.plane.machine_news()
    await machine.fetch()
    assert (await machine.beat()).workWanted is True
    (found,) = (await machine.assignments()).assignments
    assert (found.name, found.id, found.guestConfiguration["version"]) == ("Motd", assignment, "1.0.0")
    assert (await machine.beat()).workWanted is False


async def test_nobody_writes_for_a_machine_that_has_nothing_new(arm, cloud, machine, monkeypatch):
    await machine.fetch()
    await machine.assignments()

    async def write(*_arguments, **_words):
        raise AssertionError("a machine without news must not cost a write")

    monkeypatch.setattr(cloud.plane.db, "write", write)
    assert await machine.fetch() == []
    assert (await machine.assignments()).assignments == ()


async def test_news_go_with_the_machine(arm, cloud, machine, told):
    await arm("PUT", f"{machine.id}/runCommands/hello", SCRIPT)
    await cloud.plane.machine_news()
    assert (await arm("DELETE", machine.id)).status_code == 200
    with cloud.plane.db.reading() as connection:
        assert machine_news.since(connection, 0) == []
        assert machine_news.kinds(connection, machine.id.lower()) == set()
    assert cloud.plane.machine_news.waits_for(machine.id.lower()) is False


async def test_machines_that_are_elsewhere_keep_nobody_waiting(cloud, machine, monkeypatch):
    """As when a node starts and half of the fleet is switched off."""
    with cloud.plane.db.writing() as connection:
        for number in range(machine_news_task.AT_ONCE * 2):
            machines.create(connection, f"m{number}", f"p{number}", f"vm{number}")
            machine_news.mark(connection, f"m{number}", machine_news.WORK)
    looked = []
    cloud.plane.machine_news.tell = lambda path, body: bool(looked.append(path))
    monkeypatch.setattr(machine_news_task, "PAUSE_SECONDS", 3600.0)
    async with asyncio.timeout(30):
        await cloud.plane.machine_news()
    assert len(looked) == machine_news_task.AT_ONCE * 2
