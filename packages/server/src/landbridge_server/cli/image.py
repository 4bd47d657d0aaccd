"""Set and show the VM image aliases that this cloud serves at ``/aliases.json``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from landbridge_server.cli.arguments import CommandError, add_action, add_data, add_store, opened_store
from landbridge_server.cli.operator_notes import noted
from landbridge_server.identity.tenancy import home_tenant
from landbridge_server.portal import image_aliases

EXAMPLES = """examples:
  landbridge image aliases set aliases.json
  landbridge image aliases show
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``aliases set`` and ``aliases show``."""
    subjects = parser.add_subparsers(dest="subject", metavar="SUBJECT", required=True)
    aliases = add_action(subjects, "aliases", "short names of images", EXAMPLES)
    actions = aliases.add_subparsers(dest="action", metavar="ACTION", required=True)
    change = add_action(actions, "set", "serve the aliases of a file", EXAMPLES)
    change.add_argument("file", type=Path, metavar="FILE", help="a document with outputs.aliases.value")
    for action in (change, add_action(actions, "show", "print what is served", EXAMPLES)):
        add_data(action)
        add_store(action)


def run(options: argparse.Namespace) -> int:
    """Replace the aliases, or print the document."""
    with opened_store(options) as db:
        if options.action == "show":
            print(json.dumps(db.read(image_aliases.read), indent=2))
            return 0
        try:
            systems = image_aliases.parse(options.file.read_bytes())
        except OSError as error:
            raise CommandError(f"{options.file} cannot be read: {error.strerror}") from error
        except image_aliases.AliasError as error:
            raise CommandError(f"{options.file}: {error}") from error
        with db.writing() as connection:
            image_aliases.replace(connection, systems)
            noted(connection, options, "imageAliases/set", options.file.name, home_tenant(connection))
    print(f"{sum(map(len, systems.values()))} aliases are served.")
    return 0
