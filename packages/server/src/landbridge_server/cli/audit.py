"""The activity log: check its chain, list it, and export it.

'verify' reads every record and says which is wrong and how: changed, missing, put in, moved, cut
off. Exit code 0: the log is whole; 1: it is not, or cannot be read. It needs the cloud's folder,
whose keys seal the chain. Note the head it prints somewhere else, and give it again with
--expect-head: then not even who has all files can write the past anew unseen.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import Any

import msgspec

from landbridge_server.arm.chain_check import ROWS, Report, checked
from landbridge_server.arm.documents import iso
from landbridge_server.cli.arguments import (
    CommandError,
    add_action,
    add_data,
    add_output,
    add_store,
    opened_store,
    show,
)
from landbridge_server.cli.operator_notes import seal_of
from landbridge_server.reconcile.flush_activity import read_head
from landbridge_server.store import events
from landbridge_server.store.database import Connection
from landbridge_server.store.event_chain import BEGINNING
from landbridge_server.store.events import Linked

EXAMPLES = """examples:
  landbridge audit verify --data /var/lib/landbridge
  landbridge audit verify --expect-head 5f0e...9a -o json
  landbridge audit list --last 20
  landbridge audit export > activity.jsonl
  landbridge audit export --after 120000 >> activity.jsonl
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``verify``, ``list`` and ``export``."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    verify = add_action(actions, "verify", "check every record of the log", EXAMPLES)
    verify.add_argument(
        "--expect-head", default="", metavar="HASH", help="a head that was printed before: it must be there"
    )
    listing = add_action(actions, "list", "list the newest records, those of all tenants", EXAMPLES)
    listing.add_argument("--last", type=int, default=50, metavar="N", help="how many (default: 50)")
    export = add_action(actions, "export", "write all records as JSON lines, the oldest first", EXAMPLES)
    export.add_argument("--after", type=int, default=0, metavar="N", help="only those after record N")
    for action in (verify, listing, export):
        add_data(action)
        add_store(action)
    for action in (verify, listing):
        add_output(action)


def run(options: argparse.Namespace) -> int:
    """Do what the action says."""
    if options.action == "verify":
        return _verify(options)
    with opened_store(options) as db, db.reading() as connection:
        if options.action == "list":
            rows = events.newest(connection, max(0, min(options.last, 10_000)))
            show([_row(one) for one in rows], options.output)
        else:
            for row in _rows(connection, options.after):
                sys.stdout.buffer.write(msgspec.json.encode(_exported(row)) + b"\n")
            sys.stdout.buffer.flush()
    return 0


def _verify(options: argparse.Namespace) -> int:
    try:
        known = read_head(options.data)
    except ValueError as error:
        raise CommandError(str(error)) from error
    with opened_store(options) as db:
        seal = seal_of(options.data)
        if seal is None:
            raise CommandError(f"There are no keys in {options.data}, and the chain is sealed with one.")
        with db.reading() as connection:
            places = [known] if known != BEGINNING else []
            report = checked(connection, seal, places, options.expect_head.strip().lower())
    if options.output == "json":
        print(msgspec.json.format(msgspec.json.encode(_told(report)), indent=2).decode())
    else:
        _print(report)
    return 0 if report.whole else 1


def _told(report: Report) -> dict[str, Any]:
    return {
        "whole": report.whole,
        "records": report.records,
        "first": _time(report.first_at),
        "last": _time(report.last_at),
        "head": {"record": report.head.sequence, "hash": report.head.hash},
        "findings": [{"record": one.record, "text": one.text} for one in report.findings],
        "moreFindings": report.more,
    }


def _print(report: Report) -> None:
    print(f"records  {report.records}")
    print(f"first    {_time(report.first_at) or '-'}")
    print(f"last     {_time(report.last_at) or '-'}")
    print(f"head     {report.head.hash or '-'} (record {report.head.sequence})")
    for one in report.findings:
        print(f"WRONG    {one.text}")
    if report.more:
        print(f"WRONG    And {report.more} more.")
    print("The log is whole." if report.whole else "The log is NOT whole.")


def _time(at: float | None) -> str | None:
    return iso(at) if at is not None else None


def _row(row: Linked) -> dict[str, str]:
    document = msgspec.json.decode(row.event.document)
    return {
        "record": str(row.sequence),
        "time": document["eventTimestamp"],
        "caller": document["caller"] or "-",
        "address": document["httpRequest"].get("clientIpAddress") or "-",
        "operation": document["operationName"]["value"],
        "outcome": f"{document['status']['value']} ({document['subStatus']['value']})",
        "about": document["resourceId"],
        "correlationId": document["correlationId"],
    }


def _rows(connection: Connection, after: int) -> Iterator[Linked]:
    while rows := events.chain(connection, after, ROWS):
        yield from rows
        after = rows[-1].sequence


def _exported(row: Linked) -> dict[str, Any]:
    """Return a record with all that its hash covers: ``columns`` and the text of ``event``, in order."""
    *columns, document = row.event
    return {
        "sequence": row.sequence,
        "hash": row.hash,
        "columns": columns,
        "event": msgspec.json.decode(document),
    }
