"""Roles of the directory: who may change users, groups and applications.

They are no roles of the resource manager, which ``az role assignment`` gives.
"""

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
from landbridge_server.identity import directory_roles
from landbridge_server.identity.directory import DirectoryError
from landbridge_server.identity.directory_roles import DirectoryRole
from landbridge_server.store import directory_roles as assignments
from landbridge_server.store import principals, tenants
from landbridge_server.store.database import Connection
from landbridge_server.store.directory_roles import DirectoryRoleAssignment
from landbridge_server.store.principals import Principal

EXAMPLES = """examples:
  landbridge directory-role assign --role "User Administrator" anna@landbridge.local
  landbridge directory-role remove --role "User Administrator" anna@landbridge.local
  landbridge directory-role list
"""

Row = dict[str, str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``assign``, ``remove`` and ``list``."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, text in (("assign", "give a role of the directory"), ("remove", "take one away")):
        action = add_action(actions, name, text, EXAMPLES)
        action.add_argument("principal", metavar="WHO", help="a user name, an application id or an object id")
        known = ", ".join(role.name for role in directory_roles.ALL)
        action.add_argument("--role", required=True, metavar="ROLE", help=f"name or GUID; there are: {known}")
        _add_rest(action)
    _add_rest(add_action(actions, "list", "list who holds a role of the directory", EXAMPLES))


def _add_rest(action: argparse.ArgumentParser) -> None:
    add_data(action)
    add_store(action)
    add_output(action)


def run(options: argparse.Namespace) -> int:
    """Do what the action says."""
    with opened_store(options) as db:
        if options.action == "list":
            show(db.read(_rows), options.output)
            return 0
        role = directory_roles.named(options.role)
        if role is None:
            known = ", ".join(one.name for one in directory_roles.ALL)
            raise CommandError(f"There is no directory role '{options.role}'. There are: {known}.")
        try:
            with db.writing() as connection:
                row = _change(connection, options.action, options.principal, role)
                what = f"directoryRoles/{options.action}"
                noted(connection, options, what, row["objectId"], row["tenant"], row)
        except DirectoryError as error:
            raise CommandError(str(error)) from error
    show_one(row, options.output)
    return 0


def _change(connection: Connection, action: str, name: str, role: DirectoryRole) -> Row:
    principal = directory_roles.holder(connection, name)
    if action == "assign":
        now = time.time()  # noqa: TID251 - this command is a main()
        directory_roles.assign(connection, principal, role, now)
    elif not assignments.remove(connection, principal.object_id, role.guid):
        raise DirectoryError(f"'{principal.label}' does not hold the role '{role.name}'.")
    return _row(role.name, principal, principal.object_id) | {"tenant": principal.tenant_id}


def _row(role: str, principal: Principal | None, object_id: str) -> Row:
    if principal is None:
        return {"role": role, "principal": "", "kind": "", "objectId": object_id}
    kind = directory_roles.kind_of(principal)
    return {"role": role, "principal": principal.label, "kind": kind, "objectId": object_id}


def _rows(connection: Connection) -> list[Row]:
    return [
        _shown(connection, one) | {"tenant": tenant.default_domain}
        for tenant in tenants.everyone(connection)
        for one in assignments.holders(connection, tenant.tenant_id)
    ]


def _shown(connection: Connection, one: DirectoryRoleAssignment) -> Row:
    role = directory_roles.named(one.role)
    return _row(
        role.name if role else one.role, principals.get(connection, one.principal_id), one.principal_id
    )
