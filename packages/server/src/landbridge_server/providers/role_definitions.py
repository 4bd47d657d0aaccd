"""``Microsoft.Authorization/roleDefinitions``: the built-in roles, and those that users write.

A custom role belongs to a tenant. It is seen and can be given at its assignable scopes, which
are subscriptions and resource groups, and below them. Whoever writes one needs the right to at
every one of these scopes, so that nobody makes a role for where they hold nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from landbridge_server.arm import custom_roles, filters, locks, names, refusals, shape
from landbridge_server.arm.access import Access
from landbridge_server.arm.actions import KnownActions
from landbridge_server.arm.call import Answer, Call, answer
from landbridge_server.arm.custom_roles import AnyRole, CustomRole
from landbridge_server.arm.documents import iso
from landbridge_server.arm.grants import NAMESPACE
from landbridge_server.arm.registry import Registry
from landbridge_server.arm.resource_type import Reference, ServedType
from landbridge_server.arm.roles import BUILT_IN, by_guid, named, permissions
from landbridge_server.arm.shape import Text
from landbridge_server.store import resources, role_assignments, role_definitions, tenants
from landbridge_server.store.database import Connection, Database
from landbridge_server.store.role_definitions import Definition
from landbridge_wire import arm_id
from landbridge_wire.errors import ArmError

MOST = 5000
"""Custom roles of a tenant, as on Azure."""

MOST_ACTIONS = 2048
"""Patterns of one role, in all its sets: each question is compared with all of them."""

_SETS = ("actions", "notActions", "dataActions", "notDataActions")
_SHAPE = {
    "roleName": Text(512),
    "description": Text(2048),
    "assignableScopes": [Text(1024)],
    "permissions": [{name: [Text(512)] for name in _SETS}],
}


def definition_id(scope: str, guid: str) -> str:
    """Return the id of a role definition as it is read at a scope."""
    parts = scope.split("/")
    above = f"/subscriptions/{parts[2]}" if len(parts) > 2 and parts[1].lower() == "subscriptions" else ""
    return f"{above}/providers/{NAMESPACE}/roleDefinitions/{guid}"


def missing(guid: str) -> ArmError:
    """Return the refusal of a role that is not there, or not for this scope."""
    text = guid.replace("-", "").lower()[:100]
    return ArmError(
        "RoleDefinitionDoesNotExist",
        f"The specified role definition with ID '{text}' does not exist.",
        cause="service",
    )


def shown(role: AnyRole, scope: str, since: float) -> dict[str, object]:
    """Return a role as it is seen at a scope; ``since`` is how long there have been built-in ones."""
    properties: dict[str, object]
    if isinstance(role, CustomRole):
        own = role.definition
        properties = {
            "roleName": own.name,
            "type": "CustomRole",
            "description": own.description,
            "assignableScopes": list(role.assignable_scopes),
            "permissions": role.permissions,
            "createdOn": iso(own.created_at),
            "updatedOn": iso(own.changed_at),
            "createdBy": own.created_by,
            "updatedBy": own.changed_by,
        }
    else:
        properties = {
            "roleName": role.name,
            "type": "BuiltInRole",
            "description": role.description,
            "assignableScopes": ["/"],
            "permissions": [permissions(role)],
            "createdOn": iso(since),
            "updatedOn": iso(since),
        }
    return {
        "id": definition_id(scope, role.guid),
        "name": role.guid,
        "type": f"{NAMESPACE}/roleDefinitions",
        "properties": properties,
    }


class RoleDefinitions(ServedType):
    """The type."""

    namespace = NAMESPACE
    type = "roleDefinitions"
    api_versions = ("2022-04-01", "2022-05-01-preview", "2018-01-01-preview", "2015-07-01")
    verbs = frozenset({"GET", "PUT", "DELETE"})

    def __init__(
        self, db: Database, access: Access, clock: Callable[[], float], registry: Callable[[], Registry]
    ) -> None:
        """Take the store, the gate, the clock, and the registry, which is complete when somebody asks."""
        self.db = db
        self.access = access
        self.clock = clock
        self._registry = registry
        self._known: KnownActions | None = None

    async def handle(self, call: Call, reference: Reference) -> Answer:
        """List the roles, show one, write or remove a custom one."""
        scope = reference.id.parent
        if reference.id.collection:
            return self.db.read(lambda connection: self._list(connection, call, scope))
        if call.method == "PUT":
            return await self._put(call, reference)
        if call.method == "DELETE":
            return await self._delete(call, reference)
        return self.db.read(lambda connection: self._one(connection, call, reference))

    def _one(self, connection: Connection, call: Call, reference: Reference) -> Answer:
        scope, tenant = reference.id.parent, call.caller.tenant_id
        role = custom_roles.find(connection, tenant, reference.id.name)
        if role is None or not _is_seen(role, scope):
            raise missing(reference.id.name)
        return answer(shown(role, scope, _since(connection, tenant)))

    def _list(self, connection: Connection, call: Call, scope: str) -> Answer:
        own = [custom_roles.of(one) for one in role_definitions.of_tenant(connection, call.caller.tenant_id)]
        text = call.query.get("$filter", "")
        terms = filters.parse(text)
        is_below = any(term.operator == "atscopeandbelow" for term in terms)
        found: list[AnyRole] = [*BUILT_IN]
        found += [one for one in own if one.is_assignable(scope) or (is_below and one.is_below(scope))]
        for term in terms:
            value = term.value.lower()
            if (term.name, term.operator) == ("rolename", "eq"):
                found = [one for one in found if one.name.lower() == value]
            elif (term.name, term.operator) == ("type", "eq"):
                wanted = {"builtinrole": False, "customrole": True}.get(value)
                found = [one for one in found if isinstance(one, CustomRole) is wanted]
            elif term.operator not in ("atscope", "atscopeandbelow"):
                raise filters.refuse(
                    text, "It can be roleName eq '...', type eq '...', atScope() or atScopeAndBelow()."
                )
        since = _since(connection, call.caller.tenant_id)
        return answer({"value": [shown(one, scope, since) for one in found]})

    async def _put(self, call: Call, reference: Reference) -> Answer:
        guid = _guid(reference.id.name)
        body = await call.json()
        kept: dict[str, Any] = shape.keep(_SHAPE, body.get("properties") or {}, "properties")
        name, sets, scopes = _checked(kept)
        self._check_actions(sets)
        now, tenant, who = self.clock(), call.caller.tenant_id, call.caller.object_id

        def work(connection: Connection) -> Definition:
            locks.check_write(connection, reference.id.parent)
            for scope in scopes:
                _check_scope(connection, scope)
                self.access.require(call.caller, self.action("write"), scope, connection)
            old = role_definitions.get(connection, tenant, guid)
            if old is not None:
                self._check_may_change(connection, call, old)
                _check_given(connection, old, scopes)
            self._check_name(connection, tenant, guid, name)
            if old is None and role_definitions.count(connection, tenant) >= MOST:
                text = f"Role definition limit exceeded. No more than {MOST} custom roles can be created."
                raise ArmError("RoleDefinitionLimitExceeded", text)
            made = Definition(
                tenant_id=tenant,
                guid=guid,
                name=name,
                name_key=name.lower(),
                description=kept.get("description", ""),
                permissions=msgspec.json.encode(sets).decode(),
                assignable_scopes=msgspec.json.encode(scopes).decode(),
                created_at=old.created_at if old else now,
                created_by=old.created_by if old else who,
                changed_at=now,
                changed_by=who,
            )
            role_definitions.put(connection, made, is_new=old is None)
            return made

        # 201 for a change, too: that is what every version of the document declares.
        made = custom_roles.of(await self.db.write(work))
        return answer(shown(made, reference.id.parent, now), 201)

    async def _delete(self, call: Call, reference: Reference) -> Answer:
        guid = _guid(reference.id.name)
        tenant = call.caller.tenant_id

        def work(connection: Connection) -> Definition | None:
            old = role_definitions.get(connection, tenant, guid)
            if old is None:
                return None
            locks.check_delete(connection, reference.id.text)
            self._check_may_change(connection, call, old, "delete")
            if role_assignments.scopes_of_role(connection, tenant, guid):
                raise _in_use(guid, "Delete them before you delete the role.")
            role_definitions.remove(connection, tenant, guid)
            return old

        removed = await self.db.write(work)
        if removed is None:
            return Answer(204)
        return answer(shown(custom_roles.of(removed), reference.id.parent, removed.created_at))

    def _check_may_change(
        self, connection: Connection, call: Call, old: Definition, verb: str = "write"
    ) -> None:
        """Return if the caller may change a role wherever it is assignable so far."""
        for scope in custom_roles.of(old).assignable_scopes:
            self.access.require(call.caller, self.action(verb), scope, connection)

    def _check_actions(self, sets: custom_roles.Permissions) -> None:
        """Refuse a role with an action that nothing here asks for, nor any built-in role names."""
        if self._known is None:
            self._known = KnownActions(self._registry())
        for one in sets:
            for word, texts in one.items():
                unknown = self._known.first_unknown(texts, data=word in ("dataActions", "notDataActions"))
                if unknown is not None:
                    raise _unknown(unknown)

    def _check_name(self, connection: Connection, tenant: str, guid: str, name: str) -> None:
        twin = role_definitions.named(connection, tenant, name)
        if named(name) is not None or (twin is not None and twin.guid != guid):
            raise ArmError(
                "RoleDefinitionWithSameNameExists",
                f"A role with the name '{name}' already exists in this directory. Use a different name.",
                cause="service",
            )


def _since(connection: Connection, tenant: str) -> float:
    """Return when a tenant began: the built-in roles came with it."""
    found = tenants.named(connection, tenant)
    return found.created_at if found is not None else 0.0


def _is_seen(role: AnyRole, scope: str) -> bool:
    if not isinstance(role, CustomRole):
        return True
    return role.is_assignable(scope) or role.is_below(scope)


def _guid(name: str) -> str:
    if not names.is_guid(name):
        raise ArmError(
            "InvalidRoleDefinitionId",
            f"The role definition ID '{name[:100]}' is not valid. The role definition ID must be a GUID.",
        )
    if by_guid(name) is not None:
        raise ArmError("OperationNotAllowed", "A built-in role can be neither changed nor deleted.")
    return name.lower()


def _checked(kept: dict[str, Any]) -> tuple[str, custom_roles.Permissions, list[str]]:
    name = kept.get("roleName", "").strip()
    if not name:
        raise refusals.invalid("'properties.roleName' is required.", "roleName")
    scopes = [one.rstrip("/") for one in kept.get("assignableScopes", [])]
    if not scopes:
        raise refusals.invalid("'properties.assignableScopes' must name a scope.", "assignableScopes")
    sets = [{word: one.get(word, []) for word in _SETS} for one in kept.get("permissions", [])]
    if not sets:
        raise refusals.invalid("'properties.permissions' must hold permissions.", "permissions")
    texts = [text for one in sets for texts in one.values() for text in texts]
    if len(texts) > MOST_ACTIONS:
        raise refusals.invalid(f"A role can hold at most {MOST_ACTIONS} actions.", "permissions")
    wrong = [text for text in texts if not _is_action(text)]
    if wrong:
        raise _unknown(wrong[0])
    return name, sets, scopes


def _unknown(text: str) -> ArmError:
    return ArmError(
        "InvalidActionOrNotAction",
        f"'{text[:200]}' does not match any of the actions supported by the providers. "
        "An action is Namespace/type/verb, with '*' for any part of it; "
        "'az provider operation list' shows those of this cloud.",
        cause="service",
    )


def _in_use(guid: str, advice: str) -> ArmError:
    return ArmError(
        "RoleDefinitionHasAssignments",
        f"There are existing role assignments referencing role (code: {guid}). {advice}",
        cause="service",
    )


def _check_given(connection: Connection, old: Definition, scopes: list[str]) -> None:
    """Refuse assignable scopes beside which somebody holds the role already."""
    kept = custom_roles.of(old._replace(assignable_scopes=msgspec.json.encode(scopes).decode()))
    for scope in role_assignments.scopes_of_role(connection, old.tenant_id, old.guid):
        if not kept.is_assignable(scope):
            raise _in_use(old.guid, f"'{scope}' would not be an assignable scope any more.")


def _is_action(text: str) -> bool:
    return text == "*" or ("/" in text and all(text.split("/")) and text.isprintable() and " " not in text)


def _check_scope(connection: Connection, scope: str) -> None:
    """Refuse an assignable scope that is neither a subscription nor a group that is there."""
    try:
        parsed = arm_id.parse(scope or "/")
    except arm_id.MalformedId:
        parsed = None
    if parsed is None or parsed.namespace or not parsed.subscription:
        raise refusals.invalid(
            f"'{scope[:200]}' cannot be an assignable scope: it must be a subscription or a resource group.",
            "assignableScopes",
        )
    if parsed.group and not resources.exists(connection, parsed.key):
        raise refusals.group_missing(parsed.group)
