"""Create and list subscriptions."""

from __future__ import annotations

import argparse
import time
import uuid

from landbridge_server.arm.registrations import create_subscription
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
from landbridge_server.identity.tenancy import home_tenant
from landbridge_server.store import subscriptions, tenants
from landbridge_server.store.database import Connection
from landbridge_server.store.subscriptions import Subscription

EXAMPLES = """examples:
  landbridge subscription create Production
  landbridge subscription create Fabrikam --tenant fabrikam.example -o json
  landbridge subscription list
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``create`` and ``list``."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    create = add_action(actions, "create", "create a subscription", EXAMPLES)
    create.add_argument("name", metavar="NAME", help="display name")
    create.add_argument("--tenant", metavar="T", help="tenant id or domain (default: the first tenant)")
    for action in (create, add_action(actions, "list", "list subscriptions", EXAMPLES)):
        add_data(action)
        add_store(action)
        add_output(action)


def run(options: argparse.Namespace) -> int:
    """Create one, or list all."""
    with opened_store(options) as db, db.writing() as connection:
        if options.action == "create":
            found = [_create(connection, options)]
            made = found[0]
            noted(connection, options, "subscriptions/create", made.subscription_id, made.tenant_id)
        else:
            found = subscriptions.everyone(connection)
    rows = [
        {
            "subscriptionId": one.subscription_id,
            "displayName": one.display_name,
            "tenantId": one.tenant_id,
            "state": one.state,
        }
        for one in found
    ]
    if options.action == "create":
        show_one(rows[0], options.output)
    else:
        show(rows, options.output)
    return 0


def _create(connection: Connection, options: argparse.Namespace) -> Subscription:
    try:
        tenant = tenants.named(connection, options.tenant or home_tenant(connection))
    except LookupError as error:
        raise CommandError(str(error)) from error
    if tenant is None:
        raise CommandError(f"There is no tenant '{options.tenant}'.")
    name = options.name.strip()
    if not name or len(name) > 64 or not name.isprintable():
        raise CommandError("The name of a subscription has 1 to 64 printable characters.")
    now = time.time()  # noqa: TID251 - this command is a main()
    return create_subscription(connection, str(uuid.uuid4()), tenant.tenant_id, name, now)
