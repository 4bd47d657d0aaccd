"""Which machines ``landbridge run`` is about: by a query, or by group, tags and names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from landbridge_server.cli.arguments import CommandError
from landbridge_server.cli.arm_connections import Calls, Refused, Workers
from landbridge_server.cli.fleet_commands import VERSION, Machine, printable
from landbridge_wire import arm_id

TYPE = "microsoft.hybridcompute/machines"
QUERIES = "/providers/Microsoft.ResourceGraph/resources?api-version=2022-10-01"
PAGE = 1000


def query_of(group: str, tags: Mapping[str, str], names: Sequence[str]) -> str:
    """Return the query for machines of a group that carry all tags and have one of the names."""
    parts = ["resources", f"where type == {_text(TYPE)}"]
    if group:
        parts.append(f"where resourceGroup =~ {_text(group)}")
    parts += [f"where tags[{_text(name)}] == {_text(value)}" for name, value in tags.items()]
    if names:
        parts.append(f"where name in~ ({', '.join(map(_text, names))})")
    return " | ".join([*parts, "project id, location, status = properties.status"])


def _text(value: str) -> str:
    """Return a text as the language of queries has it.

    Raises:
        CommandError: it cannot be written there.
    """
    if not value.isprintable():
        raise CommandError(f"{value!r} has characters that cannot be asked for.")
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def find(calls: Calls, query: str, subscriptions: Sequence[str]) -> list[Machine]:
    """Return the machines that a query finds, once each, in its order; ``status`` is empty where it has none.

    Raises:
        CommandError: refused, or its rows are no machines.
    """
    found: dict[str, Machine] = {}
    for row in rows(calls, query, subscriptions):
        machine = _machine(row)
        found.setdefault(machine.key, machine)
    return list(found.values())


def rows(calls: Calls, query: str, subscriptions: Sequence[str]) -> list[dict[str, Any]]:
    """Return all rows of a query, page by page."""
    found: list[dict[str, Any]] = []
    options: dict[str, Any] = {"$top": PAGE, "resultFormat": "objectArray"}
    while True:
        asked = {"query": query, "subscriptions": list(subscriptions), "options": options}
        answer = calls.call("POST", QUERIES, asked)
        found += [row for row in answer.get("data") or [] if isinstance(row, dict)]
        token = answer.get("$skipToken")
        if not token:
            return found
        options = {"$top": PAGE, "$skipToken": token, "resultFormat": "objectArray"}


def _machine(row: Mapping[str, Any]) -> Machine:
    text = row.get("id")
    if not isinstance(text, str):
        raise CommandError("The query's rows have no 'id': let it keep the ids, or add it to 'project'.")
    try:
        own = arm_id.parse(text)
    except ValueError as error:
        raise CommandError(
            f"The query found '{printable(text)[:200]}', which is no id of a machine."
        ) from error
    if own.type.lower() != TYPE:
        raise CommandError(
            f"The query found {printable(text)[:200]}, which is no machine. Add: | where type =~ '{TYPE}'"
        )
    properties = row.get("properties")
    status = properties.get("status") if isinstance(properties, dict) else row.get("status")
    location = row.get("location")
    known = isinstance(location, str) and isinstance(status, str)
    return Machine(text, str(location), str(status)) if known else Machine(text)


def look_up(calls: Calls, workers: Workers, machines: Sequence[Machine]) -> list[Machine]:
    """Return the machines with location and status; those that a query did not tell are asked for.

    A machine that is gone by now is left out.
    """
    found: dict[str, Machine | None] = {one.key: one for one in machines}
    refusals: list[CommandError] = []

    for one in machines:
        if not one.status:
            workers.ask(partial(current, calls, one), partial(found.__setitem__, one.key), refusals.append)
    while workers.open:
        workers.take(1.0)
    if refusals:
        raise refusals[0]
    return [one for one in found.values() if one is not None]


def current(calls: Calls, machine: Machine) -> Machine | None:
    """Return a machine as it is now; None: it is gone."""
    try:
        shown = calls.call("GET", f"{machine.id}?api-version={VERSION}")
    except Refused as error:
        if error.status == 404:
            return None
        raise
    status = shown.get("properties", {}).get("status")
    location = str(shown.get("location") or machine.location)
    return Machine(str(shown.get("id") or machine.id), location, str(status or "Unknown"))
