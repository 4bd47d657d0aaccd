"""Run the benchmarks and print their tables in Markdown.

The machine should be quiet: nothing else running, best of three. Needs from Debian: wrk,
etcd-server, golang-go, golang-github-gorilla-websocket-dev, openssh-server, and npm for Azurite.
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.measuring import FULL, QUICK, Effort, load_average
from benchmarks.report import Table, goals


def _requests(store: str, effort: Effort) -> list[Table]:
    from benchmarks.requests import tables

    return tables(store, effort)


def _ssh(store: str, effort: Effort) -> list[Table]:
    from benchmarks.ssh import tables

    return tables(store, effort)


def _agent(store: str, effort: Effort) -> list[Table]:
    from benchmarks.agent import tables

    return tables(store, effort)


def _fleet(store: str, effort: Effort) -> list[Table]:
    from benchmarks.fleet import tables

    return tables(store, effort)


def _deletion(store: str, effort: Effort) -> list[Table]:
    from benchmarks.deletion import tables

    return tables(store, effort)


def _growth(store: str, effort: Effort) -> list[Table]:
    from benchmarks.growth import tables

    return tables(store, effort)


def _roles(store: str, effort: Effort) -> list[Table]:
    from benchmarks.roles import tables

    return tables(store, effort)


def _run(store: str, effort: Effort) -> list[Table]:
    from benchmarks.run import tables

    return tables(store, effort)


TABLES: dict[str, Callable[[str, Effort], list[Table]]] = {
    "ssh": _ssh,
    "agent": _agent,
    "requests": _requests,
    "fleet": _fleet,
    "deletion": _deletion,
    "growth": _growth,
    "roles": _roles,
    "run": _run,
}


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", action="append", choices=tuple(TABLES), help="one table (repeatable)")
    parser.add_argument("--quick", action="store_true", help="see that it works; the figures mean little")
    parser.add_argument(
        "--store",
        default="sqlite",
        help="sqlite (default), postgresql (one is started), or the URL of an empty database of yours",
    )
    return parser.parse_args(arguments)


def machine() -> str:
    """Return what the figures were measured on."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        "unknown",
    )
    import os

    return f"{os.cpu_count()} x {model}, Linux {platform.release()}, CPython {platform.python_version()}"


def main(arguments: list[str]) -> int:
    """Run what was asked for; 1 if a goal was missed."""
    options = _options(arguments)
    effort = QUICK if options.quick else FULL
    print(f"Machine: {machine()}. Load average at the start: {load_average():.2f}.\n", flush=True)
    made: list[Table] = []
    for name in options.only or TABLES:
        before = load_average()
        tables = TABLES[name](options.store, effort)
        made += tables
        for table in tables:
            print(table.markdown(), flush=True)
        print(f"(load average before this part: {before:.2f})\n", flush=True)
    wanted = [goal for table in made for goal in table.goals]
    print("## All goals\n")
    print("\n".join(goals(wanted)))
    return 0 if all(goal.reached for goal in wanted) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
