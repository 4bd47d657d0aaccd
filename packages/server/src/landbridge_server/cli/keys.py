"""The keys that sign tokens: show them, rotate them, withdraw the previous ones.

Running control planes, also those of other nodes, follow within two seconds and without a restart.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from landbridge_server.ca import ownership
from landbridge_server.cli.arguments import (
    CommandError,
    add_action,
    add_data,
    add_output,
    add_store,
    opened_store,
    show,
)
from landbridge_server.cli.operator_notes import noted
from landbridge_server.identity import key_rotation
from landbridge_server.identity.keys import SigningKeys
from landbridge_server.identity.tenancy import home_tenant
from landbridge_server.store.database import Connection

EXAMPLES = """examples:
  landbridge keys status
  landbridge keys prepare
  landbridge keys rotate
  landbridge keys rotate --revoke-previous
  landbridge keys revoke-previous
"""

ACTIONS = {
    "status": "show which key signs, and which others verify",
    "prepare": "publish the next key, before it signs",
    "rotate": "sign with the next key from now on, made now if none was published",
    "revoke-previous": "refuse at once every token that a previous key has signed",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, text in ACTIONS.items():
        action = add_action(actions, name, text, EXAMPLES)
        add_data(action)
        add_store(action)
        add_output(action)
        if name == "rotate":
            action.add_argument(
                "--revoke-previous",
                action="store_true",
                help="and refuse at once what the key until now has signed: it is in wrong hands",
            )


def run(options: argparse.Namespace) -> int:
    """Do it, and show the keys."""
    now = time.time()  # noqa: TID251 - this is the main()
    with opened_store(options) as db:
        try:
            if options.action != "status":
                with db.writing() as connection:
                    _change(connection, options, now)
        except key_rotation.RotationError as error:
            raise CommandError(str(error)) from error
        show([_row(key) for key in key_rotation.read(db.read(key_rotation.text))], options.output)
    return 0


def _change(connection: Connection, options: argparse.Namespace, now: float) -> None:
    ownership.check(connection, options.data)
    folder = options.data / "keys"
    try:
        seal = key_rotation.sealer((folder / "relay.key").read_bytes())
    except OSError as error:
        raise CommandError(f"{error.filename} cannot be read: {error.strerror}. Is --data right?") from error
    if not key_rotation.text(connection):
        key_rotation.adopt(connection, SigningKeys.open(folder, lambda: now).held, seal, now)
    what = options.action
    if what == "prepare":
        key_rotation.prepare(connection, seal, now)
    elif what == "rotate":
        key_rotation.rotate(connection, seal, now, anew=options.revoke_previous)
    if what == "revoke-previous" or (what == "rotate" and options.revoke_previous):
        key_rotation.withdraw(connection)
        what += "" if what == "revoke-previous" else " --revoke-previous"
    signs = next(
        key.key_id for key in key_rotation.read(key_rotation.text(connection)) if key.state == "current"
    )
    noted(
        connection, options, f"signingKeys/{options.action}", signs, home_tenant(connection), {"what": what}
    )


def _row(key: key_rotation.Key) -> dict[str, Any]:
    return {
        "state": key.state,
        "keyId": key.key_id,
        "since": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(key.since)),
    }
