"""``applications``: what service principals are instances of."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from landbridge_server.identity import directory
from landbridge_server.identity.caller import Caller
from landbridge_server.microsoft_graph import credentials, links, permissions, properties, shapes, strength
from landbridge_server.microsoft_graph.errors import bad
from landbridge_server.microsoft_graph.kind import Kind
from landbridge_server.microsoft_graph.last_admins import refuse_last
from landbridge_server.microsoft_graph.narrowing import Fields, text
from landbridge_server.microsoft_graph.properties import FLAG, OBJECT, OBJECTS, TEXT, TEXTS
from landbridge_server.microsoft_graph.request import DONE, Reply, Request, Target, object_id
from landbridge_server.microsoft_graph.shapes import Shown
from landbridge_server.store import applications, directory_lists, owners, principals, role_assignments
from landbridge_server.store.applications import Application
from landbridge_server.store.conditions import Condition, HasUri
from landbridge_server.store.database import Connection
from landbridge_server.store.directory_lists import Place
from landbridge_server.store.principals import USER

KEYS = "keyCredentials"
URIS = "identifierUris"
_KNOWN = {
    "displayName": TEXT,
    KEYS: OBJECTS,
    URIS: TEXTS,
    "api": OBJECT,
    "appRoles": OBJECTS,
    "description": TEXT,
    "groupMembershipClaims": TEXT,
    "info": OBJECT,
    "isFallbackPublicClient": FLAG,
    "notes": TEXT,
    "optionalClaims": OBJECT,
    "publicClient": OBJECT,
    "requiredResourceAccess": OBJECTS,
    "serviceManagementReference": TEXT,
    "signInAudience": TEXT,
    "spa": OBJECT,
    "tags": TEXTS,
    "web": OBJECT,
}
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[\x21-\x7e]{1,240}")


class Applications(Kind[Application]):
    """``applications``, by object id or ``appId``."""

    name = "applications"
    type_name = "Application"
    odata_type = "#microsoft.graph.application"
    fields = Fields(
        "Application",
        equal={
            "id": text("object_id"),
            "appid": text("app_id"),
            "displayname": text("name_key"),
        },
        begin={"displayname": "name_key"},
        any_={"identifieruris": HasUri},
    )

    def find(self, connection: Connection, tenant_id: str, target: Target) -> Application | None:
        """Return the application of this object id or application id."""
        key = object_id(target.key)
        if target.key_name not in ("", "id", "appid"):
            raise bad(f"An application has no key '{target.key_name}'.")
        by_app_id = target.key_name == "appid"
        found = (applications.by_app_id if by_app_id else applications.get)(connection, key)
        return found if found is not None and found.tenant_id == tenant_id else None

    def show(self, connection: Connection, row: Application, tenant_id: str) -> Shown:
        """Return an application."""
        return shapes.application(connection, row)

    def page(
        self, connection: Connection, tenant_id: str, condition: Condition, after: Place, limit: int
    ) -> list[Application]:
        """Return a page of applications."""
        return directory_lists.applications_page(connection, tenant_id, condition, after, limit)

    def count(self, connection: Connection, tenant_id: str, condition: Condition) -> int:
        """Count applications."""
        return directory_lists.count_applications(connection, tenant_id, condition)

    def is_of(self, caller: Caller, row: Application) -> bool:
        """Say whether it is the caller's own application."""
        return caller.kind != USER and row.app_id == caller.app_id

    def create(self, connection: Connection, request: Request) -> Reply:
        """Make an application; a person who makes one owns it."""
        caller = request.caller
        permissions.require_role(connection, caller, permissions.APPLICATIONS)
        given = properties.checked(self.type_name, _KNOWN, request.body)
        properties.required(self.type_name, given, "displayName")
        _check(given)
        document = _document({}, given)
        row = directory.create_application(
            connection, caller.tenant_id, given["displayName"], request.now, document
        )
        _set_uris(connection, row, given)
        if given.get(KEYS):
            credentials.set_keys(connection, row.object_id, given[KEYS], request.now)
        if caller.kind == USER:
            owners.add(connection, row.object_id, caller.object_id)
        return Reply(self.entity(request, self.show(connection, row, row.tenant_id)), 201)

    def change(self, connection: Connection, request: Request) -> Reply:
        """Change an application; its service principal takes its name."""
        row = self.managed(connection, request)
        given = properties.checked(self.type_name, _KNOWN, request.body)
        _check(given)
        if "displayName" in given and not given["displayName"]:
            raise bad("Invalid value specified for property 'displayName' of resource 'Application'.")
        if given.get(KEYS) is not None:
            if credentials.adds_keys(connection, row.object_id, given[KEYS]):
                self.refuse_stronger(connection, request, row)
            credentials.set_keys(connection, row.object_id, given[KEYS], request.now)
        name = directory.checked_name(given.get("displayName", row.display_name))
        document = _document(msgspec.json.decode(row.document), given)
        changed = row._replace(display_name=name, name_key=name.lower(), document=document)
        applications.replace(connection, changed)
        instance = principals.by_app_id(connection, row.app_id)
        if instance is not None and instance.display_name != name:
            principals.change(connection, instance._replace(display_name=name))
        _set_uris(connection, row, given)
        return DONE

    def delete(self, connection: Connection, request: Request) -> Reply:
        """Remove an application at once, with its service principal and all roles of that."""
        row = self.managed(connection, request)
        instance_of = principals.by_app_id(connection, row.app_id)
        if instance_of is not None:
            refuse_last(connection, instance_of.tenant_id, instance_of.object_id)
        instance = directory.delete_application(connection, row)
        if instance is not None:
            role_assignments.remove_of_principal(connection, instance)
        return DONE

    def managed(self, connection: Connection, request: Request) -> Application:
        """Return the application that the path names, which the caller may change."""
        caller = request.caller
        row = self.find(connection, caller.tenant_id, request.target)
        owned_id = row.object_id if row is not None else ""
        permissions.require_managing(connection, caller, permissions.APPLICATIONS, owned_id)
        row = self.needed(connection, request)
        permissions.require_managing_principal(
            connection,
            caller,
            permissions.APPLICATIONS,
            row.object_id,
            links.principal_of(connection, row),
        )
        return row

    def refuse_stronger(self, connection: Connection, request: Request, row: Application) -> None:
        """Return if the caller holds as much as whoever signs in with the application's credentials."""
        strength.refuse_stronger(connection, request.caller, links.principal_of(connection, row))


def _check(given: Mapping[str, Any]) -> None:
    if given.get("signInAudience") not in (None, "AzureADMyOrg"):
        raise bad(
            "Applications of this cloud are for their own tenant: 'signInAudience' can only be "
            "'AzureADMyOrg'."
        )
    for uri in given.get(URIS) or []:
        if not _URI.fullmatch(uri):
            raise bad(f"Invalid value specified for property 'identifierUris': '{uri[:100]}' is not a URI.")


def _document(old: dict[str, Any], given: Mapping[str, Any]) -> str:
    rest = {name: value for name, value in given.items() if name not in ("displayName", KEYS, URIS)}
    return msgspec.json.encode(properties.merged(old, rest)).decode()


def _set_uris(connection: Connection, row: Application, given: Mapping[str, Any]) -> None:
    if given.get(URIS) is None:
        return
    uris = list(dict.fromkeys(given[URIS]))
    for uri in uris:
        other = applications.owner_of_uri(connection, row.tenant_id, uri)
        if other not in (None, row.app_id):
            raise bad("Another object with the same value for property identifierUris already exists.")
    applications.set_uris(connection, row, uris)
