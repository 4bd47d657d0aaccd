"""Any order of writes, removals, fetches and reports: each operation ends once, nothing is lost."""

from __future__ import annotations

import random

import pytest

from landbridge_server.arm import work
from landbridge_server.arm.resource_type import Effects
from landbridge_server.store import machines, resources
from landbridge_server.store import operations as stored_operations
from landbridge_server.store import work as stored_work
from landbridge_server.testing import ControlPlane
from landbridge_wire.errors import ArmError

MACHINE = "resourceGroups/demo/providers/Microsoft.HybridCompute/machines/web1"
STEPS = 40


class Story:
    """One machine, two of its extensions, and everything that was asked and answered about them."""

    def __init__(self, arm, cloud, chance):
        self.arm = arm
        self.cloud = cloud
        self.chance = chance
        self.key = f"{cloud.subscription}/{MACHINE}".lower()
        self.operations = set()
        self.ended = {}
        self.held = []

    def extension(self):
        return f"{MACHINE}/extensions/{self.chance.choice(['one', 'two'])}"

    def note(self, answer):
        assert answer.status_code in (200, 202, 204), answer.text
        if answer.status_code == 202:
            self.operations.add(answer.headers["location"].rpartition("/")[2].partition("?")[0])

    async def put(self):
        settings = {"number": self.chance.randrange(3)}
        properties = {"publisher": "P", "type": "T", "settings": settings}
        self.note(await self.arm("PUT", self.extension(), {"location": "local", "properties": properties}))

    async def delete(self):
        self.note(await self.arm("DELETE", self.extension()))

    async def enrol(self):
        with self.cloud.plane.db.writing() as connection:
            machines.set_enrolled(connection, self.key, self.cloud.clock())

    async def fetch(self):
        with self.cloud.plane.db.writing() as connection:
            if machines.get(connection, self.key).enrolled_at is None:
                return  # without a certificate there is nobody who could ask
            items = work.fetch(connection, self.key, self.cloud.clock())
        assert [one.sequence for one in items] == sorted(one.sequence for one in items)
        self.held = items

    async def report(self):
        if not self.held:
            return
        item = self.held.pop(0)
        error = ArmError("OperationNotAllowed", "no") if self.chance.random() < 0.3 else None
        said = work.Report({"instanceView": {"name": "x"}}, ended=True, error=error)
        registry = self.cloud.plane.resources.registry
        with self.cloud.plane.db.writing() as connection:
            work.report(connection, registry, self.key, item.work_id, said, self.cloud.clock(), Effects())

    def check(self):
        """Operations run exactly while there is work for them, and end only once."""
        with self.cloud.plane.db.reading() as connection:
            items = {one.work_id: one for one in stored_work.of_machine(connection, self.key)}
            for operation_id in self.operations:
                found = stored_operations.get(connection, operation_id)
                assert (found.status == stored_operations.IN_PROGRESS) == (operation_id in items)
                if operation_id in self.ended:
                    assert self.ended[operation_id] == (found.status, found.ended_at, found.error)
                elif found.ended_at is not None:
                    self.ended[operation_id] = (found.status, found.ended_at, found.error)
            assert set(items) <= self.operations
            for name in ("one", "two"):
                self.check_state(connection, f"{self.key}/extensions/{name}")

    def check_state(self, connection, key):
        stored = resources.get(connection, key)
        waiting = stored_work.of_target(connection, key)
        if stored is None:
            assert waiting == []
            return
        state = work.documents.decode(stored)["properties"]["provisioningState"]
        if not waiting:
            assert state in ("Succeeded", "Failed")
        elif waiting[-1].kind == work.REMOVE:
            assert state == "Deleting"
        else:
            assert state in ("Creating", "Updating")


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_happens_each_operation_ends_once_and_states_are_true(tmp_path, speaking_to, seed):
    async with ControlPlane(tmp_path / "cloud") as cloud:
        story = Story(speaking_to(cloud), cloud, random.Random(seed))
        await story.arm.group()
        await story.arm.machine()
        steps = (story.put, story.put, story.delete, story.enrol, story.fetch, story.report, story.report)
        for _ in range(STEPS):
            cloud.clock.advance(1)
            await story.chance.choice(steps)()
            story.check()
        assert (await story.arm("DELETE", MACHINE)).status_code == 200
        with cloud.plane.db.reading() as connection:
            assert stored_work.of_machine(connection, story.key) == []
            for operation_id in story.operations:
                found = stored_operations.get(connection, operation_id)
                assert found.status != stored_operations.IN_PROGRESS
