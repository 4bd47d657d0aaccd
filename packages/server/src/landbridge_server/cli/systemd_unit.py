"""Print a hardened systemd unit for this installation's control plane.

The unit runs 'landbridge up' as the user 'landbridge', which you create once, on the data in
/var/lib/landbridge; further options stand in /etc/landbridge/options. Nothing is installed or started.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from landbridge_server.cli.arguments import CommandError

EXAMPLES = """examples:
  landbridge systemd-unit > /etc/systemd/system/landbridge.service
"""

TEMPLATE = Path(__file__).with_name("landbridge.service")
PLACE = "@PROGRAM@"
HOMES = ("/root", "/home", "/run/user")
"""What ``ProtectHome`` hides."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--program``."""
    parser.add_argument(
        "--program",
        type=Path,
        default=Path(sys.executable).with_name("landbridge"),
        metavar="PATH",
        help="the 'landbridge' to run (default: the one beside this Python: %(default)s)",
    )


def unit(program: Path) -> str:
    """Return the text of the unit that runs a program.

    Raises:
        CommandError: systemd could not start it from there.
    """
    path = str(program)
    if not program.is_absolute() or not set(path).isdisjoint(" \t\n\"'\\%$@") or _at_home(program):
        raise CommandError(
            f"'{path}' is no place for a service: give an absolute path without blanks or quotes, and not "
            "below a home folder, which the service does not see. Install it into /opt/landbridge."
        )
    return TEMPLATE.read_text().replace(PLACE, path)


def _at_home(path: Path) -> bool:
    return any(path.is_relative_to(home) for home in HOMES)


def run(options: argparse.Namespace) -> int:
    """Print the unit."""
    print(unit(options.program), end="")
    python = Path(sys.executable).resolve()
    if _at_home(python):
        print(
            f"landbridge: this Python is {python}, which the service does not see. "
            "Make the environment with another one, such as /usr/bin/python3.",
            file=sys.stderr,
        )
    return 0
