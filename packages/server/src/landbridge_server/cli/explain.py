"""Why somebody may, or may not, do something somewhere.

Looks into the store itself, so that it works while the control plane is down, too. The answer is
about roles: locks and what else keeps a request back are another matter.
"""

from __future__ import annotations

import argparse
import json

from landbridge_server.arm import explain
from landbridge_server.arm.access import Access
from landbridge_server.arm.explain import Explanation, Way
from landbridge_server.cli.arguments import CommandError, add_data, add_output, add_store, opened_store
from landbridge_server.identity.tenancy import home_tenant
from landbridge_server.store import holders
from landbridge_server.store.database import Connection
from landbridge_server.store.holders import Holder
from landbridge_wire import arm_id

EXAMPLES = """examples:
  landbridge explain --principal anna@landbridge.local --action Microsoft.HybridCompute/machines/read \\
    --scope /
  landbridge explain --principal onboarding --action Microsoft.HybridCompute/machines/delete \\
    --scope /subscriptions/SUBSCRIPTION/resourceGroups/servers -o json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the question."""
    add_data(parser)
    add_store(parser)
    add_output(parser)
    parser.add_argument(
        "--principal",
        required=True,
        metavar="P",
        help="object id, user@domain, application id or display name, of a group, too",
    )
    parser.add_argument("--action", required=True, metavar="A", help="such as Namespace/type/read")
    parser.add_argument("--scope", required=True, metavar="S", help="'/' or the id of whatever it is about")
    parser.add_argument("--data-action", action="store_true", help="the action is a data action")


def run(options: argparse.Namespace) -> int:
    """Print the verdict and what it rests on; either verdict is exit code 0."""
    scope = _scope(options.scope)
    if not options.action.strip() or len(options.action) > 512:
        raise CommandError("--action must be an action, such as Microsoft.HybridCompute/machines/read.")
    with opened_store(options) as db:
        access = Access(db)

        def work(connection: Connection) -> Explanation:
            principal = _principal(connection, options.principal)
            return explain.explain(
                connection, access, principal, options.action, scope, data=options.data_action
            )

        found = db.read(work)
    if options.output == "json":
        print(json.dumps(explain.shown(found), indent=2))
    else:
        print("\n".join(_lines(found)))
    return 0


def _scope(text: str) -> str:
    if text.strip("/") == "":
        return "/"
    try:
        arm_id.parse(text)
    except arm_id.MalformedId as error:
        raise CommandError(f"--scope '{text}' is not '/' and no id: {error}") from error
    return text.rstrip("/")


def _principal(connection: Connection, text: str) -> Holder:
    found = holders.called(connection, text)
    if not found:
        raise CommandError(
            f"There is no principal or group '{text}'. Name its object id, user@domain, application id "
            "or display name: landbridge user list, landbridge sp list."
        )
    if len(found) > 1:
        home = home_tenant(connection)
        ids = "\n".join(
            f"  {one.object_id}  {one.kind}  {one.label}"
            + ("" if one.tenant_id == home else f"  of tenant {one.tenant_id}")
            for one in found
        )
        raise CommandError(f"'{text}' is the name of {len(found)} principals; name an object id:\n{ids}")
    return found[0]


def _lines(found: Explanation) -> list[str]:
    who, kind = found.principal, "data action" if found.data else "action"
    lines = [f"{'ALLOWED' if found.allowed else 'DENIED'}: {who.label} ({who.kind}, {who.object_id})"]
    lines += [f"  {kind} {found.action}", f"  scope {found.scope}", "", found.reason]
    for title, ways in (
        ("Allowed by", found.because),
        ("Granted and taken away again by", found.taken_away),
        ("Held here, and silent about it", found.held),
        ("Would allow it, but lies elsewhere", found.elsewhere),
    ):
        if ways:
            lines += ["", f"{title}:", *(f"  {_line(way)}" for way in ways)]
    if found.roles:
        lines += ["", f"Roles that would allow it here, the narrowest first: {', '.join(found.roles)}."]
    return lines


def _line(way: Way) -> str:
    text = f"{way.role.name} at {way.assignment.scope}"
    if way.granted:
        text += f", by {way.granted}" + (f", less {way.taken}" if way.taken else "")
    through = " > ".join(group.name for group in way.groups)
    return f"{text}, through {through}" if through else text
