"""The command line of ``landbridge run``."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Sequence
from pathlib import Path

from landbridge_server.cli.arguments import CommandError, add_data, add_output
from landbridge_server.cli.waves import Share

EXAMPLES = """examples:
  landbridge run --tag role=web -- systemctl is-active nginx
  landbridge run --tag role=web --canary 5% --stop-on-failure=10% -- apt-get -y upgrade
  landbridge run -g servers --script ./check.sh --param LEVEL=2 -- first second
  landbridge run --run-as postgres --follow --query "resources
    | where type =~ 'microsoft.hybridcompute/machines' and name startswith 'db'" -- vacuumdb --all
  landbridge run --resume fleet-20270115T080000Z-1a2b3c4d
"""

AT_ONCE = 50
MOST_AT_ONCE = 1000
RATE = 10
SECONDS = 3600
MOST_SECONDS = 90 * 86400
LONGEST_SCRIPT = 256 * 1024
_PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add which machines, how, and what."""
    which = parser.add_argument_group("which machines")
    which.add_argument(
        "--query", type=_query, metavar="KQL", help="a query of Resource Graph whose rows are machines"
    )
    which.add_argument(
        "--tag",
        type=_pair,
        action="append",
        default=[],
        metavar="K=V",
        help="a tag that they carry (repeatable: all of them)",
    )
    which.add_argument(
        "-g", "--resource-group", default="", metavar="G", help="the resource group that they are in"
    )
    which.add_argument(
        "-n", "--name", action="append", default=[], metavar="N", help="a machine's name (repeatable)"
    )
    which.add_argument(
        "--subscription",
        action="append",
        default=[],
        metavar="ID",
        help="where they are (repeatable; default: the subscription of the credentials)",
    )
    how = parser.add_argument_group("how")
    how.add_argument(
        "--canary",
        type=share,
        metavar="N|N%",
        help="so many machines first; the others once these have ended",
    )
    how.add_argument(
        "--max-concurrent",
        type=_at_once,
        default=AT_ONCE,
        metavar="N",
        help=f"machines at once (default: {AT_ONCE})",
    )
    how.add_argument(
        "--rate",
        type=_rate,
        default=RATE,
        metavar="N",
        help=f"machines that begin in a second (default: {RATE}); more make others wait longer for the cloud",
    )
    how.add_argument(
        "--stop-on-failure",
        type=share,
        nargs="?",
        const=Share(1),
        metavar="N|N%",
        help="begin no more once so many have failed: of the canaries, later of all (without a number: 1; "
        "without it, only a failed canary stops the run)",
    )
    how.add_argument(
        "--disconnected",
        choices=("skip", "wait"),
        default="skip",
        help="machines that are not connected are left out, or begin when they come back (default: skip)",
    )
    how.add_argument("--follow", action="store_true", help="print what the machines print while they do")
    how.add_argument(
        "--keep", action="store_true", help="leave the run commands on the machines, to be looked at later"
    )
    what = parser.add_argument_group("what")
    what.add_argument(
        "--timeout",
        type=_seconds,
        default=SECONDS,
        metavar="S",
        help=f"seconds until it is ended on a machine (default: {SECONDS})",
    )
    what.add_argument(
        "--run-as",
        default="",
        metavar="USER",
        help="user of the machine (default: the agent's, which is root)",
    )
    what.add_argument(
        "--param",
        type=_pair,
        action="append",
        default=[],
        metavar="K=V",
        help="an environment variable of the command (repeatable); whoever may read the run command sees it",
    )
    what.add_argument(
        "--script", type=Path, metavar="FILE", help="run this script; what follows -- are its arguments"
    )
    what.add_argument(
        "words",
        nargs=argparse.REMAINDER,
        metavar="-- COMMAND ...",
        help="the command, word by word: no shell looks at the words. For a pipe: -- sh -c 'a | b'",
    )
    other = parser.add_argument_group("a run that is under way")
    other.add_argument("--resume", metavar="RUN", help="go on with a run of yours that was left")
    other.add_argument(
        "--show", metavar="RUN", help="print how it stands with a run whose run commands are still there"
    )
    add_data(parser)
    add_output(parser)
    parser.set_defaults(misused=parser.error)
    parser.add_argument(
        "--ca-file", type=Path, metavar="FILE", help="root certificate, when signed in by az or by a token"
    )


def checked(options: argparse.Namespace) -> list[str]:
    """Return the words of the command. Ends the process with code 2 where options do not fit together."""
    words: Sequence[str] = options.words
    wrong = _wrong(options, words)
    if wrong:
        options.misused(wrong)
    return list(words[1:])


def _wrong(options: argparse.Namespace, words: Sequence[str]) -> str:
    """Return what is wrong with a command line that its parts alone do not tell; empty: nothing."""
    selected = options.query or options.tag or options.resource_group or options.name
    if options.show or options.resume:
        if words or selected or options.script or (options.show and options.resume):
            return "--show and --resume take the name of a run: machines and command are known."
        return ""
    if words and words[0] != "--":
        return f"put -- before the command: landbridge run ... -- {' '.join(words)}"
    if options.query and (options.tag or options.resource_group or options.name):
        return "give --query, or --tag, --resource-group and --name: not both"
    if not selected:
        return "say which machines: --query, --tag, --resource-group or --name"
    if options.follow and options.output == "json":
        return "--follow prints lines, and -o json one document: give one of them"
    for name, _ in options.param:
        if not _PARAMETER.fullmatch(name):
            return f"--param {name}: that is no name of an environment variable"
    if not words[1:] and options.script is None:
        return "say what to run: -- COMMAND ..., or --script FILE"
    return ""


def read_script(path: Path) -> str:
    """Return the text of a script.

    Raises:
        CommandError: it cannot be read, is empty or too long.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"--script {path} cannot be read: {error}") from error
    if not text.strip() or len(text) > LONGEST_SCRIPT:
        raise CommandError(f"--script {path} must have 1 to {LONGEST_SCRIPT:,} characters.")
    return text


def share(text: str) -> Share:
    """Read ``5`` or ``5%``."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?)%|(\d{1,9})", text, re.ASCII)
    if found is None:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not a number of machines, such as 3, or a percentage, such as 5%"
        )
    percent = found[1] is not None
    number = float(found[1] or found[2])
    if not 0 < number <= (100 if percent else math.inf):
        raise argparse.ArgumentTypeError(f"'{text}' must be more than 0 and, as a percentage, at most 100")
    return Share(number, percent)


def _query(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("the query is empty")
    return text


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name.strip():
        raise argparse.ArgumentTypeError(f"'{text}' is not NAME=VALUE")
    return name, value


def _whole(text: str, most: int) -> int:
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII) or not 1 <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"'{text}' must be a whole number from 1 to {most:,}")
    return int(text)


def _at_once(text: str) -> int:
    return _whole(text, MOST_AT_ONCE)


def _rate(text: str) -> int:
    return _whole(text, MOST_AT_ONCE)


def _seconds(text: str) -> int:
    return _whole(text, MOST_SECONDS)
