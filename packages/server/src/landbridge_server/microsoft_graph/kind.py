"""What the kinds of objects have in common: to be listed, read, made, changed and removed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from landbridge_server.identity.caller import Caller
from landbridge_server.microsoft_graph import odata_filter, paging, permissions
from landbridge_server.microsoft_graph.errors import denied, not_found
from landbridge_server.microsoft_graph.narrowing import Fields
from landbridge_server.microsoft_graph.request import Reply, Request, Target
from landbridge_server.microsoft_graph.shapes import Shown
from landbridge_server.store.applications import Application
from landbridge_server.store.conditions import Always, Condition
from landbridge_server.store.database import Connection
from landbridge_server.store.directory_lists import Place
from landbridge_server.store.groups import Group
from landbridge_server.store.principals import Principal

R = TypeVar("R", Principal, Group, Application)


class Kind(ABC, Generic[R]):
    """A collection of the API, such as ``users``."""

    name: str
    """The collection's name, as it is spelled."""
    type_name: str
    """How error texts call one of them."""
    odata_type: str
    default: Sequence[str] = ()
    """What is shown where nothing is selected; empty: everything."""
    fields: Fields

    @abstractmethod
    def find(self, connection: Connection, tenant_id: str, target: Target) -> R | None:
        """Return the object of a tenant that a path names, or None.

        Raises:
            GraphError: Request_BadRequest; the key is malformed.
        """

    @abstractmethod
    def show(self, connection: Connection, row: R, tenant_id: str) -> Shown:
        """Return an object with everything that can be selected, as a tenant sees it."""

    @abstractmethod
    def page(
        self, connection: Connection, tenant_id: str, condition: Condition, after: Place, limit: int
    ) -> list[R]:
        """Return up to ``limit`` objects of a tenant, by name, those after a place."""

    @abstractmethod
    def count(self, connection: Connection, tenant_id: str, condition: Condition) -> int:
        """Count the objects of a tenant for which a condition holds."""

    @abstractmethod
    def create(self, connection: Connection, request: Request) -> Reply:
        """Make one."""

    @abstractmethod
    def change(self, connection: Connection, request: Request) -> Reply:
        """Change one (PATCH)."""

    @abstractmethod
    def delete(self, connection: Connection, request: Request) -> Reply:
        """Remove one."""

    def is_of(self, caller: Caller, row: R) -> bool:
        """Say whether an object is the caller itself, as one that may not read others sees it."""
        return row.object_id == caller.object_id

    def listed(self, connection: Connection, request: Request) -> Reply:
        """Answer a list."""
        permissions.require_reading(connection, request.caller)
        paging.check_options(request.query)
        tenant, condition = request.caller.tenant_id, self._condition(request)
        size = paging.size(request.query)
        name_key, object_id = paging.after(request.query, 2)
        rows = self.page(connection, tenant, condition, (name_key, object_id), size + 1)
        found: dict[str, Any] = {"@odata.context": f"{request.base}/$metadata#{self.name}"}
        if request.query.get("$count", "").lower() == "true":
            found["@odata.count"] = self.count(connection, tenant, condition)
        if len(rows) > size:
            last = rows[size - 1]
            found["@odata.nextLink"] = paging.next_link(request, (last.display_name.lower(), last.object_id))
        found["value"] = [
            paging.selected(self.show(connection, row, tenant), request.query, self.default)
            for row in rows[:size]
        ]
        return Reply(found)

    def counted(self, connection: Connection, request: Request) -> Reply:
        """Answer how many there are, as a plain number."""
        permissions.require_reading(connection, request.caller)
        paging.check_options(request.query, ("$filter",))
        return Reply(text=str(self.count(connection, request.caller.tenant_id, self._condition(request))))

    def _condition(self, request: Request) -> Condition:
        text = request.query.get("$filter", "").strip()
        return self.fields.condition(odata_filter.parse(text)) if text else Always()

    def get(self, connection: Connection, request: Request) -> Reply:
        """Answer one object."""
        paging.check_options(request.query, ("$select", "$format"))
        row = self.readable(connection, request)
        full = self.show(connection, row, request.caller.tenant_id)
        shown = paging.selected(full, request.query, self.default)
        return Reply(self.entity(request, shown))

    def entity(self, request: Request, shown: Shown) -> Shown:
        """Return an object with the annotation that one alone has."""
        return {"@odata.context": f"{request.base}/$metadata#{self.name}/$entity", **shown}

    def needed(self, connection: Connection, request: Request) -> R:
        """Return the object that the path names.

        Raises:
            GraphError: Request_ResourceNotFound, Request_BadRequest.
        """
        row = self.find(connection, request.caller.tenant_id, request.target)
        if row is None:
            raise not_found(request.target.key)
        return row

    def readable(self, connection: Connection, request: Request) -> R:
        """Return the object that the path names, if the caller may read it.

        Whoever may not read others is not told whether they exist.

        Raises:
            GraphError: Authorization_RequestDenied, Request_ResourceNotFound, Request_BadRequest.
        """
        if permissions.reads_all(connection, request.caller):
            return self.needed(connection, request)
        row = self.find(connection, request.caller.tenant_id, request.target)
        if row is None or not self._own(connection, request.caller, row):
            raise denied("a service principal without a role of the directory reads only what is its own")
        return row

    def _own(self, connection: Connection, caller: Caller, row: R) -> bool:
        return self.is_of(caller, row) or permissions.owns(connection, caller, row.object_id)
