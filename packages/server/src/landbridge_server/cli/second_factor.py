"""Second factors, as actions of ``landbridge user``: enroll one, take one away."""

from __future__ import annotations

import argparse
from typing import Any

from landbridge_server.ca.keyring import open_secret
from landbridge_server.cli.arguments import CommandError, add_action
from landbridge_server.identity import second_factor
from landbridge_server.store import principals
from landbridge_server.store.database import Connection

ENROLL, REMOVE = "mfa-enroll", "mfa-remove"

EXAMPLES = """examples:
  landbridge user mfa-enroll anna@landbridge.local
  landbridge user mfa-remove anna@landbridge.local
"""


def add_arguments(
    actions: argparse._SubParsersAction[argparse.ArgumentParser],
) -> list[argparse.ArgumentParser]:
    """Add the two actions and return their parsers."""
    enroll = add_action(
        actions, ENROLL, "give a user a new second factor and print it, with recovery codes, once", EXAMPLES
    )
    remove = add_action(actions, REMOVE, "take a user's second factor away", EXAMPLES)
    for action in (enroll, remove):
        action.add_argument("user_name", metavar="NAME@DOMAIN", help="user principal name")
    return [enroll, remove]


def run(connection: Connection, options: argparse.Namespace, now: float) -> dict[str, Any]:
    """Do what the action says.

    Raises:
        CommandError: there is no such user, or the key files are not in ``--data``.
    """
    user = principals.by_user_name(connection, options.user_name)
    if user is None:
        raise CommandError(f"There is no user '{options.user_name}'. 'landbridge user list' shows all.")
    if options.action == REMOVE:
        second_factor.remove(connection, user)
        return {"userName": user.label, "secondFactor": "none"}
    key = options.data / "keys" / "relay.key"
    if not key.exists():  # never make one here: the control plane could not read what it seals
        raise CommandError(f"{key} is not there. Give --data of a control plane that was started once.")
    try:
        seals = second_factor.sealer(open_secret(key))
    except (OSError, ValueError) as error:
        raise CommandError(f"{key} cannot be read: {error}") from error
    made = second_factor.enroll(connection, seals, user, now)
    return {
        "userName": user.label,
        "secret": made.secret,
        "uri": made.uri,
        "recoveryCodes": " ".join(made.recovery_codes),
    }
