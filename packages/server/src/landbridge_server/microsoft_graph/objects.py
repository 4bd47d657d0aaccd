"""Objects of the directory whatever their kind, by object id."""

from __future__ import annotations

from collections.abc import Iterable

from landbridge_server.microsoft_graph import paging, permissions, shapes
from landbridge_server.microsoft_graph.errors import bad
from landbridge_server.microsoft_graph.request import GUID, Reply, Request
from landbridge_server.microsoft_graph.shapes import USER_DEFAULT, Shown
from landbridge_server.store import applications, groups, guests, principals
from landbridge_server.store.applications import Application
from landbridge_server.store.database import Connection
from landbridge_server.store.groups import Group
from landbridge_server.store.principals import USER, Principal

Row = Principal | Group | Application

USER_TYPE = "user"
GROUP_TYPE = "group"
SERVICE_PRINCIPAL_TYPE = "servicePrincipal"
APPLICATION_TYPE = "application"

BY_IDS_LIMIT = 1000


def find(connection: Connection, tenant_id: str, object_id: str) -> Row | None:
    """Return the object of a tenant with this id, which is in lower case."""
    found = (
        principals.get(connection, object_id)
        or groups.get(connection, object_id)
        or applications.get(connection, object_id)
    )
    return found if found is not None and belongs(connection, found, tenant_id) else None


def belongs(connection: Connection, row: Row, tenant_id: str) -> bool:
    """Say whether an object is one of a tenant; a guest is."""
    if row.tenant_id == tenant_id:
        return True
    return isinstance(row, Principal) and guests.is_guest(connection, tenant_id, row.object_id)


def type_of(row: Row) -> str:
    """Return the name of an object's type."""
    if isinstance(row, Group):
        return GROUP_TYPE
    if isinstance(row, Application):
        return APPLICATION_TYPE
    return USER_TYPE if row.kind == USER else SERVICE_PRINCIPAL_TYPE


def show(connection: Connection, row: Row, request: Request) -> Shown:
    """Return an object among objects of other kinds: with its type, and what ``$select`` leaves."""
    found: Shown
    if isinstance(row, Group):
        found = shapes.group(connection, row)
    elif isinstance(row, Application):
        found = shapes.application(connection, row)
    elif row.kind == USER:
        found = shapes.user(connection, row, guest=row.tenant_id != request.caller.tenant_id)
    else:
        found = shapes.service_principal(connection, row)
    default = USER_DEFAULT if type_of(row) == USER_TYPE else ()
    known = {name: found.get(name) for name in _words(request.query.get("$select", ""))} | found
    shown = paging.selected(known, request.query, default)
    return {"@odata.type": f"#microsoft.graph.{type_of(row)}", **shown}


def _words(select: str) -> list[str]:
    # What one kind of object has and another has not is null there, as long as some kind has it.
    return [word.strip() for word in select.split(",") if word.strip() in _ALL_NAMES]


_ALL_NAMES = frozenset(
    {
        *shapes.USER_TEXTS,
        *shapes.USER_DEFAULT,
        *shapes.GROUP_EMPTY,
        *shapes.APPLICATION_EMPTY,
        *shapes.SERVICE_PRINCIPAL_EMPTY,
        "accountEnabled",
        "appId",
        "appDisplayName",
        "servicePrincipalNames",
        "servicePrincipalType",
        "identifierUris",
        "createdDateTime",
        "userType",
    }
)


def shown(connection: Connection, request: Request, ids: Iterable[str], wanted: str = "") -> list[Shown]:
    """Return the objects with these ids that are there; ``wanted`` is the one type to show, if any."""
    rows = (find(connection, request.caller.tenant_id, one) for one in ids)
    return [
        show(connection, row, request)
        for row in rows
        if row is not None and wanted in ("", type_of(row).lower())
    ]


def get_by_ids(connection: Connection, request: Request) -> Reply:
    """Answer ``directoryObjects/getByIds``: those that are there, in the order of the question."""
    permissions.require_reading(connection, request.caller)
    ids, types = request.body.get("ids"), request.body.get("types") or []
    if not isinstance(ids, list) or not all(isinstance(one, str) and GUID.fullmatch(one) for one in ids):
        raise bad("'ids' must be a list of object ids.")
    if not isinstance(types, list) or not all(isinstance(one, str) for one in types):
        raise bad("'types' must be a list of names, such as 'user' and 'group'.")
    if len(ids) > BY_IDS_LIMIT:
        raise bad(f"At most {BY_IDS_LIMIT} ids can be asked for at once.")
    wanted = {one.lower() for one in types}
    found = [
        one
        for one in shown(connection, request, dict.fromkeys(one.lower() for one in ids))
        if not wanted
        or "directoryobject" in wanted
        or one["@odata.type"].rpartition(".")[2].lower() in wanted
    ]
    return Reply({"@odata.context": f"{request.base}/$metadata#directoryObjects", "value": found})
