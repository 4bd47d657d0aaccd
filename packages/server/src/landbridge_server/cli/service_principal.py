"""Service principals, their secrets and certificates. A secret is printed once and never kept."""

from __future__ import annotations

import argparse
import time

from landbridge_server.arm import roles
from landbridge_server.arm.grants import grant
from landbridge_server.cli import key_credentials
from landbridge_server.cli.arguments import (
    CommandError,
    add_action,
    add_data,
    add_output,
    add_store,
    opened_store,
    show,
    show_one,
)
from landbridge_server.cli.operator_notes import noted
from landbridge_server.identity import directory
from landbridge_server.identity.tenancy import home_tenant
from landbridge_server.store import applications, role_assignments, subscriptions, tenants
from landbridge_server.store.database import Connection
from landbridge_wire import arm_id

EXAMPLES = """examples:
  landbridge sp create --name onboarding --role "Azure Connected Machine Onboarding"
  landbridge sp create --name deploy --role Contributor --scope /subscriptions/ID/resourceGroups/web -o json
  landbridge sp list
  landbridge sp reset onboarding
  landbridge sp delete onboarding
  landbridge sp add-certificate onboarding --certificate onboarding.pem
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``create``, ``list``, ``reset``, ``delete`` and what concerns certificates."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    create = add_action(actions, "create", "create a service principal and print its secret once", EXAMPLES)
    create.add_argument("--name", required=True, help="display name")
    create.add_argument("--role", metavar="ROLE", help="name or id of a role to assign")
    create.add_argument("--scope", metavar="ID", help="scope of the role (default: the first subscription)")
    create.add_argument("--tenant", metavar="T", help="tenant id or domain (default: the first tenant)")
    listing = add_action(actions, "list", "list service principals", EXAMPLES)
    reset = add_action(actions, "reset", "replace all secrets by a new one, printed once", EXAMPLES)
    delete = add_action(actions, "delete", "delete a service principal with its roles", EXAMPLES)
    certificates = key_credentials.add_arguments(actions)
    for action in (reset, delete, *certificates):
        action.add_argument("name", metavar="NAME|ID", help="display name, application id or object id")
    for action in (create, listing, reset, delete, *certificates):
        add_data(action)
        add_store(action)
        add_output(action)


def run(options: argparse.Namespace) -> int:
    """Do what the action says."""
    own = {"create": _create, "list": _list, "reset": _reset, "delete": _delete}
    action = own.get(options.action, key_credentials.run)
    with opened_store(options) as db:
        try:
            with db.writing() as connection:
                rows = action(connection, options, time.time())  # noqa: TID251 - this command is a main()
                _note(connection, options, rows)
        except (directory.DirectoryError, LookupError) as error:
            raise CommandError(str(error)) from error
    if options.action in ("list", key_credentials.LIST):
        show(rows, options.output)
    else:
        show_one(rows[0], options.output)
    return 0


Rows = list[dict[str, str]]


def _create(connection: Connection, options: argparse.Namespace, now: float) -> Rows:
    role = roles.named(options.role) or roles.by_guid(options.role) if options.role else None
    if options.role and role is None:
        known = ", ".join(sorted(one.name for one in roles.BUILT_IN))
        raise CommandError(f"There is no role '{options.role}'. There are: {known}.")
    if options.scope and not options.role:
        raise CommandError("--scope needs --role.")
    if options.scope:
        _check_scope(connection, options.scope)
    tenant = tenants.named(connection, options.tenant or home_tenant(connection))
    if tenant is None:
        raise CommandError(f"There is no tenant '{options.tenant}'.")
    object_id, app_id, secret = directory.create_service_principal(
        connection, tenant.tenant_id, options.name, now
    )
    if role is not None:
        grant(
            connection,
            tenant_id=tenant.tenant_id,
            principal_id=object_id,
            principal_type="ServicePrincipal",
            role=role,
            scope=options.scope or _first_subscription(connection, tenant.tenant_id),
            now=now,
        )
    return [
        {
            "displayName": options.name,
            "clientId": app_id,
            "clientSecret": secret,
            "objectId": object_id,
            "tenantId": tenant.tenant_id,
        }
    ]


def _note(connection: Connection, options: argparse.Namespace, rows: Rows) -> None:
    """Note what was changed in the activity log, without the secret that was made."""
    if options.action in ("list", key_credentials.LIST):
        return
    shown = {name: text for name, text in rows[0].items() if name != "clientSecret"}
    if options.action == "create" and options.role:
        shown |= {"role": options.role, "scope": options.scope or "the first subscription"}
    tenant_id = rows[0].get("tenantId") or home_tenant(connection)
    target = rows[0].get("clientId") or options.name
    noted(connection, options, f"servicePrincipals/{options.action}", target, tenant_id, shown)


def _check_scope(connection: Connection, scope: str) -> None:
    """Refuse a scope that nothing can ever lie in: a typing error would give a role to nobody's use."""
    if scope == "/":
        return
    try:
        subscription = arm_id.parse(scope).subscription
    except ValueError as error:
        raise CommandError(f"--scope '{scope}' is not an id, such as /subscriptions/ID: {error}") from error
    if subscription.lower() not in {one.subscription_id for one in subscriptions.everyone(connection)}:
        raise CommandError(f"There is no subscription '{subscription}': see landbridge subscription list.")


def _first_subscription(connection: Connection, tenant_id: str) -> str:
    found = subscriptions.of_tenant(connection, tenant_id)
    if not found:
        raise CommandError("The tenant has no subscription: give --scope.")
    return f"/subscriptions/{found[0].subscription_id}"


def _list(connection: Connection, options: argparse.Namespace, now: float) -> Rows:
    return [
        {
            "displayName": one.display_name,
            "clientId": one.app_id or "",
            "objectId": one.object_id,
            "enabled": str(one.enabled).lower(),
        }
        for one in directory.list_service_principals(connection)
    ]


def _reset(connection: Connection, options: argparse.Namespace, now: float) -> Rows:
    found = directory.service_principal(connection, options.name)
    secret = directory.reset_secret(connection, found.object_id, now)
    return [{"displayName": found.display_name, "clientId": found.app_id or "", "clientSecret": secret}]


def _delete(connection: Connection, options: argparse.Namespace, now: float) -> Rows:
    found = directory.service_principal(connection, options.name)
    role_assignments.remove_of_principal(connection, found.object_id)
    application = applications.by_app_id(connection, found.app_id or "")
    if application is not None:
        directory.delete_application(connection, application)
    directory.delete_principal(connection, found.object_id)
    return [{"displayName": found.display_name, "deleted": found.object_id}]
