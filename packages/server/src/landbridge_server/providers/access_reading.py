"""What ``Microsoft.Authorization`` only lets read: own permissions, deny assignments, classic administrators.

This cloud makes no deny assignments (on Azure only its own services do) and has no classic
administrators (they ended with the classic deployment model), so these lists are empty.
"""

from __future__ import annotations

from landbridge_server.arm import refusals
from landbridge_server.arm.access import Access
from landbridge_server.arm.call import Answer, Call, answer
from landbridge_server.arm.custom_roles import AnyRole, CustomRole
from landbridge_server.arm.grants import NAMESPACE
from landbridge_server.arm.resource_type import Reference, ServedType
from landbridge_server.arm.roles import permissions
from landbridge_server.store.database import Database
from landbridge_wire.errors import ArmError


class Permissions(ServedType):
    """``permissions``: what the caller may do at a scope, one entry for each set of a role."""

    namespace = NAMESPACE
    type = "permissions"
    api_versions = ("2022-04-01", "2018-07-01", "2015-07-01")
    verbs = frozenset({"GET"})

    def __init__(self, db: Database, access: Access) -> None:
        """Take the store and the gate."""
        self.db = db
        self.access = access

    async def handle(self, call: Call, reference: Reference) -> Answer:
        """List them."""
        if not reference.id.collection:
            raise refusals.resource_missing(reference.id)
        scope = reference.parent or "/"
        found = self.db.read(lambda connection: self.access.roles_at(connection, call.caller, scope))
        return answer({"value": [one for role in found for one in _sets(role)]})


def _sets(role: AnyRole) -> list[dict[str, list[str]]]:
    return role.permissions if isinstance(role, CustomRole) else [permissions(role)]


class DenyAssignments(ServedType):
    """``denyAssignments``: there are none."""

    namespace = NAMESPACE
    type = "denyAssignments"
    api_versions = ("2022-04-01", "2018-07-01-preview")
    verbs = frozenset({"GET"})

    async def handle(self, call: Call, reference: Reference) -> Answer:
        """List none; none can be shown."""
        if reference.id.collection:
            return answer({"value": []})
        raise ArmError(
            "DenyAssignmentNotFound",
            f"The deny assignment '{reference.id.name[:100]}' is not found.",
            cause="service",
        )


class ClassicAdministrators(ServedType):
    """``classicAdministrators`` of a subscription: there are none."""

    namespace = NAMESPACE
    type = "classicAdministrators"
    api_versions = ("2015-07-01", "2015-06-01")
    verbs = frozenset({"GET"})

    async def handle(self, call: Call, reference: Reference) -> Answer:
        """List none."""
        own = reference.id
        if not own.collection or not own.subscription or own.group:
            raise refusals.type_unknown(self.namespace, call.api_version)
        return answer({"value": []})
