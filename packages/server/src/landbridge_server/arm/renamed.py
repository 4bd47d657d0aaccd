"""What is said of a machine's former name: that it has another one now.

Only where it still is in the same group: whoever was let in at the old name by that group may know the
new one. Where it was moved meanwhile, the old name is simply not found.
"""

from __future__ import annotations

from landbridge_server.store import former_names
from landbridge_server.store.database import Connection
from landbridge_wire.arm_id import ArmId
from landbridge_wire.errors import ArmError

MACHINES = "/providers/microsoft.hybridcompute/machines/"


def explained(connection: Connection, error: ArmError, wanted: ArmId) -> ArmError:
    """Return the refusal of what was not found, with the new name if a machine was renamed."""
    group, found, rest = wanted.key.partition(MACHINES)
    name = rest.partition("/")[0]
    if not found or not name:
        return error
    now = former_names.now_called(connection, f"{group}{MACHINES}{name}")
    if now is None or not now.lower().startswith(f"{group}{MACHINES}"):
        return error
    return ArmError(error.code, f"{error.message} The machine '{name}' was renamed: it is '{now}' now.")
