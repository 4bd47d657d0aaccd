"""Reading: one resource, and the lists of a type or of all resources."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from landbridge_server.arm import filters, paging, shown
from landbridge_server.arm.access import Access
from landbridge_server.arm.call import Answer, Call, encode
from landbridge_server.arm.documents import iso
from landbridge_server.arm.engine import Engine, check_group, check_parent
from landbridge_server.arm.names import location_key
from landbridge_server.arm.resource_type import Kind, Reference, ResourceType
from landbridge_server.store import principals, queries
from landbridge_server.store.database import Connection
from landbridge_server.store.resources import Query, Stored, Tag
from landbridge_wire import arm_id

RAW = msgspec.Raw
_Render = Callable[[Sequence[Stored]], list[bytes]]
_COLUMNS = {
    "resourcegroup": "group",
    "resourcetype": "type",
    "name": "name",
    "location": "location",
    "identity/principalid": "key",
    "plan/name": "key",
    "plan/publisher": "key",
    "plan/product": "key",
}
"""What a filter can name; an identity is found by the resource that has it, and nothing has a plan."""


class _Summary(msgspec.Struct, omit_defaults=True):
    """What the list of all resources shows of an envelope; its JSON is passed on as it is."""

    id: RAW
    name: RAW
    type: RAW
    kind: RAW | msgspec.UnsetType = msgspec.UNSET
    location: RAW | msgspec.UnsetType = msgspec.UNSET
    tags: RAW | msgspec.UnsetType = msgspec.UNSET
    identity: RAW | msgspec.UnsetType = msgspec.UNSET
    sku: RAW | msgspec.UnsetType = msgspec.UNSET
    createdTime: str | msgspec.UnsetType = msgspec.UNSET
    changedTime: str | msgspec.UnsetType = msgspec.UNSET
    provisioningState: str | msgspec.UnsetType = msgspec.UNSET


class _Properties(msgspec.Struct):
    provisioningState: str = "Succeeded"


class _State(msgspec.Struct):
    properties: _Properties


_decode_summary = msgspec.json.Decoder(_Summary).decode
_decode_state = msgspec.json.Decoder(_State).decode


_SUMMARIZED = ("key", "document", "created_at", "changed_at")


def _summary(row: tuple[str, str, float, float], expand: frozenset[str]) -> bytes:
    _key, document, created_at, changed_at = row
    summary = _decode_summary(document)
    if "createdtime" in expand:
        summary.createdTime = iso(created_at)
    if "changedtime" in expand:
        summary.changedTime = iso(changed_at)
    if "provisioningstate" in expand:
        summary.provisioningState = _decode_state(document).properties.provisioningState
    return encode(summary)


def _nobody(principal_id: str) -> str:
    return ""


def restrict(query: Query, text: str, owner: Callable[[str], str] = _nobody) -> Query:
    """Return a query with the conditions of a ``$filter`` added.

    ``owner`` returns the key of the resource that has an identity, by its principal id.

    Raises:
        ArmError: InvalidFilterInQueryString.
    """
    tag_name: str | None = None
    tag_value: str | None = None
    for term in filters.parse(text):
        value = location_key(term.value) if term.name == "location" else term.value.lower()
        if term.name in ("tagname", "tagvalue") and term.operator == "eq":
            tag_name = term.value if term.name == "tagname" else tag_name
            tag_value = term.value if term.name == "tagvalue" else tag_value
            continue
        column = _COLUMNS.get(term.name)
        if column is None or (column == "key" and term.operator not in ("eq", "ne")):
            raise filters.refuse(
                text, "It can name resourceGroup, resourceType, name, location, tagName, tagValue."
            )
        if column == "key":
            value = owner(value) if term.name.startswith("identity") else ""
        pair = (column, value)
        if term.operator == "eq":
            query = replace(query, equal=(*query.equal, pair))
        elif term.operator == "ne":
            query = replace(query, unequal=(*query.unequal, pair))
        else:
            query = replace(query, contains=(*query.contains, pair))
    if tag_value is not None and tag_name is None:
        raise filters.refuse(text, "tagValue needs a tagName.")
    return replace(query, tags=(*query.tags, Tag(tag_name, tag_value))) if tag_name is not None else query


def _owner(connection: Connection, principal_id: str) -> str:
    found = principals.get(connection, principal_id)
    return (found.resource_key or "") if found else ""


class Reading:
    """Answers GET and HEAD; ``base`` is the address under which clients see the resource manager."""

    def __init__(self, engine: Engine, access: Access, base: str) -> None:
        """Take the engine whose resources are read."""
        self.engine = engine
        self.access = access
        self.base = base

    def one(self, connection: Connection, call: Call, kind: ResourceType, reference: Reference) -> Answer:
        """Answer 200 with a resource; HEAD: 204."""
        stored = self.engine.existing(connection, reference)
        headers = {"etag": stored.etag}
        if call.method == "HEAD":
            return Answer(204, headers=headers)
        rendered = kind.render(connection, [stored])[0]
        if "$expand" in call.query:
            words = call.query["$expand"].replace(" ", "").lower().split(",")
            rendered = kind.expand(connection, rendered, stored, frozenset(words))
        return Answer(200, rendered, headers)

    def collection(
        self, connection: Connection, call: Call, kind: ResourceType, reference: Reference
    ) -> Answer:
        """Answer 200 with a page of the resources of a type in a group, a subscription, or below a parent."""
        own = reference.id
        # An extension is listed below its resource, and for whole groups and subscriptions too.
        across = kind.kind is Kind.TRACKED or (kind.listed_across and not arm_id.parse(own.parent).namespace)
        scope = own.parent if across else reference.parent
        within = self.access.visible(connection, call.caller, kind.action("read"), scope)
        check_group(connection, reference, to_write=False)
        check_parent(connection, reference, "read")
        query = Query(
            subscription_id=own.subscription.lower(),
            type_key=kind.key,
            group_key=own.group.lower() if across else "",
            parent_key="" if across else reference.parent_key,
            within=within,
        )
        return self.of_kind(connection, call, kind, query)

    def everything(self, connection: Connection, call: Call, scope: str, query: Query) -> Answer:
        """Answer 200 with a page of the tracked resources of a subscription or a group, of all types."""
        action = "Microsoft.Resources/subscriptions/resources/read"
        query = replace(
            query, within=self.access.visible(connection, call.caller, action, scope), tracked=True
        )
        query = restrict(
            query,
            call.query.get("$filter", ""),
            lambda principal_id: _owner(connection, principal_id),
        )
        expand = frozenset(call.query.get("$expand", "").replace(" ", "").lower().split(","))
        rows, link = self._page(connection, call, query, _SUMMARIZED)
        return paging.page([_summary(row, expand) for row in rows], link)

    def of_kind(self, connection: Connection, call: Call, kind: ResourceType, query: Query) -> Answer:
        """Answer 200 with the page that the call asks for, of resources of one type."""
        if kind.keeps_shown:
            rows, link = self._page(connection, call, query, shown.COLUMNS)
            return paging.joined(shown.page(kind, connection, rows), link)
        rows, link = self._page(connection, call, query, ("key", "document"))
        return paging.joined(",".join([row[1] for row in rows]).encode(), link)

    def pages(self, connection: Connection, call: Call, query: Query, render: _Render) -> Answer:
        """Answer 200 with the page that the call asks for, of what ``render`` makes of whole rows."""
        rows, link = self._page(connection, call, query, Stored._fields)
        return paging.page(render([Stored._make(row) for row in rows]), link)

    def _page(
        self, connection: Connection, call: Call, query: Query, columns: tuple[str, ...]
    ) -> tuple[list[Any], str]:
        """Return the rows of a page and the link to the next one; the first column is the key."""
        limit = paging.size(call.query)
        query = replace(query, after=paging.after(call.query), limit=limit + 1)
        rows = queries.rows(connection, columns, query)
        if len(rows) <= limit:
            return rows, ""
        del rows[limit:]
        return rows, paging.next_link(call, self.base, rows[-1][0])
