"""Users, their passwords and second factors.

Passwords are read from the terminal or a file, never from arguments.
"""

from __future__ import annotations

import argparse
import getpass
import secrets
import sys
import time
from pathlib import Path

from landbridge_server.cli import second_factor
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
from landbridge_server.identity.passwords import WeakPassword
from landbridge_server.identity.tenancy import home_tenant
from landbridge_server.store import tenants
from landbridge_server.store.database import Connection

EXAMPLES = """examples:
  landbridge user create anna@landbridge.local
  landbridge user create bob@landbridge.local --generate-password
  landbridge user reset-password anna@landbridge.local --password-file secret.txt
  landbridge user list
  landbridge user mfa-enroll anna@landbridge.local
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``create``, ``reset-password``, ``list`` and what concerns second factors."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, text in (("create", "create a user"), ("reset-password", "give a user another password")):
        action = add_action(actions, name, text, EXAMPLES)
        add_data(action)
        add_store(action)
        add_output(action)
        action.add_argument("user_name", metavar="NAME@DOMAIN", help="user principal name")
        source = action.add_mutually_exclusive_group()
        source.add_argument(
            "--password-file", type=Path, metavar="FILE", help="read it from FILE ('-': standard input)"
        )
        source.add_argument("--generate-password", action="store_true", help="make one and print it once")
        if name == "create":
            action.add_argument("--display-name", default="", metavar="TEXT", help="default: the user name")
            action.add_argument(
                "--tenant", metavar="T", help="tenant id or domain (default: the first tenant)"
            )
    listing = add_action(actions, "list", "list users", EXAMPLES)
    for action in (listing, *second_factor.add_arguments(actions)):
        add_data(action)
        add_store(action)
        add_output(action)


def run(options: argparse.Namespace) -> int:
    """Do what the action says."""
    with opened_store(options) as db:
        if options.action == "list":
            with db.reading() as connection:
                show(_rows(connection), options.output)
            return 0
        if options.action in (second_factor.ENROLL, second_factor.REMOVE):
            with db.writing() as connection:
                row = second_factor.run(connection, options, time.time())  # noqa: TID251 - for a main()
                noted(
                    connection, options, f"users/{options.action}", options.user_name, home_tenant(connection)
                )
            show_one(row, options.output)
            return 0
        password, generated = _password(options)
        try:
            with db.writing() as connection:
                row = _change(connection, options, password)
                noted(connection, options, f"users/{options.action}", row["userName"], row["tenantId"])
        except (directory.DirectoryError, WeakPassword, LookupError) as error:
            raise CommandError(str(error)) from error
    show_one(row | ({"password": password} if generated else {}), options.output)
    return 0


def _change(connection: Connection, options: argparse.Namespace, password: str) -> dict[str, str]:
    now = time.time()  # noqa: TID251 - this command is a main()
    if options.action == "create":
        tenant = options.tenant or home_tenant(connection)
        user = directory.create_user(
            connection, tenant, options.user_name, options.display_name, password, now
        )
    else:
        user = directory.reset_password(connection, options.user_name, password, now)
    return {"userName": user.user_name or "", "objectId": user.object_id, "tenantId": user.tenant_id}


def _rows(connection: Connection) -> list[dict[str, str]]:
    domains = {tenant.tenant_id: tenant.default_domain for tenant in tenants.everyone(connection)}
    return [
        {
            "userName": user.user_name or "",
            "displayName": user.display_name,
            "objectId": user.object_id,
            "tenant": domains.get(user.tenant_id, user.tenant_id),
            "enabled": str(user.enabled).lower(),
        }
        for user in directory.list_users(connection)
    ]


def _password(options: argparse.Namespace) -> tuple[str, bool]:
    if options.generate_password:
        return secrets.token_urlsafe(18), True
    if options.password_file:
        try:
            text = (
                sys.stdin.readline()
                if str(options.password_file) == "-"
                else options.password_file.read_text()
            )
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"The password file cannot be read: {error}") from error
        return text.rstrip("\r\n"), False
    if not sys.stdin.isatty():
        raise CommandError(
            "There is no terminal to ask for a password: use --password-file or --generate-password."
        )
    first = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != first:
        raise CommandError("The two passwords are not the same. Nothing was changed.")
    return first, False
