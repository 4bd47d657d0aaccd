"""The entry of ``landbridge``: the table of verbs, and how their errors become exit codes.

Exit codes: 0 done, 1 refused or failed with one line that says why, 2 wrong usage,
130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

from landbridge_server import __version__
from landbridge_server.cli.arguments import CommandError
from landbridge_server.config import ConfigError

VERBS: dict[str, tuple[str, str]] = {
    "up": ("up", "start the control plane"),
    "backup": ("backup", "keep the whole cloud in one file, while it runs"),
    "restore": ("restore", "make a cloud from a backup"),
    "audit": ("audit", "check, list and export the activity log"),
    "systemd-unit": ("systemd_unit", "print a hardened systemd unit for the control plane"),
    "ca": ("ca", "export, show and rotate the root certificate"),
    "keys": ("keys", "show and rotate the keys that sign tokens"),
    "trust": ("trust", "have an installed az trust this cloud"),
    "extension": ("extension", "publish, list and remove extensions of machines"),
    "image": ("image", "set and show the aliases of VM images"),
    "sp": ("service_principal", "create, list, reset and delete service principals"),
    "join-code": ("join_code", "make codes that let one machine connect, once"),
    "user": ("user", "create users and reset their passwords"),
    "directory-role": ("directory_role", "give and take roles of the directory"),
    "tenant": ("tenant", "create tenants"),
    "subscription": ("subscription", "create subscriptions"),
    "explain": ("explain", "say why somebody may, or may not, do something"),
    "run": ("run", "run a command on many machines at once"),
    "ssh-config": ("ssh_config", "print an OpenSSH configuration for connected machines"),
}
"""Verb -> module below ``cli`` and its one-line help."""

EXAMPLES = """examples:
  landbridge up --data /var/lib/landbridge --listen 0.0.0.0:443 --domain local.azurestack.external
  landbridge ca export --data /var/lib/landbridge > root.pem
  landbridge sp create --name onboarding --role "Azure Connected Machine Onboarding"
  landbridge ssh-config --resource-group servers --name web1 --user root > ssh_config
"""


def parser(wanted: str = "") -> argparse.ArgumentParser:
    """Return the parser of the command line; only the ``wanted`` verb's module is loaded."""
    top = argparse.ArgumentParser(
        prog="landbridge",
        allow_abbrev=False,
        description="The Landbridge control plane: an Azure-compatible cloud of your own.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"landbridge {__version__}")
    verbs = top.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb, (module_name, text) in VERBS.items():
        module = import_module(f"landbridge_server.cli.{module_name}") if verb == wanted else None
        sub = verbs.add_parser(
            verb,
            help=text,
            allow_abbrev=False,
            description=(module.__doc__ or text).replace("``", "'") if module else text,
            epilog=module.EXAMPLES if module else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if module:
            module.add_arguments(sub)
            sub.set_defaults(run=module.run)
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    options = parser(next((word for word in given if not word.startswith("-")), "")).parse_args(given)
    try:
        return int(options.run(options) or 0)
    except (CommandError, ConfigError) as error:
        print(f"landbridge: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 1


if __name__ == "__main__":
    sys.exit(main())
