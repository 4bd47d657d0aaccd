"""``groups``: security groups, to which the resource manager's roles can be given."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec

from landbridge_server.identity.directory import checked_name
from landbridge_server.microsoft_graph import links, permissions, properties, shapes
from landbridge_server.microsoft_graph.errors import bad
from landbridge_server.microsoft_graph.kind import Kind
from landbridge_server.microsoft_graph.last_admins import refuse_last
from landbridge_server.microsoft_graph.narrowing import Fields, fixed, text
from landbridge_server.microsoft_graph.properties import FLAG, TEXT, TEXTS
from landbridge_server.microsoft_graph.request import DONE, Reply, Request, Target, object_id
from landbridge_server.microsoft_graph.shapes import Shown
from landbridge_server.store import directory_lists, groups, owners, role_assignments
from landbridge_server.store.conditions import Condition
from landbridge_server.store.database import Connection
from landbridge_server.store.directory_lists import Place
from landbridge_server.store.groups import Group
from landbridge_server.store.principals import USER

_KNOWN = {
    "displayName": TEXT,
    "description": TEXT,
    "mailEnabled": FLAG,
    "mailNickname": TEXT,
    "securityEnabled": FLAG,
    "groupTypes": TEXTS,
    "isAssignableToRole": FLAG,
    "visibility": TEXT,
}
_BOUND_LIMIT = 20


class Groups(Kind[Group]):
    """``groups``, by object id."""

    name = "groups"
    type_name = "Group"
    odata_type = "#microsoft.graph.group"
    fields = Fields(
        "Group",
        equal={
            "id": text("object_id"),
            "displayname": text("name_key"),
            "mailnickname": text("nickname_key"),
            "securityenabled": fixed(True),
            "mailenabled": fixed(False),
        },
        begin={"displayname": "name_key", "mailnickname": "nickname_key"},
    )

    def find(self, connection: Connection, tenant_id: str, target: Target) -> Group | None:
        """Return the group of this object id."""
        if target.key_name not in ("", "id"):
            raise bad(f"A group has no key '{target.key_name}'.")
        found = groups.get(connection, object_id(target.key))
        return found if found is not None and found.tenant_id == tenant_id else None

    def show(self, connection: Connection, row: Group, tenant_id: str) -> Shown:
        """Return a group."""
        return shapes.group(connection, row)

    def page(
        self, connection: Connection, tenant_id: str, condition: Condition, after: Place, limit: int
    ) -> list[Group]:
        """Return a page of groups."""
        return directory_lists.groups_page(connection, tenant_id, condition, after, limit)

    def count(self, connection: Connection, tenant_id: str, condition: Condition) -> int:
        """Count groups."""
        return directory_lists.count_groups(connection, tenant_id, condition)

    def create(self, connection: Connection, request: Request) -> Reply:
        """Make a group; a person who makes one owns it."""
        caller = request.caller
        permissions.require_role(connection, caller, permissions.GROUPS)
        body = dict(request.body)
        bound = {name: links.bound(body.pop(f"{name}@odata.bind", [])) for name in ("owners", "members")}
        if any(len(ids) > _BOUND_LIMIT for ids in bound.values()):
            raise bad(f"At most {_BOUND_LIMIT} owners and members can be given with a new group.")
        given = properties.checked(self.type_name, _KNOWN, body)
        properties.required(
            self.type_name, given, "displayName", "mailEnabled", "mailNickname", "securityEnabled"
        )
        _check(given)
        name = checked_name(given.pop("displayName"))
        kept = {key: value for key, value in given.items() if value is not None}
        row = Group(
            object_id=str(uuid.uuid4()),
            tenant_id=caller.tenant_id,
            display_name=name,
            name_key=name.lower(),
            nickname_key=kept["mailNickname"].lower(),
            document=msgspec.json.encode(kept).decode(),
            created_at=request.now,
        )
        groups.add(connection, row)
        if caller.kind == USER:
            owners.add(connection, row.object_id, caller.object_id)
        for one in bound["owners"]:
            if one != caller.object_id or caller.kind != USER:
                links.add_owner(connection, caller.tenant_id, row.object_id, one)
        for one in bound["members"]:
            links.add_member(connection, caller.tenant_id, row.object_id, one)
        return Reply(self.entity(request, self.show(connection, row, row.tenant_id)), 201)

    def change(self, connection: Connection, request: Request) -> Reply:
        """Change a group."""
        row = self._managed(connection, request)
        given = properties.checked(self.type_name, _KNOWN, request.body)
        _check(given)
        for name in ("displayName", "mailNickname"):
            if name in given and given[name] in (None, ""):
                raise bad(f"Invalid value specified for property '{name}' of resource 'Group'.")
        name = checked_name(given.pop("displayName", row.display_name))
        kept = properties.merged(msgspec.json.decode(row.document), given)
        groups.replace(
            connection,
            row._replace(
                display_name=name,
                name_key=name.lower(),
                nickname_key=kept["mailNickname"].lower(),
                document=msgspec.json.encode(kept).decode(),
            ),
        )
        return DONE

    def delete(self, connection: Connection, request: Request) -> Reply:
        """Remove a group at once, with all roles that it gave its members."""
        row = self._managed(connection, request)
        refuse_last(connection, request.caller.tenant_id, row.object_id)
        role_assignments.remove_of_principal(connection, row.object_id)
        groups.remove(connection, row.object_id)
        return DONE

    def _managed(self, connection: Connection, request: Request) -> Group:
        caller, target = request.caller, request.target
        permissions.require_managing(connection, caller, permissions.GROUPS, target.key.lower())
        return self.needed(connection, request)


def _check(given: dict[str, Any]) -> None:
    """Refuse groups of kinds that this cloud has not."""
    if given.get("mailEnabled") or given.get("securityEnabled") is False or given.get("groupTypes"):
        raise bad(
            "Only security groups are supported by this cloud: 'mailEnabled' must be false, "
            "'securityEnabled' true, and 'groupTypes' empty."
        )
    if given.get("isAssignableToRole"):
        raise bad("Roles of the directory cannot be given to groups: 'isAssignableToRole' must be false.")
    nickname = given.get("mailNickname") or "x"
    if not nickname.isascii() or not nickname.isprintable() or set(nickname) & set('@()\\[]";:<>, '):
        raise bad("Invalid value specified for property 'mailNickname' of resource 'Group'.")
