"""The plans of runs that are under way, so that another process can go on with one.

A plan says which machines and what; what has become of them is asked from the cloud. Only the
owner can read the file: a script may hold what others must not see.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from landbridge_server.ca.keyring import write_atomically
from landbridge_server.cli.arguments import CommandError
from landbridge_server.cli.fleet_commands import Machine
from landbridge_server.cli.fleet_run import Plan
from landbridge_server.cli.waves import Rules, Share


def folder() -> Path:
    """Return where this user's plans lie."""
    return Path.home() / ".local" / "state" / "landbridge" / "runs"


def save(plan: Plan, base: str) -> Path:
    """Keep a plan of a cloud, until it is removed.

    Raises:
        CommandError: it cannot be written.
    """
    path = folder() / f"{plan.name}.json"
    content = json.dumps({"cloud": base, **asdict(plan)}).encode()
    try:
        write_atomically(path, content)
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error}") from error
    return path


def load(name: str, base: str) -> Plan:
    """Return the plan of a run, with machines as they were when it began.

    Raises:
        CommandError: there is none, or it is another cloud's.
    """
    path = folder() / f"{name}.json"
    try:
        content = json.loads(path.read_text())
        if content["cloud"] != base:
            raise CommandError(f"The run '{name}' is one of {content['cloud']}, and this is {base}.")
        return _plan(content)
    except FileNotFoundError as error:
        known = sorted(one.stem for one in folder().glob("fleet-*.json"))
        there = f" There are: {', '.join(known)}." if known else ""
        raise CommandError(
            f"There is no unfinished run '{name}' of yours on this computer.{there}"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CommandError(f"{path} cannot be read: {error!r}") from error


def forget(name: str) -> None:
    """Remove the plan of a run that is over."""
    (folder() / f"{name}.json").unlink(missing_ok=True)


def _plan(content: dict[str, Any]) -> Plan:
    rules = content["rules"]
    shares = {one: Share(**rules[one]) if rules[one] else None for one in ("canary", "stop")}
    return Plan(
        content["name"],
        tuple(Machine(**one) for one in content["machines"]),
        Rules(rules["at_once"], **shares),
        content["properties"],
        content["waits"],
        content["rate"],
    )
