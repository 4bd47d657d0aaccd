"""Create and list tenants. A tenant goes by its id or its domain in every sign-in address."""

from __future__ import annotations

import argparse
import re
import time
import uuid

from landbridge_server.cli.arguments import CommandError, add_data, add_output, opened_store, show
from landbridge_server.identity.tenancy import RESERVED
from landbridge_server.store import tenants

EXAMPLES = """examples:
  landbridge tenant create fabrikam.example --display-name Fabrikam
  landbridge tenant list -o json
"""

_DOMAIN = re.compile(
    r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``create`` and ``list``."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    create = actions.add_parser("create", help="create a tenant")
    create.add_argument("domain", metavar="DOMAIN", help="its domain, such as fabrikam.example")
    create.add_argument("--display-name", default="", metavar="TEXT", help="default: the domain")
    for action in (create, actions.add_parser("list", help="list tenants")):
        add_data(action)
        add_output(action)


def run(options: argparse.Namespace) -> int:
    """Create one tenant, or list all."""
    with opened_store(options.data) as db:
        if options.action == "create":
            with db.writing() as connection:
                tenants.add(connection, _new(options, tenants.everyone(connection)))
        with db.reading() as connection:
            found = tenants.everyone(connection)
    if options.action == "create":
        found = [tenant for tenant in found if tenant.default_domain == options.domain.lower()]
    rows = [
        {"tenantId": one.tenant_id, "domain": one.default_domain, "displayName": one.display_name}
        for one in found
    ]
    show(rows, options.output)
    return 0


def _new(options: argparse.Namespace, existing: list[tenants.Tenant]) -> tenants.Tenant:
    domain = options.domain.lower()
    if not _DOMAIN.fullmatch(domain) or domain in RESERVED:
        raise CommandError(f"'{options.domain}' is not a domain such as fabrikam.example.")
    if any(one.default_domain.lower() == domain for one in existing):
        raise CommandError(f"There is a tenant with the domain '{domain}' already.")
    now = time.time()  # noqa: TID251 - this command is a main()
    return tenants.Tenant(str(uuid.uuid4()), options.display_name or domain, domain, now)
