"""``Microsoft.HybridCompute/machines/{name}/networkProfile``: the addresses that the agent reported."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from landbridge_server.arm import refusals
from landbridge_server.arm.call import Answer, Call, answer
from landbridge_server.arm.engine import Engine, check_group
from landbridge_server.arm.resource_type import Reference, ServedType
from landbridge_server.providers.hybrid_compute.versions import VERSIONS
from landbridge_server.store import machines
from landbridge_server.store.database import Connection
from landbridge_server.store.machines import Machine
from landbridge_wire import arm_id


class NetworkProfile(ServedType):
    """The type: one read-only thing of each machine, without a name of its own."""

    namespace = "Microsoft.HybridCompute"
    type = "machines/networkProfile"
    api_versions = VERSIONS
    verbs = frozenset({"GET"})

    def __init__(self, engine: Callable[[], Engine]) -> None:
        """Take who keeps the machines."""
        self.engine = engine

    async def handle(self, call: Call, reference: Reference) -> Answer:
        """Answer 200; a machine that was never heard from has no interfaces yet."""
        if not reference.id.collection:
            raise refusals.type_unknown(self.namespace, call.api_version)

        def read(connection: Connection) -> Machine:
            machine = machines.get(connection, reference.parent_key)
            if machine is None:
                check_group(connection, reference, to_write=False)
                raise refusals.resource_missing(arm_id.parse(reference.parent))
            return machine

        facts = msgspec.json.decode(self.engine().db.read(read).facts)
        profile = facts.get("networkProfile")
        return answer(profile if isinstance(profile, dict) else {"networkInterfaces": []})
