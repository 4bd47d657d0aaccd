"""``roleManagement/directory``: the roles of the directory, who holds them, and giving them.

Everybody who reads the directory sees them; only a Global Administrator gives and takes them. The
last one stays: a tenant without one could not be changed but by the operator of the cloud.
"""

from __future__ import annotations

from typing import Any

from landbridge_server.identity import directory_roles as templates
from landbridge_server.identity.directory_roles import DirectoryRole
from landbridge_server.microsoft_graph import objects, odata_filter, paging, permissions, properties
from landbridge_server.microsoft_graph.errors import bad, no_segment, not_found, unsupported
from landbridge_server.microsoft_graph.odata_filter import And, Compare, Filter
from landbridge_server.microsoft_graph.properties import TEXT
from landbridge_server.microsoft_graph.request import DONE, GUID, Reply, Request
from landbridge_server.store import directory_roles
from landbridge_server.store.database import Connection
from landbridge_server.store.directory_roles import DirectoryRoleAssignment
from landbridge_server.store.principals import Principal

DEFINITIONS, ASSIGNMENTS = "roledefinitions", "roleassignments"
_KNOWN = {"principalId": TEXT, "roleDefinitionId": TEXT, "directoryScopeId": TEXT}
_OPTIONS = ("$filter", "$select", "$format", "$top", "$count")


def definitions(connection: Connection, request: Request) -> Reply:
    """Answer the roles that there are, or one of them."""
    permissions.require_reading(connection, request.caller)
    found = [_definition(role) for role in templates.ALL]
    return _list_or_one(request, found, "displayname", "id")


def assignments(connection: Connection, request: Request) -> Reply:
    """Answer who holds which role, or one assignment."""
    permissions.require_reading(connection, request.caller)
    holders = directory_roles.holders(connection, request.caller.tenant_id)
    return _list_or_one(request, [_assignment(one) for one in holders], "principalid", "roledefinitionid")


def assign(connection: Connection, request: Request) -> Reply:
    """Give a role to a user, service principal or managed identity of the tenant."""
    caller = request.caller
    permissions.require_role(connection, caller, ())
    given = properties.checked("UnifiedRoleAssignment", _KNOWN, request.body)
    properties.required("UnifiedRoleAssignment", given, "principalId", "roleDefinitionId", "directoryScopeId")
    if given["directoryScopeId"] != "/":
        raise bad("Roles are given for the whole directory: 'directoryScopeId' must be '/'.")
    role = templates.named(given["roleDefinitionId"])
    if role is None or not GUID.fullmatch(given["roleDefinitionId"]):
        raise not_found(given["roleDefinitionId"])
    row = objects.find(connection, caller.tenant_id, given["principalId"].lower())
    if row is None:
        raise not_found(given["principalId"])
    if not isinstance(row, Principal):
        raise bad("Roles of the directory are given to users and service principals, not to groups.")
    made = DirectoryRoleAssignment(row.object_id, role.guid, caller.tenant_id, request.now, caller.object_id)
    if not directory_roles.assign(connection, made):
        raise bad(
            "A conflicting object with one or more of the specified property values is present in the "
            "directory."
        )
    return Reply({"@odata.context": _context(request, "/$entity"), **_assignment(made)}, 201)


def remove(connection: Connection, request: Request) -> Reply:
    """Take a role away."""
    permissions.require_role(connection, request.caller, ())
    wanted = request.target.rest[1]
    holders = directory_roles.holders(connection, request.caller.tenant_id)
    for one in holders:
        if _id(one) != wanted:
            continue
        kings = [other for other in holders if other.role == templates.GLOBAL_ADMINISTRATOR.guid]
        if kings == [one]:
            raise bad("The last Global Administrator stays: give the role to somebody else first.")
        directory_roles.remove(connection, one.principal_id, one.role)
        return DONE
    raise not_found(wanted)


def _definition(role: DirectoryRole) -> dict[str, Any]:
    return {
        "id": role.guid,
        "description": role.description,
        "displayName": role.name,
        "isBuiltIn": True,
        "isEnabled": True,
        "resourceScopes": ["/"],
        "templateId": role.guid,
        "version": "1",
    }


def _id(one: DirectoryRoleAssignment) -> str:
    return f"{one.role}_{one.principal_id}"


def _assignment(one: DirectoryRoleAssignment) -> dict[str, Any]:
    return {
        "id": _id(one),
        "principalId": one.principal_id,
        "roleDefinitionId": one.role,
        "directoryScopeId": "/",
    }


def _context(request: Request, end: str = "") -> str:
    return f"{request.base}/$metadata#roleManagement/directory/{request.target.rest[0]}{end}"


def _list_or_one(request: Request, found: list[dict[str, Any]], *fields: str) -> Reply:
    key = request.target.rest[1:]
    if len(key) > 1:
        raise no_segment(key[1])
    if key:
        for one in found:
            if one["id"].lower() == key[0]:
                context = {"@odata.context": _context(request, "/$entity")}
                return Reply(context | paging.selected(one, request.query))
        raise not_found(key[0])
    paging.check_options(request.query, _OPTIONS)
    text = request.query.get("$filter", "").strip()
    wanted = odata_filter.parse(text) if text else None
    shown = [
        paging.selected(one, request.query)
        for one in found
        if wanted is None or _holds(wanted, {name.lower(): value for name, value in one.items()}, fields)
    ]
    return Reply({"@odata.context": _context(request), "value": shown})


def _holds(wanted: Filter, one: dict[str, Any], fields: tuple[str, ...]) -> bool:
    if isinstance(wanted, And):
        return _holds(wanted.left, one, fields) and _holds(wanted.right, one, fields)
    if isinstance(wanted, Compare) and wanted.path in fields:
        texts = [value.lower() for value in wanted.values if isinstance(value, str)]
        return str(one[wanted.path]).lower() in texts
    raise unsupported(f"Only 'eq', 'in' and 'and' on {', '.join(fields)} are offered here.")
