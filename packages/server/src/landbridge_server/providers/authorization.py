"""``Microsoft.Authorization/roleAssignments``, at any scope.

Whoever may write at a scope may give any role there, as on Azure: that is what Owner and User
Access Administrator are for. The last of these two at a subscription, or at the root where
there is none above it, stays: nobody could give a role there any more.
"""

from __future__ import annotations

from collections.abc import Callable

from landbridge_server.arm import custom_roles, filters, locks, names, paging, refusals
from landbridge_server.arm.call import Answer, Call, answer, encode
from landbridge_server.arm.custom_roles import AnyRole, CustomRole
from landbridge_server.arm.documents import iso
from landbridge_server.arm.grants import NAMESPACE, assignment_id, grant
from landbridge_server.arm.holdings import enclosing
from landbridge_server.arm.resource_type import Reference, ServedType
from landbridge_server.arm.roles import OWNER, USER_ACCESS_ADMINISTRATOR
from landbridge_server.providers.role_definitions import definition_id, missing
from landbridge_server.store import guests, holders, resources, role_assignments
from landbridge_server.store.database import Connection, Database
from landbridge_server.store.holders import Holder
from landbridge_server.store.role_assignments import Assignment, Wanted
from landbridge_wire import arm_id
from landbridge_wire.errors import ArmError

_KINDS = ("User", "Group", "ServicePrincipal", "ForeignGroup", "Device")
_ADMINISTRATORS = (OWNER.guid, USER_ACCESS_ADMINISTRATOR.guid)


def shown(found: Assignment, scope: str) -> dict[str, object]:
    """Return an assignment as it is seen at a scope: clients compare the ids of roles as texts."""
    properties: dict[str, object] = {
        "roleDefinitionId": definition_id(scope, found.role_definition),
        "principalId": found.principal_id,
        "principalType": found.principal_type,
        "scope": found.scope,
        "createdOn": iso(found.created_at),
        "updatedOn": iso(found.created_at if found.changed_at is None else found.changed_at),
        "createdBy": found.created_by,
        "updatedBy": found.created_by if found.changed_by is None else found.changed_by,
    }
    if found.description:
        properties["description"] = found.description
    return {
        "id": assignment_id(found.scope, found.name),
        "name": found.name,
        "type": f"{NAMESPACE}/roleAssignments",
        "properties": properties,
    }


class RoleAssignments(ServedType):
    """``Microsoft.Authorization/roleAssignments``."""

    namespace = NAMESPACE
    type = "roleAssignments"
    api_versions = (
        "2022-04-01",
        "2020-10-01-preview",
        "2020-04-01-preview",
        "2018-01-01-preview",
        "2015-07-01",
    )
    verbs = frozenset({"GET", "PUT", "DELETE"})

    def __init__(self, db: Database, clock: Callable[[], float], base: str) -> None:
        """Take the store, the clock, and the address under which clients see the resource manager."""
        self.db = db
        self.clock = clock
        self.base = base

    async def handle(self, call: Call, reference: Reference) -> Answer:
        """Answer a request that the gate has let through."""
        if reference.id.collection:
            return self.db.read(lambda connection: self._list(connection, call, reference))
        if call.method == "PUT":
            return await self._put(call, reference)
        if call.method == "DELETE":
            return await self._delete(call, reference)
        return self.db.read(
            lambda connection: answer(shown(self._get(connection, call, reference), reference.id.parent))
        )

    def _find(self, connection: Connection, call: Call, reference: Reference) -> Assignment | None:
        found = role_assignments.get(connection, reference.key)
        # '/' is the root of each tenant: those of others are not there.
        return found if found is not None and found.tenant_id == call.caller.tenant_id else None

    def _get(self, connection: Connection, call: Call, reference: Reference) -> Assignment:
        found = self._find(connection, call, reference)
        if found is None:
            raise ArmError(
                "RoleAssignmentNotFound",
                f"The role assignment '{reference.id.name}' is not found.",
                cause="service",
            )
        return found

    async def _put(self, call: Call, reference: Reference) -> Answer:
        name, scope = reference.id.name, reference.id.parent
        if not names.is_guid(name):
            raise ArmError(
                "InvalidRoleAssignmentId",
                f"The role assignment ID '{name[:100]}' is not valid. The role assignment ID must be a GUID.",
            )
        properties = _properties(await call.json(), call.api_version)
        guid = _role_guid(properties.get("roleDefinitionId"))
        _check_unconditional(properties)
        description = _description(properties)
        now = self.clock()

        def work(connection: Connection) -> Assignment:
            _check_scope(connection, scope)
            role = _role(connection, call.caller.tenant_id, guid, scope)
            holder = _holder(connection, call, properties)
            known = role_assignments.get(connection, reference.key)
            if known is not None:
                _check_same(known, role, holder)
                return _described(connection, known, description, now, call.caller.object_id)
            locks.check_write(connection, scope)
            _check_twin(connection, scope, role, holder)
            return grant(
                connection,
                tenant_id=call.caller.tenant_id,  # a guest's home is elsewhere
                principal_id=holder.object_id,
                principal_type=holder.principal_type,
                role=role,
                scope=scope,
                now=now,
                by=call.caller.object_id,
                name=name.lower(),
                description=description or "",
            )

        # 201 for a repetition, too: that is what every version of the document declares.
        return answer(shown(await self.db.write(work), scope), 201)

    async def _delete(self, call: Call, reference: Reference) -> Answer:
        def work(connection: Connection) -> Assignment | None:
            found = self._find(connection, call, reference)
            if found is not None:
                locks.check_delete(connection, assignment_id(found.scope, found.name))
                _check_others(connection, found)
                role_assignments.remove(connection, found.assignment_key)
            return found

        removed = await self.db.write(work)
        return answer(shown(removed, reference.id.parent)) if removed else Answer(204)

    def _list(self, connection: Connection, call: Call, reference: Reference) -> Answer:
        scope = reference.id.parent.lower()
        _check_scope(connection, scope)
        principal, with_groups, only_above = "", False, False
        text = call.query.get("$filter", "")
        for term in filters.parse(text):
            if term.operator == "atscope":
                only_above = True
            elif term.operator == "assignedto":
                principal, with_groups = term.value.lower() or call.caller.object_id, True
            elif (term.name, term.operator) == ("principalid", "eq"):
                principal, with_groups = term.value.lower(), False
            else:
                raise filters.refuse(text, "It can be atScope(), principalId eq '...' or assignedTo('...').")
        size = paging.size(call.query)
        wanted = Wanted(
            call.caller.tenant_id,
            above=tuple(enclosing(scope)),
            below=None if only_above else scope,
            principal_id=principal,
            with_groups=with_groups,
            after=paging.after(call.query),
            limit=size + 1,
        )
        found = role_assignments.listed(connection, wanted)
        link = paging.next_link(call, self.base, found[size - 1].assignment_key) if len(found) > size else ""
        return paging.page([encode(shown(one, scope)) for one in found[:size]], link)


def _check_scope(connection: Connection, scope: str) -> None:
    """Refuse a scope that does not exist."""
    if scope == "/":
        return
    parsed = arm_id.parse(scope)
    group = f"/subscriptions/{parsed.subscription}/resourcegroups/{parsed.group}".lower()
    if parsed.group and not resources.exists(connection, group):
        raise refusals.group_missing(parsed.group)
    if parsed.namespace and not resources.exists(connection, parsed.key):
        raise refusals.resource_missing(parsed)


def _properties(body: dict[str, object], api_version: str) -> dict[str, object]:
    """Return what an assignment is to be.

    The az that has API profiles leaves the envelope out under 2018-03-01-hybrid, whatever the
    document of that version says: it serializes the inner object.
    """
    properties = body.get("properties")
    if properties is None and api_version == "2015-07-01" and "roleDefinitionId" in body:
        return body
    if not isinstance(properties, dict):
        raise refusals.invalid("'properties' must be an object.", "properties")
    return properties


def _role_guid(unverified_id: object) -> str:
    text = unverified_id if isinstance(unverified_id, str) else ""
    head, _, guid = text.rstrip("/").rpartition("/")
    if not head.lower().endswith("/roledefinitions") or not names.is_guid(guid):
        raise ArmError(
            "InvalidRoleDefinitionId",
            f"The role definition ID '{text[:200]}' is not valid. The role definition ID must be a GUID.",
        )
    return guid


def _role(connection: Connection, tenant: str, guid: str, scope: str) -> AnyRole:
    role = custom_roles.find(connection, tenant, guid)
    if role is None or (isinstance(role, CustomRole) and not role.is_assignable(scope)):
        raise missing(guid)
    return role


def _check_unconditional(properties: dict[str, object]) -> None:
    """Refuse what would narrow an assignment: nothing here would keep to it."""
    for name in ("condition", "delegatedManagedIdentityResourceId"):
        if properties.get(name):
            raise refusals.invalid(
                f"'properties.{name}' is not supported by this cloud: the assignment would hold without it.",
                name,
            )


def _holder(connection: Connection, call: Call, properties: dict[str, object]) -> Holder:
    """Return the user, group or service principal that a role is given to."""
    object_id, wanted = properties.get("principalId"), properties.get("principalType")
    if not isinstance(object_id, str) or not names.is_guid(object_id):
        raise refusals.invalid(
            "'properties.principalId' must be the object id of a principal.", "principalId"
        )
    if wanted is not None and wanted not in _KINDS:
        raise refusals.invalid(
            f"'properties.principalType' must be one of {', '.join(_KINDS)}.", "principalType"
        )
    found = holders.find(connection, object_id.lower())
    short = object_id.replace("-", "").lower()
    tenant_id = call.caller.tenant_id
    if found is None or (
        found.tenant_id != tenant_id and not guests.is_guest(connection, tenant_id, found.object_id)
    ):
        raise ArmError(
            "PrincipalNotFound",
            f"Principal {short} does not exist in the directory {call.caller.tenant_id}. "
            "Check that you have the correct principal ID.",
        )
    if wanted is not None and wanted != found.principal_type:
        raise ArmError(
            "UnmatchedPrincipalType",
            f"The PrincipalId '{short}' has type '{found.principal_type}' , which is different from "
            f"specified PrinciaplType '{wanted}'.",
        )
    return found


def _description(properties: dict[str, object]) -> str | None:
    given = properties.get("description")
    if given is not None and (not isinstance(given, str) or len(given) > 2048):
        text = "'properties.description' must be a string of at most 2048 characters."
        raise refusals.invalid(text, "description")
    return given


def _check_same(known: Assignment, role: AnyRole, holder: Holder) -> None:
    """Refuse to make another assignment of one: only its description can change."""
    if (known.role_definition, known.principal_id) != (role.guid, holder.object_id):
        raise ArmError(
            "RoleAssignmentUpdateNotPermitted",
            "Tenant ID, application ID, principal ID, and scope are not allowed to be updated.",
        )


def _described(
    connection: Connection, known: Assignment, description: str | None, now: float, by: str
) -> Assignment:
    """Return an assignment with its new description; one that is not given stays."""
    if description is None or description == known.description:
        return known
    locks.check_write(connection, known.scope)
    role_assignments.describe(connection, known.assignment_key, description, now, by)
    return known._replace(description=description, changed_at=now, changed_by=by)


def _check_others(connection: Connection, leaving: Assignment) -> None:
    """Refuse to remove the last one who may give roles at a subscription or at the root."""
    parts = leaving.scope_key.split("/")
    is_wide = leaving.scope_key == "/" or (len(parts) == 3 and parts[1] == "subscriptions")
    if leaving.role_definition not in _ADMINISTRATORS or not is_wide:
        return
    scopes = enclosing(leaving.scope_key)
    if not role_assignments.is_held_at(
        connection, leaving.tenant_id, scopes, _ADMINISTRATORS, but=leaving.assignment_key
    ):
        raise ArmError(
            "CannotDeleteLastRbacAdminAssignment",
            "Cannot delete the last RBAC admin assignment. Give somebody else "
            f"'{OWNER.name}' or '{USER_ACCESS_ADMINISTRATOR.name}' there first.",
            cause="service",
        )


def _check_twin(connection: Connection, scope: str, role: AnyRole, holder: Holder) -> None:
    twin = role_assignments.same(connection, scope.lower(), role.guid, holder.object_id)
    if twin is not None:
        raise ArmError(
            "RoleAssignmentExists",
            f"The role assignment already exists. The ID of the existing role assignment is "
            f"{twin.name.replace('-', '')}.",
        )
