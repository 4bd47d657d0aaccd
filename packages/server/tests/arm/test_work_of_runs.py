"""Any order of writes, cancellations, removals, fetches and reports of run commands: one true end each."""

from __future__ import annotations

import random

import pytest

from landbridge_server.arm import documents, work
from landbridge_server.arm.resource_type import Effects
from landbridge_server.store import machines, outputs, protected, resources
from landbridge_server.store import operations as stored_operations
from landbridge_server.store import work as stored_work
from landbridge_server.testing import ControlPlane
from landbridge_wire.errors import ArmError

MACHINE = "resourceGroups/demo/providers/Microsoft.HybridCompute/machines/web1"
STEPS = 60
NAMES = ("one", "two")
ENDED = ("Failed", "Succeeded", "TimedOut", "Canceled")


class Story:
    """One machine with two run commands; its agent may be slow, and its reports may fail."""

    def __init__(self, arm, cloud, chance):
        self.arm, self.cloud, self.chance = arm, cloud, chance
        self.key = f"{cloud.subscription}/{MACHINE}".lower()
        self.operations = set()
        self.ended = {}
        self.held = {}

    def command(self):
        return f"{MACHINE}/runCommands/{self.chance.choice(NAMES)}"

    def note(self, answer):
        assert answer.status_code in (200, 201, 202, 204, 404, 409), answer.text
        where = answer.headers.get("azure-asyncoperation")
        if answer.status_code < 400 and where:
            self.operations.add(where.rpartition("/")[2].partition("?")[0])

    async def put(self):
        source = {"script": f"echo {self.chance.randrange(3)}"}
        properties = {"source": source, "asyncExecution": self.chance.random() < 0.5}
        secret = {"protectedParameters": [{"name": "A", "value": "b"}]} if self.chance.random() < 0.5 else {}
        body = {"location": "local", "properties": properties | secret}
        self.note(await self.arm("PUT", self.command(), body))

    async def delete(self):
        self.note(await self.arm("DELETE", self.command()))

    async def cancel(self):
        self.note(await self.arm("POST", f"{self.command()}/cancel"))

    async def enrol(self):
        with self.cloud.plane.db.writing() as connection:
            machines.set_enrolled(connection, self.key, self.cloud.clock())

    async def fetch(self):
        with self.cloud.plane.db.reading() as connection:
            if machines.get(connection, self.key).enrolled_at is None:
                return
        for item in await self.cloud.plane.work.work.fetch(self.key):
            self.held[item.id] = item

    def waits(self, item):
        """A machine begins nothing anew before it has removed what was there."""
        return any(
            one.kind == work.REMOVE and one.target == item.target and one.sequence < item.sequence
            for one in self.held.values()
        )

    async def report(self, ended=False):
        if not self.held:
            return
        work_id = self.chance.choice([one.id for one in self.held.values() if not self.waits(one)])
        error = ArmError("Conflict", "no") if ended and self.chance.random() < 0.2 else None
        state = self.chance.choice(ENDED) if ended else "Running"
        said = work.Report({"instanceView": {"executionState": state}}, ended, error)
        registry, now, effects = self.cloud.plane.resources.registry, self.cloud.clock(), Effects()
        try:
            with self.cloud.plane.db.writing() as connection:
                work.report(connection, registry, self.key, work_id, said, now, effects)
        except ArmError as refused:
            assert refused.code == "NotFound"
            del self.held[work_id]
            return
        if ended:
            del self.held[work_id]

    async def end(self):
        await self.report(ended=True)

    def check(self):
        with self.cloud.plane.db.reading() as connection:
            items = {one.work_id: one for one in stored_work.of_machine(connection, self.key)}
            assert set(items) <= self.operations
            for operation_id in self.operations:
                found = stored_operations.get(connection, operation_id)
                item = items.get(operation_id)
                waits = item is not None and item.detached_at is None
                assert (found.status == stored_operations.IN_PROGRESS) == waits
                state = (found.status, found.ended_at, found.error)
                if found.ended_at is not None:
                    assert self.ended.setdefault(operation_id, state) == state
            for name in NAMES:
                self.check_one(connection, f"{self.key}/runcommands/{name}")

    def check_one(self, connection, key):
        stored, items = resources.get(connection, key), stored_work.of_target(connection, key)
        if stored is None:
            assert items == [] and not protected.get(connection, key)
            assert outputs.stream(connection, key, "stdout") is None
            return
        properties = documents.decode(stored)["properties"]
        state, view = properties["provisioningState"], properties["instanceView"]["executionState"]
        wanted = [one for one in items if one.kind != work.CANCEL and one.content != work.OVERTAKEN]
        waiting = [one for one in items if one.kind == work.CANCEL and one.fetched_at is None]
        assert {work.content_of(one)["run"] for one in waiting} <= {one.work_id for one in items}
        if not wanted:
            assert state in ("Succeeded", "Failed", "Canceled")
            assert view in ENDED
        elif wanted[-1].kind == work.REMOVE:
            assert state == "Deleting"
        elif wanted[-1].detached_at is not None:
            assert state in ("Succeeded", "Failed")  # failed: a removal that its machine could not do
        else:
            assert state in ("Creating", "Updating")


@pytest.mark.parametrize("seed", range(16))
async def test_whatever_happens_to_runs_each_operation_ends_once_and_states_are_true(
    tmp_path, speaking_to, seed
):
    async with ControlPlane(tmp_path / "cloud") as cloud:
        story = Story(speaking_to(cloud), cloud, random.Random(seed))
        await story.arm.group()
        await story.arm.machine()
        steps = (story.put, story.put, story.delete, story.cancel, story.enrol)
        steps += (story.fetch, story.fetch, story.report, story.end, story.end)
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
