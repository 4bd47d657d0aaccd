"""Join codes: one machine connects with each, once, without an account on it."""

from __future__ import annotations

import argparse
import json
import re
import time

from landbridge_server.arm import roles
from landbridge_server.arm.grants import grant
from landbridge_server.cli import started
from landbridge_server.cli.arguments import (
    CommandError,
    add_action,
    add_data,
    add_output,
    add_store,
    opened_store,
    show_one,
)
from landbridge_server.cli.operator_notes import noted
from landbridge_server.identity import join_codes
from landbridge_server.identity.tenancy import home_tenant
from landbridge_server.portal.installing import SCRIPT
from landbridge_server.store import resources, subscriptions
from landbridge_server.store.database import Connection

EXAMPLES = """examples:
  landbridge join-code create --resource-group servers
  landbridge join-code create --resource-group web --location west --expires 30m
  landbridge join-code create --resource-group web --role Contributor -o json
"""

ONBOARDING = "Azure Connected Machine Onboarding"
_UNITS = {"m": 60.0, "h": 3600.0, "d": 86400.0}
LONGEST = 30 * 86400.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``create``."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    create = add_action(actions, "create", "make a code and print the line to paste on the machine", EXAMPLES)
    create.add_argument("--resource-group", "-g", required=True, metavar="NAME", help="where machines go")
    create.add_argument("--subscription", metavar="ID", help="default: the first one")
    create.add_argument("--location", metavar="NAME", help="default: the resource group's")
    create.add_argument(
        "--role", default=ONBOARDING, help=f"what the code may do there (default: {ONBOARDING})"
    )
    create.add_argument(
        "--expires", type=lifetime, default="24h", metavar="TIME", help="30m, 24h, 7d (default: 24h)"
    )
    add_data(create)
    add_store(create)
    add_output(create)


def lifetime(text: str) -> float:
    """Read a time such as ``24h`` as seconds.

    Raises:
        argparse.ArgumentTypeError: it is none, or more than thirty days.
    """
    found = re.fullmatch(r"([1-9][0-9]{0,4})([mhd])", text)
    seconds = int(found[1]) * _UNITS[found[2]] if found else 0.0
    if not 0 < seconds <= LONGEST:
        raise argparse.ArgumentTypeError(f"'{text}' is not a time such as 30m, 24h or 7d, up to 30d")
    return seconds


def run(options: argparse.Namespace) -> int:
    """Make a code."""
    now = time.time()  # noqa: TID251 - this command is a main()
    with opened_store(options) as db, db.writing() as connection:
        row = _create(connection, options, now)
        place = {"resourceGroup": options.resource_group, "role": options.role, "expires": row["expires"]}
        noted(connection, options, "joinCodes/create", options.resource_group, home_tenant(connection), place)
    row |= _line(options, row["joinCode"])
    if options.output == "json":
        show_one(row, options.output)
    else:
        print(
            f"Paste this on the machine, as root, before {row['expires']}; it works once:\n\n{row['paste']}"
        )
    return 0


def _create(connection: Connection, options: argparse.Namespace, now: float) -> dict[str, str]:
    tenant = home_tenant(connection)
    known = subscriptions.of_tenant(connection, tenant)
    subscription = (options.subscription or (known[0].subscription_id if known else "")).lower()
    if subscription not in {one.subscription_id for one in known}:
        raise CommandError(f"There is no subscription '{subscription}': see landbridge subscription list.")
    scope = f"/subscriptions/{subscription}/resourceGroups/{options.resource_group}"
    group = resources.get(connection, scope.lower())
    if group is None:
        raise CommandError(
            f"There is no resource group '{options.resource_group}': make it with "
            f"'az group create -n {options.resource_group} -l LOCATION'."
        )
    role = roles.named(options.role) or roles.by_guid(options.role)
    if role is None:
        raise CommandError(f"There is no role '{options.role}'.")
    place = {
        "subscriptionId": subscription,
        "resourceGroup": options.resource_group,
        "location": options.location or group.location,
    }
    made = join_codes.create(connection, tenant, place, options.expires, now)
    grant(
        connection,
        tenant_id=tenant,
        principal_id=made.principal.object_id,
        principal_type="ServicePrincipal",
        role=role,
        scope=group.resource_id,
        now=now,
    )
    ends = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(now + options.expires))
    return {"joinCode": made.text, "expires": ends, "role": role.name, **place}


def _line(options: argparse.Namespace, code: str) -> dict[str, str]:
    """Return the line to paste: it brings the root certificate along, so that nothing is taken on trust.

    The code goes in the environment: arguments are there for everybody on the machine to read. With
    a server certificate of one's own, the machine must trust that already.
    """
    try:
        url = json.loads((options.data / "admin.json").read_text())["resourceManager"]
        root = (options.data / "ca" / "root.pem").read_text().strip()
    except (OSError, ValueError, KeyError):
        return {"paste": f"azcmagent connect --join-code {code}"}
    install = f"LANDBRIDGE_JOIN_CODE={code} sh"
    if "--tls-cert" in started.command(options.data):
        return {"paste": f"curl -fsS {url}/{SCRIPT} | {install}"}
    return {"paste": f'curl -fsS --cacert /dev/fd/3 {url}/{SCRIPT} 3<<"END" | {install}\n{root}\nEND'}
