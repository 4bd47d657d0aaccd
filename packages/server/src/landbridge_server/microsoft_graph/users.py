"""``users``: people who sign in."""

from __future__ import annotations

from typing import Any

import msgspec

from landbridge_server.identity import directory
from landbridge_server.microsoft_graph import objects, permissions, properties, shapes, strength
from landbridge_server.microsoft_graph.errors import GraphError, bad, denied
from landbridge_server.microsoft_graph.kind import Kind
from landbridge_server.microsoft_graph.last_admins import refuse_last
from landbridge_server.microsoft_graph.narrowing import Fields, flag, text
from landbridge_server.microsoft_graph.properties import FLAG, OBJECT, TEXT, TEXTS
from landbridge_server.microsoft_graph.request import DONE, GUID, Reply, Request, Target
from landbridge_server.microsoft_graph.shapes import USER_DEFAULT, USER_TEXTS, Shown
from landbridge_server.store import directory_lists, guests, principals, role_assignments, tenants
from landbridge_server.store.conditions import Condition
from landbridge_server.store.database import Connection
from landbridge_server.store.directory_lists import Place
from landbridge_server.store.principals import USER, Principal
from landbridge_server.store.tenants import Tenant

PASSWORD = "passwordProfile"  # noqa: S105
_KNOWN = {
    "displayName": TEXT,
    "userPrincipalName": TEXT,
    "accountEnabled": FLAG,
    "userType": TEXT,
    PASSWORD: OBJECT,
    "businessPhones": TEXTS,
    "otherMails": TEXTS,
    **dict.fromkeys(USER_TEXTS, TEXT),
}
_COLUMNS = ("displayName", "userPrincipalName", "accountEnabled", "userType", PASSWORD)
_CHANGES = ("forceChangePasswordNextSignIn", "forceChangePasswordNextSignInWithMfa")


class Users(Kind[Principal]):
    """``users``, by object id or user principal name."""

    name = "users"
    type_name = "User"
    odata_type = "#microsoft.graph.user"
    default = USER_DEFAULT
    fields = Fields(
        "User",
        equal={
            "id": text("object_id"),
            "displayname": text("name_key"),
            "userprincipalname": text("user_name_key"),
            "accountenabled": flag("enabled"),
        },
        begin={"displayname": "name_key", "userprincipalname": "user_name_key"},
    )

    def find(self, connection: Connection, tenant_id: str, target: Target) -> Principal | None:
        """Return the user of this object id or user principal name."""
        if target.key_name not in ("", "id", "userprincipalname"):
            raise bad(f"A user has no key '{target.key_name}'.")
        if GUID.fullmatch(target.key):
            found = principals.get(connection, target.key.lower())
        else:
            found = principals.by_user_name(connection, target.key)
        known = found is not None and found.kind == USER and objects.belongs(connection, found, tenant_id)
        return found if known else None

    def show(self, connection: Connection, row: Principal, tenant_id: str) -> Shown:
        """Return a user with everything that can be selected; one of another tenant is a guest."""
        return shapes.user(connection, row, guest=row.tenant_id != tenant_id)

    def page(
        self, connection: Connection, tenant_id: str, condition: Condition, after: Place, limit: int
    ) -> list[Principal]:
        """Return a page of users and guests."""
        own = directory_lists.principals_page(connection, tenant_id, (USER,), condition, after, limit)
        guests = directory_lists.guests_page(connection, tenant_id, condition, after, limit)
        return sorted(own + guests, key=lambda one: (one.display_name.lower(), one.object_id))[:limit]

    def count(self, connection: Connection, tenant_id: str, condition: Condition) -> int:
        """Count users and guests."""
        own = directory_lists.count_principals(connection, tenant_id, (USER,), condition)
        return own + directory_lists.count_guests(connection, tenant_id, condition)

    def check_password_change(self, connection: Connection, request: Request) -> None:
        """Return if the caller may do what a request with a password asks for; nothing is changed.

        Asked before the password is hashed, which is dear on purpose.
        """
        if request.target.key:
            self._changeable(connection, request)
        else:
            permissions.require_role(connection, request.caller, permissions.USERS)
        _password(properties.checked(self.type_name, _KNOWN, request.body), request)

    def create(self, connection: Connection, request: Request) -> Reply:
        """Make a user, who can sign in at once."""
        caller = request.caller
        permissions.require_role(connection, caller, permissions.USERS)
        given = properties.checked(self.type_name, _KNOWN, request.body)
        names = ("accountEnabled", "displayName", "mailNickname", PASSWORD, "userPrincipalName")
        properties.required(self.type_name, given, *names)
        _password(given, request)
        _check_type(given)
        home = _home(connection, caller.tenant_id)
        user_name = given["userPrincipalName"]
        _check_user_name(connection, home, user_name)
        row = directory.add_user(
            connection, home, user_name, given["displayName"], request.verifier, request.now
        )
        if not given["accountEnabled"]:
            principals.set_enabled(connection, row.object_id, False)
            row = row._replace(enabled=False)
        _keep(connection, row.object_id, {}, given)
        shown = {
            name: value
            for name, value in self.show(connection, row, row.tenant_id).items()
            if name in USER_DEFAULT
        }
        return Reply(self.entity(request, shown), 201)

    def change(self, connection: Connection, request: Request) -> Reply:
        """Change a user; a new password and a disabled account end what is signed in."""
        row = self._changeable(connection, request)
        given = properties.checked(self.type_name, _KNOWN, request.body)
        _check_type(given)
        for name in ("displayName", "userPrincipalName", "accountEnabled", "mailNickname"):
            if name in given and given[name] in (None, ""):
                raise bad(f"Invalid value specified for property '{name}' of resource 'User'.")
        changed = _renamed(connection, row, given)
        if changed != row:
            principals.change(connection, changed)
        if given.get("accountEnabled", row.enabled) != row.enabled:
            if row.enabled:
                refuse_last(connection, row.tenant_id, row.object_id)
            directory.set_enabled(connection, row.object_id, given["accountEnabled"], request.now)
        if _password(given, request):
            directory.set_password(connection, changed, request.verifier, request.now)
        kept = msgspec.json.decode(principals.details(connection, row.object_id))
        _keep(connection, row.object_id, kept, given)
        return DONE

    def delete(self, connection: Connection, request: Request) -> Reply:
        """Remove a user at once, with all roles: there is no bin from which one could come back.

        A guest is turned out: with all that it is in this tenant, and nothing else.
        """
        row = self._manageable(connection, request)
        refuse_last(connection, request.caller.tenant_id, row.object_id)
        if row.tenant_id != request.caller.tenant_id:
            guests.remove(connection, request.caller.tenant_id, row.object_id)
            return DONE
        role_assignments.remove_of_principal(connection, row.object_id)
        directory.delete_principal(connection, row.object_id)
        return DONE

    def _changeable(self, connection: Connection, request: Request) -> Principal:
        row = self._manageable(connection, request)
        if row.tenant_id != request.caller.tenant_id:
            raise denied("a guest", "It is a guest: its own tenant can change it, and this one turn it out.")
        return row

    def _manageable(self, connection: Connection, request: Request) -> Principal:
        permissions.require_role(connection, request.caller, permissions.USERS)
        row = self.needed(connection, request)
        strength.refuse_stronger(connection, request.caller, row.object_id)
        return row


def _home(connection: Connection, tenant_id: str) -> Tenant:
    home = tenants.named(connection, tenant_id)
    if home is None:
        raise bad("The tenant of the caller does not exist.")
    return home


def _check_user_name(connection: Connection, home: Tenant, user_name: str) -> None:
    try:
        directory.check_user_name(connection, home, user_name)
    except directory.ForeignDomain as error:
        raise bad(
            "The domain portion of the userPrincipalName property is invalid. You must use one of the "
            f"verified domain names in your organization: '{home.default_domain}'."
        ) from error
    except directory.TakenName as error:
        raise bad(
            "Another object with the same value for property userPrincipalName already exists."
        ) from error


def _renamed(connection: Connection, row: Principal, given: dict[str, Any]) -> Principal:
    """Return a user with the names that a body gives."""
    user_name = str(given.get("userPrincipalName", row.user_name))
    if user_name.lower() != row.user_name_key:
        _check_user_name(connection, _home(connection, row.tenant_id), user_name)
    name = directory.checked_name(given.get("displayName", row.display_name))
    return row._replace(display_name=name, user_name=user_name, user_name_key=user_name.lower())


def _check_type(given: dict[str, Any]) -> None:
    if given.get("userType", "Member") != "Member":
        raise bad(
            "Only members are made here: 'landbridge tenant add-guest' makes guests of users elsewhere."
        )


def _password(given: dict[str, Any], request: Request) -> bool:
    """Say whether a body sets a password.

    Raises:
        GraphError: Request_BadRequest; the profile holds something else, or asks for more.
    """
    profile = given.get(PASSWORD)
    if profile is None:
        return False
    unknown = [name for name in profile if name not in ("password", *_CHANGES) and "@" not in name]
    if unknown:
        raise bad(f"Invalid property '{unknown[0][:100]}' in 'passwordProfile'.")
    if any(profile.get(name) for name in _CHANGES):
        raise bad(
            "This cloud cannot have a user change the password at the next sign-in: leave "
            "'forceChangePasswordNextSignIn' out or false."
        )
    if "password" in profile and not isinstance(profile["password"], str):
        raise bad("Invalid value specified for property 'password' of resource 'User'.")
    if "password" not in profile and not request.target.key:
        raise bad("A value is required for property 'password' of resource 'User'.")
    return "password" in profile


def weak_password() -> GraphError:
    """Return the refusal of a password that cannot be used."""
    return bad(
        "The specified password does not comply with password complexity requirements. "
        "Please provide a different password: of 8 to 256 characters."
    )


def _keep(connection: Connection, object_id: str, old: dict[str, Any], given: dict[str, Any]) -> None:
    rest = {name: value for name, value in given.items() if name not in _COLUMNS}
    if rest:
        document = msgspec.json.encode(properties.merged(old, rest)).decode()
        principals.set_details(connection, object_id, document)
