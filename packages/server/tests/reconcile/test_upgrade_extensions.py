"""Extensions upgrade by themselves: to what, which, how many at a time, and each once."""

from __future__ import annotations

import io
import json
from itertools import pairwise

import pytest

from landbridge_server.arm import work
from landbridge_server.arm.resource_type import Effects
from landbridge_server.fleet import extension_packages
from landbridge_server.reconcile import upgrade_extensions
from landbridge_server.reconcile.upgrade_extensions import due
from landbridge_server.store import extension_upgrades, machines
from landbridge_server.store import resources as stored_resources
from landbridge_server.store import work as stored_work

MACHINE = "resourceGroups/demo/providers/Microsoft.HybridCompute/machines"
PROPERTIES = {"publisher": "Contoso.Tools", "type": "Motd", "typeHandlerVersion": "1.0"}


class Fleet:
    """Machines with an extension each, as their agents report it."""

    def __init__(self, cloud, arm):
        self.cloud, self.arm = cloud, arm

    def publish(self, version):
        seal = extension_packages.sealer((self.cloud.config.data / "keys/relay.key").read_bytes())
        names = ("Contoso.Tools", "Motd", version)
        extension_packages.publish(
            self.cloud.plane.db, seal, io.BytesIO(b"zip"), names, self.cloud.clock, lambda *_: None
        )

    def key(self, name):
        return f"{self.cloud.subscription}/{MACHINE}/{name}".lower()

    def heard(self, name):
        self.cloud.plane.presence.heartbeat(self.key(name), "1.61.0.0", self.cloud.clock())

    async def add(self, name, has="1.0.0", **properties):
        await self.arm.machine(name)
        with self.cloud.plane.db.writing() as connection:
            machines.set_enrolled(connection, self.key(name), self.cloud.clock())
        path = f"{MACHINE}/{name}/extensions/motd"
        await self.arm("PUT", path, {"location": "local", "properties": PROPERTIES | properties})
        (item,) = self.fetch(name)
        self.report(name, item, instanceView={"typeHandlerVersion": has})
        self.heard(name)

    def fetch(self, name):
        with self.cloud.plane.db.writing() as connection:
            return work.fetch(connection, self.key(name), self.cloud.clock())

    def report(self, name, item, error=None, **properties):
        with self.cloud.plane.db.writing() as connection:
            work.report(
                connection,
                self.cloud.plane.resources.registry,
                self.key(name),
                item.work_id,
                work.Report(properties, True, error),
                self.cloud.clock(),
                Effects(),
            )

    def asked(self, *names):
        """Return to which version each machine is asked to upgrade; the asking goes on waiting."""

        def look(connection):
            return [stored_work.of_machine(connection, self.key(name)) for name in names]

        found = self.cloud.plane.db.read(look)
        return [
            "".join(one["targetVersion"] for item in items for one in _targets(item).values())
            for items in found
        ]


def _targets(item):
    assert item.kind == "upgradeExtensions"
    return json.loads(item.content)["extensionTargets"]


@pytest.fixture
async def fleet(cloud, arm):
    await arm.group()
    return Fleet(cloud, arm)


async def test_what_is_older_than_the_newest_of_its_major_version_is_asked_to_upgrade(cloud, fleet):
    await fleet.add("old")
    await fleet.add("refusing", enableAutomaticUpgrade=False)
    await fleet.add("willing", enableAutomaticUpgrade=True)
    await fleet.add("newest", has="1.10.0")
    await fleet.add("next", has="2.0.0")
    await fleet.add("other", type="Other")
    names = ("old", "refusing", "willing", "newest", "next", "other")
    await cloud.plane.settle()
    assert fleet.asked(*names) == [""] * 6
    for version in ("1.2.0", "1.10.0", "3.0.0"):
        fleet.publish(version)
    await cloud.plane.settle()
    assert fleet.asked(*names) == ["1.10.0", "", "1.10.0", "", "", ""]


async def test_each_is_asked_once_for_each_version_whatever_comes_of_it(cloud, fleet):
    await fleet.add("one")
    fleet.publish("1.1.0")
    await cloud.plane.settle()
    (item,) = fleet.fetch("one")
    name = "Contoso.Tools.Motd"
    failed = {name: {"status": "Failed", "message": "rolled back"}}
    fleet.report("one", item, work.preempted("it failed"), extensionTargets=failed)
    for _ in range(3):
        await cloud.plane.settle()
    assert fleet.asked("one") == [""]
    fleet.publish("1.2.0")
    await cloud.plane.settle()
    (item,) = fleet.fetch("one")
    fleet.report("one", item, extensionTargets={name: {"status": "Succeeded", "version": "1.2.0"}})
    await cloud.plane.settle()
    assert fleet.asked("one") == [""]
    await fleet.arm("DELETE", f"{MACHINE}/one")
    key = fleet.key("one") + "/extensions/motd"
    assert cloud.plane.db.read(lambda connection: extension_upgrades.asked(connection, key)) == ""


async def test_a_machine_that_is_away_is_asked_when_it_is_back(cloud, fleet):
    await fleet.add("one")
    cloud.clock.advance(86400)
    fleet.publish("1.1.0")
    await cloud.plane.settle()
    assert fleet.asked("one") == [""]
    fleet.heard("one")
    await cloud.plane.settle()
    assert fleet.asked("one") == ["1.1.0"]


async def test_only_so_many_are_asked_in_a_minute_and_all_have_their_turn(cloud, fleet, monkeypatch):
    monkeypatch.setattr(upgrade_extensions, "PER_MINUTE", 2)
    monkeypatch.setattr(upgrade_extensions, "PAGE", 3)
    names = [f"m{number}" for number in range(5)]
    for name in names:
        await fleet.add(name)
    fleet.publish("1.1.0")
    counts = []
    for _ in range(8):
        await cloud.plane.settle()
        counts.append(sum(1 for one in fleet.asked(*names) if one))
        await cloud.plane.settle()
        assert sum(1 for one in fleet.asked(*names) if one) == counts[-1]
        cloud.clock.advance(61)
        for name in names:
            fleet.heard(name)
    assert counts[0] == 2
    assert counts[-1] == 5
    assert all(later - earlier <= 2 for earlier, later in pairwise(counts))


async def test_automatic_upgrades_are_in_the_activity_log(cloud, fleet):
    await fleet.add("one")
    fleet.publish("1.1.0")
    await cloud.plane.settle()
    events = [json.loads(one.document) for one in cloud.plane.activity.take(1000)]
    noted = [one for one in events if "upgradeExtensions" in one["operationName"]["value"]]
    assert [one["caller"] for one in noted] == ["landbridge:automatic-upgrade"]
    assert noted[0]["resourceId"].lower() == fleet.key("one")


async def test_a_document_that_says_something_odd_is_left_alone(cloud, fleet):
    await fleet.add("one")
    key = fleet.key("one") + "/extensions/motd"
    stored = cloud.plane.db.read(lambda connection: stored_resources.get(connection, key))
    there = {"contoso.tools/motd": ["1.1.0"]}
    assert due(stored, there).version == "1.1.0"
    for version in (7, None, "", "x", "1", "1.0.0.0.0"):
        document = json.loads(stored.document)
        document["properties"]["instanceView"]["typeHandlerVersion"] = version
        assert due(stored._replace(document=json.dumps(document)), there) is None
