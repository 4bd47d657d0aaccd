"""What binds objects to each other: members and owners of something, groups and things of somebody."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from landbridge_server.microsoft_graph import objects, paging, permissions, strength
from landbridge_server.microsoft_graph.errors import GraphError, bad, denied, no_segment, not_found
from landbridge_server.microsoft_graph.request import DONE, GUID, Reply, Request, object_id
from landbridge_server.store import groups, owners, principals
from landbridge_server.store.applications import Application
from landbridge_server.store.database import Connection
from landbridge_server.store.groups import Group
from landbridge_server.store.principals import MANAGED_IDENTITY, Principal

Ids = Callable[[Connection, str, str, int], list[str]]
"""The ids of what is bound to an object, in order, after one of them, up to a number."""


class Link(NamedTuple):
    """One kind of binding: what it lists, and how it is made and undone, where it can be."""

    ids: Ids
    add: Callable[[Connection, Request, str], None] | None = None
    remove: Callable[[Connection, Request, str], None] | None = None


def bound(given: object) -> list[str]:
    """Return the object ids in a list of addresses, such as ``.../directoryObjects/ID``.

    Raises:
        GraphError: Request_BadRequest; it is something else.
    """
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise bad("A list of addresses of objects was expected, such as '.../directoryObjects/ID'.")
    return list(dict.fromkeys(_referenced(one) for one in given))


def _referenced(address: str) -> str:
    last = address.rstrip("/')").replace("('", "/").rpartition("/")[2]
    if not GUID.fullmatch(last):
        raise bad(f"Invalid object reference '{address[:200]}': it must end in the id of an object.")
    return last.lower()


# -- members


def add_member(connection: Connection, tenant_id: str, group_id: str, member_id: str) -> None:
    """Put somebody into a group.

    Raises:
        GraphError: there is no such object, it cannot be a member, or it is one.
    """
    row = objects.find(connection, tenant_id, member_id)
    if row is None:
        raise not_found(member_id)
    if isinstance(row, Application):
        raise bad("An application cannot be a member of a group: its service principal can.")
    if groups.has_member(connection, group_id, member_id):
        raise _there_already("members")
    groups.add_member(connection, group_id, member_id)


def _there_already(name: str) -> GraphError:
    return bad(
        f"One or more added object references already exist for the following modified properties: '{name}'."
    )


def _add_member(connection: Connection, request: Request, member_id: str) -> None:
    group_id = _group(connection, request)
    strength.refuse_stronger(connection, request.caller, group_id)
    add_member(connection, request.caller.tenant_id, group_id, member_id)


def _remove_member(connection: Connection, request: Request, member_id: str) -> None:
    group_id = _group(connection, request)
    if not groups.has_member(connection, group_id, member_id):
        raise not_found(member_id)
    groups.remove_member(connection, group_id, member_id)


def _group(connection: Connection, request: Request) -> str:
    """Return the id of the group that the caller may manage."""
    group_id = object_id(request.target.key)
    permissions.require_managing(connection, request.caller, permissions.GROUPS, group_id)
    if not isinstance(objects.find(connection, request.caller.tenant_id, group_id), Group):
        raise not_found(request.target.key)
    return group_id


# -- owners


def add_owner(connection: Connection, tenant_id: str, owned_id: str, owner_id: str) -> None:
    """Make a user or service principal an owner.

    Raises:
        GraphError: there is no such principal, or it is an owner already.
    """
    row = objects.find(connection, tenant_id, owner_id)
    if not isinstance(row, Principal):
        raise not_found(owner_id)
    if owners.owns(connection, owner_id, owned_id):
        raise _there_already("owners")
    owners.add(connection, owned_id, owner_id)


def _add_owner(connection: Connection, request: Request, owner_id: str) -> None:
    owned_id = _owned(connection, request)
    add_owner(connection, request.caller.tenant_id, owned_id, owner_id)


def _remove_owner(connection: Connection, request: Request, owner_id: str) -> None:
    owned_id = _owned(connection, request)
    if not owners.owns(connection, owner_id, owned_id):
        raise not_found(owner_id)
    owners.remove(connection, owned_id, owner_id)


def _owned(connection: Connection, request: Request) -> str:
    """Return the id of what the caller may give owners to."""
    owned_id, caller = object_id(request.target.key), request.caller
    if request.target.collection == "groups":
        return _group(connection, request)
    if not permissions.owns(connection, caller, owned_id):
        permissions.require_role(connection, caller, permissions.APPLICATIONS)
    row = objects.find(connection, caller.tenant_id, owned_id)
    if row is None or objects.type_of(row).lower() + "s" != request.target.collection:
        raise not_found(request.target.key)
    permissions.require_managing_principal(
        connection, caller, permissions.APPLICATIONS, owned_id, principal_of(connection, row)
    )
    return owned_id


def principal_of(connection: Connection, row: objects.Row) -> str:
    """Return the object id of whom an object can sign in as; empty for an application without one."""
    if not isinstance(row, Application):
        return row.object_id
    instance = principals.by_app_id(connection, row.app_id)
    return instance.object_id if instance is not None else ""


# -- the table


def _groups_of(connection: Connection, member_id: str, after: str, limit: int) -> list[str]:
    return [one for one in groups.groups_of(connection, member_id) if one > after][:limit]


def _groups_around(connection: Connection, member_id: str, after: str, limit: int) -> list[str]:
    return sorted(one for one in groups.transitive_groups_of(connection, member_id) if one > after)[:limit]


_OWNERS = Link(owners.of, _add_owner, _remove_owner)
_OWNED = Link(owners.owned_by)
_MEMBER_OF = {"memberof": Link(_groups_of), "transitivememberof": Link(_groups_around)}

LINKS: dict[str, dict[str, Link]] = {
    "users": {**_MEMBER_OF, "ownedobjects": _OWNED},
    "groups": {
        **_MEMBER_OF,
        "members": Link(groups.members_of, _add_member, _remove_member),
        "transitivemembers": Link(groups.transitive_members_of),
        "owners": _OWNERS,
    },
    "applications": {"owners": _OWNERS},
    "serviceprincipals": {**_MEMBER_OF, "owners": _OWNERS, "ownedobjects": _OWNED},
}
"""Collection -> name of the binding, both in lower case."""


def listed(connection: Connection, request: Request, source: objects.Row, link: Link, cast: str) -> Reply:
    """Answer what is bound to an object that the caller may read; ``cast`` is the one type to show."""
    if cast not in ("", "user", "group", "serviceprincipal", "application", "device"):
        raise no_segment(cast)
    paging.check_options(request.query, ("$select", "$top", "$format", "$count", paging.TOKEN))
    size = paging.size(request.query)
    (after,) = paging.after(request.query, 1)
    ids = link.ids(connection, source.object_id, after, size + 1)
    found: dict[str, Any] = {"@odata.context": f"{request.base}/$metadata#directoryObjects"}
    if len(ids) > size:
        found["@odata.nextLink"] = paging.next_link(request, (ids[size - 1],))
    found["value"] = objects.shown(connection, request, ids[:size], cast)
    return Reply(found)


def add(connection: Connection, request: Request, link: Link) -> Reply:
    """Bind the object whose address stands in the body."""
    if link.add is None:
        raise no_segment("$ref")
    address = request.body.get("@odata.id")
    if not isinstance(address, str):
        raise bad("The body must hold '@odata.id', the address of an object.")
    link.add(connection, request, _referenced(address))
    return DONE


def remove(connection: Connection, request: Request, link: Link, other: str) -> Reply:
    """Unbind an object."""
    if link.remove is None:
        raise no_segment("$ref")
    link.remove(connection, request, object_id(other))
    return DONE


# -- questions about groups


def member_groups(connection: Connection, request: Request, source: objects.Row) -> Reply:
    """Answer ``getMemberGroups``: the ids of all groups around an object."""
    flag = request.body.get("securityEnabledOnly", False)
    if not isinstance(flag, bool):
        raise bad("'securityEnabledOnly' must be true or false.")
    return _ids(request, sorted(groups.transitive_groups_of(connection, source.object_id)))


def check_member_groups(connection: Connection, request: Request, source: objects.Row) -> Reply:
    """Answer ``checkMemberGroups``: which of some groups an object is in, directly or not."""
    wanted = request.body.get("groupIds")
    if not isinstance(wanted, list) or not all(isinstance(one, str) for one in wanted) or len(wanted) > 20:
        raise bad("'groupIds' must be a list of up to 20 ids of groups.")
    around = groups.transitive_groups_of(connection, source.object_id)
    return _ids(request, [one for one in wanted if object_id(one) in around])


def _ids(request: Request, ids: list[str]) -> Reply:
    return Reply({"@odata.context": f"{request.base}/$metadata#Collection(Edm.String)", "value": ids})


def unmanaged(row: objects.Row) -> None:
    """Return if an object is no managed identity.

    Raises:
        GraphError: Authorization_RequestDenied; it is one: it lives and ends with its machine.
    """
    if not isinstance(row, Group | Application) and row.kind == MANAGED_IDENTITY:
        raise denied(
            "a managed identity", "It is the identity of a machine: change or delete the machine instead."
        )
