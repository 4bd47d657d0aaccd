"""What can be asked of a machine as a whole, by POST: upgrading extensions; no patches.

No agent of this cloud assesses or installs the operating system's patches, and an operation
that nothing will ever carry out must not be accepted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from landbridge_server.arm import operations, refusals, shape, work
from landbridge_server.arm.call import Answer, Call
from landbridge_server.arm.engine import Engine, check_group
from landbridge_server.arm.resource_type import Action, Reference
from landbridge_server.arm.shape import Named, Text
from landbridge_server.providers.hybrid_compute import extension_upgrades, extensions
from landbridge_server.store.database import Connection
from landbridge_server.store.operations import Operation

UPGRADE = "upgradeExtensions"
_NO_PATCHES = (
    "The machines of this cloud neither assess nor install patches of the operating system. "
    "Use the system's own package manager, for example through a run command."
)
NOT_OFFERED = {"assessPatches": _NO_PATCHES, "installPatches": _NO_PATCHES}
"""The documents' actions on machines that this cloud does not have, and why."""
TARGETS = {"extensionTargets": Named({"targetVersion": Text(64)})}


class MachineActions:
    """The handlers."""

    def __init__(self, engine: Callable[[], Engine]) -> None:
        """Take who keeps the machines."""
        self.engine = engine

    def by_name(self) -> Mapping[str, Action]:
        """Return the actions by their names."""
        return {
            UPGRADE: self.upgrade_extensions,
        }

    async def upgrade_extensions(self, call: Call, reference: Reference) -> Answer:
        """Answer 202: the machine will upgrade what it has; it tells about each in its report."""
        content = shape.keep(TARGETS, await call.json(), "extensionUpgradeParameters")
        targets = content.get("extensionTargets")
        if not targets:
            raise refusals.invalid("'extensionTargets' must name at least one extension.", "extensionTargets")
        for name, target in targets.items():
            wanted = target.get("targetVersion")
            if wanted:
                extensions.version(wanted, f"extensionTargets.{name}.targetVersion")
        engine = self.engine()
        now = engine.clock()

        def ask(connection: Connection) -> tuple[Operation, str]:
            stored = engine.existing(connection, reference, "write")
            check_group(connection, reference, to_write=True)
            extension_upgrades.check(connection, targets)
            asked = work.ask(connection, UPGRADE, stored.resource_id, call.caller, now, content)
            return asked, stored.location

        asked, location = await engine.db.write(ask)
        engine.on_news()
        place = operations.Place(reference.type.namespace, location)
        return operations.accepted(engine.base, asked, call.api_version, place)
