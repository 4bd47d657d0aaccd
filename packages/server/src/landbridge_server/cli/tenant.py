"""Create and list tenants. A tenant goes by its id or its domain in every sign-in address."""

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
from landbridge_server.identity.bootstrap import create_tenant
from landbridge_server.identity.directory import DirectoryError
from landbridge_server.store import tenants

EXAMPLES = """examples:
  landbridge tenant create fabrikam.example --display-name Fabrikam
  landbridge tenant list -o json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``create`` and ``list``."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    create = add_action(actions, "create", "create a tenant", EXAMPLES)
    create.add_argument("domain", metavar="DOMAIN", help="its domain, such as fabrikam.example")
    create.add_argument("--display-name", default="", metavar="TEXT", help="default: the domain")
    for action in (create, add_action(actions, "list", "list tenants", EXAMPLES)):
        add_data(action)
        add_store(action)
        add_output(action)


def run(options: argparse.Namespace) -> int:
    """Create one tenant, or list all."""
    with opened_store(options) as db:
        if options.action == "create":
            now = time.time()  # noqa: TID251 - this command is a main()
            try:
                with db.writing() as connection:
                    found = [create_tenant(connection, options.domain, options.display_name, now)]
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
