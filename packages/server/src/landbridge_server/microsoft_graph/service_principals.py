"""``servicePrincipals``: the programs that sign in, and the managed identities of machines."""

from __future__ import annotations

import msgspec

from landbridge_server.identity import directory
from landbridge_server.microsoft_graph import credentials, links, permissions, properties, shapes, strength
from landbridge_server.microsoft_graph.errors import GraphError, bad
from landbridge_server.microsoft_graph.kind import Kind
from landbridge_server.microsoft_graph.last_admins import refuse_last
from landbridge_server.microsoft_graph.narrowing import Fields, app_or_uri, flag, text
from landbridge_server.microsoft_graph.properties import FLAG, OBJECTS, TEXT, TEXTS
from landbridge_server.microsoft_graph.request import DONE, GUID, Reply, Request, Target, object_id
from landbridge_server.microsoft_graph.shapes import Shown
from landbridge_server.store import applications, directory_lists, owners, principals, role_assignments
from landbridge_server.store.conditions import Always, Condition, Is
from landbridge_server.store.database import Connection
from landbridge_server.store.directory_lists import Place
from landbridge_server.store.principals import MANAGED_IDENTITY, SERVICE_PRINCIPAL, USER, Principal

KEYS = "keyCredentials"
KINDS = (SERVICE_PRINCIPAL, MANAGED_IDENTITY)
_TYPES = {"application": SERVICE_PRINCIPAL, "managedidentity": MANAGED_IDENTITY}
_KNOWN = {
    "appId": TEXT,
    "displayName": TEXT,
    "accountEnabled": FLAG,
    KEYS: OBJECTS,
    "alternativeNames": TEXTS,
    "appRoleAssignmentRequired": FLAG,
    "description": TEXT,
    "homepage": TEXT,
    "loginUrl": TEXT,
    "logoutUrl": TEXT,
    "notes": TEXT,
    "notificationEmailAddresses": TEXTS,
    "preferredSingleSignOnMode": TEXT,
    "tags": TEXTS,
}
_COLUMNS = ("appId", "displayName", "accountEnabled", KEYS)


def _type(value: object) -> Condition:
    kind = _TYPES.get(value.lower()) if isinstance(value, str) else None
    return Is("kind", kind) if kind else Always(False)


class ServicePrincipals(Kind[Principal]):
    """``servicePrincipals``, by object id or ``appId``."""

    name = "servicePrincipals"
    type_name = "ServicePrincipal"
    odata_type = "#microsoft.graph.servicePrincipal"
    fields = Fields(
        "ServicePrincipal",
        equal={
            "id": text("object_id"),
            "appid": text("app_id"),
            "displayname": text("name_key"),
            "accountenabled": flag("enabled"),
            "serviceprincipaltype": _type,
        },
        begin={"displayname": "name_key"},
        any_={"serviceprincipalnames": app_or_uri},
    )

    def find(self, connection: Connection, tenant_id: str, target: Target) -> Principal | None:
        """Return the service principal of this object id or application id."""
        key = object_id(target.key)
        if target.key_name not in ("", "id", "appid"):
            raise bad(f"A service principal has no key '{target.key_name}'.")
        by_app_id = target.key_name == "appid"
        found = (principals.by_app_id if by_app_id else principals.get)(connection, key)
        return found if found is not None and found.kind != USER and found.tenant_id == tenant_id else None

    def show(self, connection: Connection, row: Principal, tenant_id: str) -> Shown:
        """Return a service principal."""
        return shapes.service_principal(connection, row)

    def page(
        self, connection: Connection, tenant_id: str, condition: Condition, after: Place, limit: int
    ) -> list[Principal]:
        """Return a page of service principals and managed identities."""
        return directory_lists.principals_page(connection, tenant_id, KINDS, condition, after, limit)

    def count(self, connection: Connection, tenant_id: str, condition: Condition) -> int:
        """Count service principals and managed identities."""
        return directory_lists.count_principals(connection, tenant_id, KINDS, condition)

    def create(self, connection: Connection, request: Request) -> Reply:
        """Make the service principal of an application; owners of the application may, too."""
        caller = request.caller
        given = properties.checked(self.type_name, _KNOWN, request.body)
        properties.required(self.type_name, given, "appId")
        app_id = given["appId"]
        backing = applications.by_app_id(connection, app_id) if GUID.fullmatch(app_id) else None
        if backing is not None and backing.tenant_id != caller.tenant_id:
            backing = None
        owned_id = backing.object_id if backing is not None else ""
        permissions.require_managing(connection, caller, permissions.APPLICATIONS, owned_id)
        if backing is None:
            raise GraphError(
                "NoBackingApplicationObject",
                f"The appId '{app_id[:100]}' of the service principal does not reference a valid "
                "application object.",
            )
        if principals.by_app_id(connection, app_id) is not None:
            raise GraphError(
                "Request_MultipleObjectsWithSameKeyValue",
                "The service principal cannot be created, updated, or restored because the service "
                f"principal name {app_id.lower()} is already in use.",
            )
        row = directory.instantiate(connection, backing, request.now)
        self._apply(connection, row, given, request)
        if caller.kind == USER:
            owners.add(connection, row.object_id, caller.object_id)
        row = principals.get(connection, row.object_id) or row
        return Reply(self.entity(request, self.show(connection, row, row.tenant_id)), 201)

    def change(self, connection: Connection, request: Request) -> Reply:
        """Change a service principal; one that is disabled is out at once."""
        row = self.managed(connection, request)
        given = properties.checked(self.type_name, _KNOWN, request.body)
        if given.get("appId", row.app_id) != row.app_id:
            raise bad("Property 'appId' is read-only and cannot be set.")
        if given.get("displayName", row.display_name) != row.display_name:
            raise bad("The name of a service principal is its application's: change it there.")
        if given.get(KEYS) is not None and credentials.adds_keys(connection, row.object_id, given[KEYS]):
            strength.refuse_stronger(connection, request.caller, row.object_id)
        self._apply(connection, row, given, request)
        return DONE

    def _apply(
        self, connection: Connection, row: Principal, given: dict[str, object], request: Request
    ) -> None:
        enabled = given.get("accountEnabled", row.enabled)
        if not isinstance(enabled, bool):
            raise bad("Invalid value specified for property 'accountEnabled' of resource 'ServicePrincipal'.")
        if enabled != row.enabled:
            if row.enabled:
                refuse_last(connection, row.tenant_id, row.object_id)
            directory.set_enabled(connection, row.object_id, enabled, request.now)
        if given.get(KEYS) is not None:
            credentials.set_keys(connection, row.object_id, given[KEYS], request.now)
        rest = {name: value for name, value in given.items() if name not in _COLUMNS}
        if rest:
            kept = msgspec.json.decode(principals.details(connection, row.object_id))
            document = msgspec.json.encode(properties.merged(kept, rest)).decode()
            principals.set_details(connection, row.object_id, document)

    def delete(self, connection: Connection, request: Request) -> Reply:
        """Remove a service principal at once, with all its roles; its application stays."""
        row = self.managed(connection, request)
        refuse_last(connection, row.tenant_id, row.object_id)
        role_assignments.remove_of_principal(connection, row.object_id)
        directory.delete_principal(connection, row.object_id)
        return DONE

    def managed(self, connection: Connection, request: Request) -> Principal:
        """Return the service principal that the path names, which the caller may change."""
        caller = request.caller
        row = self.find(connection, caller.tenant_id, request.target)
        own = row.object_id if row is not None else ""
        permissions.require_managing(connection, caller, permissions.APPLICATIONS, own)
        row = self.needed(connection, request)
        links.unmanaged(row)
        permissions.require_managing_principal(connection, caller, permissions.APPLICATIONS, own, own)
        return row

    def refuse_stronger(self, connection: Connection, request: Request, row: Principal) -> None:
        """Return if the caller holds as much as the service principal."""
        strength.refuse_stronger(connection, request.caller, row.object_id)
