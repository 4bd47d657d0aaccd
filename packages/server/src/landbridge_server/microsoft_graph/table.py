"""Which request is answered by what: the one table of the directory's API.

/users | /groups | /applications | /servicePrincipals
    GET a list, POST a new one, GET /$count
    /{id}                          GET, PATCH, DELETE; also (appId='...') and user names
    /{id}/{link}                   GET what is bound to it (``links.LINKS``), GET /{link}/{type}
    /{id}/{link}/$ref              POST another one
    /{id}/{link}/{other}/$ref      DELETE it
    /{id}/getMemberGroups, checkMemberGroups, addPassword, removePassword
/me ...                            the caller, as below /users/{id}
/me/changePassword                 ``own_password``, beside this table
/directoryObjects/getByIds, /directoryObjects/{id}, and questions about groups there
/organization, /domains            the caller's tenant
/roleManagement/directory/roleDefinitions, .../roleAssignments    the roles of the directory
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from landbridge_server.microsoft_graph import (
    credentials,
    links,
    objects,
    paging,
    permissions,
    role_management,
    shapes,
)
from landbridge_server.microsoft_graph.applications import Applications
from landbridge_server.microsoft_graph.errors import GraphError, denied, no_segment, not_found
from landbridge_server.microsoft_graph.groups import Groups
from landbridge_server.microsoft_graph.kind import Kind
from landbridge_server.microsoft_graph.request import DONE, Reply, Request, object_id
from landbridge_server.microsoft_graph.service_principals import ServicePrincipals
from landbridge_server.microsoft_graph.users import Users
from landbridge_server.store import tenants
from landbridge_server.store.database import Connection

USERS = Users()
APPLICATIONS = Applications()
SERVICE_PRINCIPALS = ServicePrincipals()

KINDS: dict[str, Kind[Any]] = {
    one.name.lower(): one for one in (USERS, Groups(), APPLICATIONS, SERVICE_PRINCIPALS)
}

Work = Callable[[Connection, Request], Reply]
"""Answers a request within one transaction."""

QUESTIONS = {"getmembergroups": links.member_groups, "checkmembergroups": links.check_member_groups}
"""What is asked with POST and changes nothing."""


def work_for(request: Request) -> Work:
    """Return what answers a request.

    Raises:
        GraphError: BadRequest or MethodNotAllowed; nothing does.
    """
    target = request.target
    if target.collection in KINDS:
        kind = KINDS[target.collection]
        if target.rest:
            return _below(kind, request)
        if target.key:
            return _method(request, GET=kind.get, PATCH=kind.change, DELETE=kind.delete)
        return _method(request, GET=kind.listed, POST=kind.create)
    if target.collection == "directoryobjects":
        return _of_any_kind(request)
    if (target.collection, target.key.lower()) == ("rolemanagement", "directory") and target.rest:
        return _of_roles(request)
    if target.collection in ("organization", "domains") and not target.rest:
        answer = _organization if target.collection == "organization" else _domains
        return _method(request, GET=answer)
    raise no_segment(target.collection)


def _method(request: Request, **offered: Work) -> Work:
    if request.method not in offered:
        raise GraphError(
            "MethodNotAllowed", f"The method is not offered here; {', '.join(sorted(offered))} is."
        )
    return offered[request.method]


def _below(kind: Kind[Any], request: Request) -> Work:
    target = request.target
    word, *more = target.rest
    if word == "$count" and not target.key and not more:
        return _method(request, GET=kind.counted)
    if not target.key:
        raise no_segment(word)
    link = links.LINKS[target.collection].get(word)
    if link is not None:
        return _link(kind, request, link, more)
    if more:
        raise no_segment(word)
    if word in QUESTIONS and target.collection != "applications":
        return _method(request, POST=lambda c, r: QUESTIONS[word](c, r, kind.readable(c, r)))
    if word in ("addpassword", "removepassword") and isinstance(kind, Applications | ServicePrincipals):
        return _method(request, POST=_add_password if word == "addpassword" else _remove_password)
    raise no_segment(word)


def _link(kind: Kind[Any], request: Request, link: links.Link, more: list[str]) -> Work:
    if not more or (len(more) == 1 and more[0] != "$ref"):
        cast = more[0] if more else ""
        return _method(request, GET=lambda c, r: links.listed(c, r, kind.readable(c, r), link, cast))
    if more == ["$ref"]:
        return _method(request, POST=lambda c, r: links.add(c, _by_id(c, r, kind), link))
    if len(more) == 2 and more[1] == "$ref":
        return _method(request, DELETE=lambda c, r: links.remove(c, _by_id(c, r, kind), link, more[0]))
    raise no_segment(more[-1])


def _by_id(connection: Connection, request: Request, kind: Kind[Any]) -> Request:
    """Return a request whose path names its object by object id, whatever key was given."""
    if not request.target.key_name:
        return request
    row = kind.find(connection, request.caller.tenant_id, request.target)
    return request.about(row.object_id) if row is not None else request


def _add_password(connection: Connection, request: Request) -> Reply:
    kind = _with_credentials(request)
    row = kind.managed(connection, request)
    kind.refuse_stronger(connection, request, row)
    made = credentials.add_password(connection, row.object_id, request.body, request.now)
    return Reply({"@odata.context": f"{request.base}/$metadata#microsoft.graph.passwordCredential", **made})


def _remove_password(connection: Connection, request: Request) -> Reply:
    row = _with_credentials(request).managed(connection, request)
    credentials.remove_password(connection, row.object_id, request.body)
    return DONE


def _with_credentials(request: Request) -> Any:
    return APPLICATIONS if request.target.collection == "applications" else SERVICE_PRINCIPALS


def _of_any_kind(request: Request) -> Work:
    key, rest = request.target.key, request.target.rest
    if not key and rest == ("getbyids",):
        return _method(request, POST=objects.get_by_ids)
    if key and not rest:
        return _method(request, GET=_object)
    if key and len(rest) == 1 and rest[0] in QUESTIONS:
        return _method(request, POST=lambda c, r: QUESTIONS[rest[0]](c, r, _readable_object(c, r)))
    raise no_segment("/".join(rest) or "directoryObjects")


def _of_roles(request: Request) -> Work:
    word, *key = request.target.rest
    if word == role_management.DEFINITIONS:
        return _method(request, GET=role_management.definitions)
    if word == role_management.ASSIGNMENTS and not key:
        return _method(request, GET=role_management.assignments, POST=role_management.assign)
    if word == role_management.ASSIGNMENTS and len(key) == 1:
        return _method(request, GET=role_management.assignments, DELETE=role_management.remove)
    raise no_segment(word)


def _readable_object(connection: Connection, request: Request) -> objects.Row:
    caller, wanted = request.caller, object_id(request.target.key)
    if not permissions.reads_all(connection, caller) and not (
        wanted == caller.object_id or permissions.owns(connection, caller, wanted)
    ):
        raise denied("a service principal without a role of the directory reads only itself")
    row = objects.find(connection, caller.tenant_id, wanted)
    if row is None:
        raise not_found(request.target.key)
    return row


def _object(connection: Connection, request: Request) -> Reply:
    paging.check_options(request.query, ("$select", "$format"))
    shown = objects.show(connection, _readable_object(connection, request), request)
    return Reply({"@odata.context": f"{request.base}/$metadata#directoryObjects/$entity", **shown})


def _organization(connection: Connection, request: Request) -> Reply:
    permissions.require_reading(connection, request.caller)
    home = tenants.named(connection, request.caller.tenant_id)
    found = (
        [shapes.tenant(home.tenant_id, home.display_name, home.default_domain, home.created_at)]
        if home
        else []
    )
    return _one_or_all(request, "organization", found)


def _domains(connection: Connection, request: Request) -> Reply:
    permissions.require_reading(connection, request.caller)
    home = tenants.named(connection, request.caller.tenant_id)
    return _one_or_all(request, "domains", [shapes.domain(home.default_domain)] if home else [])


def _one_or_all(request: Request, name: str, found: list[shapes.Shown]) -> Reply:
    paging.check_options(request.query, ("$select", "$format", "$top"))
    shown = [paging.selected(one, request.query) for one in found]
    if not request.target.key:
        return Reply({"@odata.context": f"{request.base}/$metadata#{name}", "value": shown})
    for full, one in zip(found, shown, strict=True):
        if full["id"].lower() == request.target.key.lower():
            return Reply({"@odata.context": f"{request.base}/$metadata#{name}/$entity", **one})
    raise not_found(request.target.key)
