"""What the stories about machines' work share: the side of the agent."""

from __future__ import annotations

import pytest

from landbridge_server.arm import work
from landbridge_server.arm.resource_type import Effects
from landbridge_server.store import machines

MACHINE = "resourceGroups/demo/providers/Microsoft.HybridCompute/machines/web1"


class AgentSide:
    """Does with the work of one machine what its agent does."""

    def __init__(self, cloud, path=MACHINE):
        self.cloud = cloud
        self.key = f"{cloud.subscription}/{path}".lower()

    def enrol(self):
        with self.cloud.plane.db.writing() as connection:
            machines.set_enrolled(connection, self.key, self.cloud.clock())

    def fetch(self):
        with self.cloud.plane.db.writing() as connection:
            return work.fetch(connection, self.key, self.cloud.clock())

    def report(self, item, ended=True, error=None, **properties):
        said = work.Report(properties, ended, error)
        effects = Effects()
        with self.cloud.plane.db.writing() as connection:
            registry = self.cloud.plane.resources.registry
            work.report(connection, registry, self.key, item.work_id, said, self.cloud.clock(), effects)
        effects.run()


@pytest.fixture
def agent_side():
    """How a test that opens a cloud of its own acts as a machine's agent."""
    return AgentSide


@pytest.fixture
async def agent(arm, cloud):
    """The side of the agent of a machine that has enrolled."""
    await arm.group()
    await arm.machine()
    made = AgentSide(cloud)
    made.enrol()
    return made
