"""Tenants: create, list, guests, a second factor. One goes by its id or domain in every sign-in address."""

from __future__ import annotations

import argparse
import time

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
from landbridge_server.identity import guests, second_factor
from landbridge_server.identity.bootstrap import create_tenant
from landbridge_server.identity.directory import DirectoryError
from landbridge_server.store import tenants
from landbridge_server.store.database import Connection

EXAMPLES = """examples:
  landbridge tenant create fabrikam.example --display-name Fabrikam
  landbridge tenant list -o json
  landbridge tenant require-mfa fabrikam.example
  landbridge tenant require-mfa fabrikam.example --off
  landbridge tenant add-guest fabrikam.example anna@landbridge.local
  landbridge tenant remove-guest fabrikam.example anna@landbridge.local
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``create``, ``list``, ``require-mfa`` and what concerns guests."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    create = add_action(actions, "create", "create a tenant", EXAMPLES)
    create.add_argument("domain", metavar="DOMAIN", help="its domain, such as fabrikam.example")
    create.add_argument("--display-name", default="", metavar="TEXT", help="default: the domain")
    require = add_action(actions, "require-mfa", "demand a second factor of a tenant's users", EXAMPLES)
    require.add_argument("domain", metavar="TENANT", help="its id or domain")
    require.add_argument("--off", action="store_true", help="no longer")
    add = add_action(actions, "add-guest", "let a user of another tenant act in this one", EXAMPLES)
    remove = add_action(actions, "remove-guest", "no longer, and take its roles there away", EXAMPLES)
    for action in (add, remove):
        action.add_argument("domain", metavar="TENANT", help="its id or domain")
        action.add_argument("user_name", metavar="NAME@DOMAIN", help="a user of another tenant")
    for action in (create, require, add, remove, add_action(actions, "list", "list tenants", EXAMPLES)):
        add_data(action)
        add_store(action)
        add_output(action)


def run(options: argparse.Namespace) -> int:
    """Create one tenant, change something of it, or list all."""
    now = time.time()  # noqa: TID251 - this command is a main()
    with opened_store(options) as db:
        if options.action == "require-mfa":
            with db.writing() as connection:
                row = _require(connection, options, now)
                noted(
                    connection, options, "tenants/requireSecondFactor", row["tenantId"], row["tenantId"], row
                )
            show_one(row, options.output)
            return 0
        if options.action in ("add-guest", "remove-guest"):
            with db.writing() as connection:
                row = _guest(connection, options, now)
                what = "addGuest" if options.action == "add-guest" else "removeGuest"
                noted(connection, options, f"tenants/{what}", options.user_name, row["tenantId"], row)
            show_one(row, options.output)
            return 0
        if options.action == "create":
            try:
                with db.writing() as connection:
                    found = [create_tenant(connection, options.domain, options.display_name, now)]
                    made = found[0]
                    noted(connection, options, "tenants/create", made.default_domain, made.tenant_id)
            except DirectoryError as error:
                raise CommandError(str(error)) from error
        else:
            found = db.read(tenants.everyone)
    rows = [
        {"tenantId": one.tenant_id, "domain": one.default_domain, "displayName": one.display_name}
        for one in found
    ]
    if options.action == "create":
        show_one(rows[0], options.output)
    else:
        show(rows, options.output)
    return 0


def _guest(connection: Connection, options: argparse.Namespace, now: float) -> dict[str, str]:
    try:
        if options.action == "add-guest":
            tenant, user = guests.invite(connection, options.domain, options.user_name, now)
        else:
            tenant, user = guests.turn_out(connection, options.domain, options.user_name)
    except DirectoryError as error:
        raise CommandError(str(error)) from error
    state = "guest" if options.action == "add-guest" else "no guest"
    return {"tenantId": tenant.tenant_id, "objectId": user.object_id, "userName": user.label, "is": state}


def _require(connection: Connection, options: argparse.Namespace, now: float) -> dict[str, str]:
    found = tenants.named(connection, options.domain)
    if found is None:
        raise CommandError(f"There is no tenant '{options.domain}'. 'landbridge tenant list' shows all.")
    second_factor.require(connection, found.tenant_id, not options.off, now)
    return {"tenantId": found.tenant_id, "secondFactor": "not demanded" if options.off else "demanded"}
