"""Looks through the whole chain of the activity log and says which record is wrong, and how.

What it finds: a record that was changed, taken away, put in, or given another place; an end that
was cut off, also together with its seal, as long as a place that was remembered elsewhere is
given; a chain that was computed anew. It finds nothing of what was never written, and nothing
that somebody did who has the cloud's key files too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from landbridge_server.store import event_chain, events
from landbridge_server.store.database import Connection
from landbridge_server.store.event_chain import BEGINNING, Forged, Place, Seal, State
from landbridge_server.store.events import Linked

ROWS = 500
"""Events that are read at a time."""

MOST = 50
"""Findings that are listed; the others are counted."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong. ``record`` is its place in the chain; 0: none in particular."""

    record: int
    text: str


@dataclass
class Report:
    """What a check saw; times are unix seconds. The log is whole if there is no finding."""

    records: int = 0
    first_at: float | None = None
    last_at: float | None = None
    head: Place = BEGINNING
    findings: list[Finding] = field(default_factory=list)
    more: int = 0

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    def add(self, record: int, text: str) -> None:
        """Note a finding; only the first ones are kept."""
        if len(self.findings) < MOST:
            self.findings.append(Finding(record, text))
        else:
            self.more += 1


def checked(
    connection: Connection, seal: Seal, known: Sequence[Place] = (), expected_head: str = ""
) -> Report:
    """Check the chain in one consistent view.

    ``known`` are places that were remembered outside of the database. ``expected_head`` is the
    hash of some earlier end of the chain: it must still be in there.
    """
    report = Report()
    try:
        state = event_chain.state(connection, seal)
    except Forged as error:
        report.add(0, str(error))
        state = None
    else:
        if state is None and (known or events.newest(connection, 1)):
            report.add(0, "There is no seal: it was removed, or this cloud was not started since an upgrade.")
    state = state or State(BEGINNING, BEGINNING)
    for damage in state.damage:
        report.add(0, f"The control plane found at {damage.at:.0f}: {damage.text}.")
    wanted = {place.sequence: place.hash for place in known}
    pinned = expected_head in ("", state.start.hash)
    for row in _walk(connection, state, report):
        if wanted.get(row.sequence, row.hash) != row.hash:
            report.add(row.sequence, f"Record {row.sequence} is not the one that was written there.")
        pinned = pinned or row.hash == expected_head
    _check_end(report, state, known)
    if not pinned:
        report.add(0, f"No record has the expected hash {expected_head[:64]}.")
    return report


def _walk(connection: Connection, state: State, report: Report) -> Iterator[Linked]:
    """Yield all records; note those that do not follow from the one before."""
    place, comparable = state.start, True
    for row in _rows(connection):
        if row.sequence <= place.sequence:
            report.add(row.sequence, f"Record {row.sequence} ({_name(row)}) was put in.")
        elif row.sequence > place.sequence + 1:
            first, last = place.sequence + 1, row.sequence - 1
            which = f"Record {first} is" if first == last else f"Records {first} to {last} are"
            report.add(first, f"{which} missing.")
            comparable = False
        if comparable and event_chain.hash_of(place.hash, row.sequence, row.event) != row.hash:
            text = f"Record {row.sequence} ({_name(row)}) was changed, or stood in another place."
            report.add(row.sequence, text)
        # What follows is compared with what stands here: one wrong record is one finding.
        place, comparable = Place(row.sequence, row.hash), True
        report.records += 1
        report.first_at = row.event.at if report.first_at is None else report.first_at
        report.last_at = row.event.at
        yield row
    report.head = place


def _rows(connection: Connection) -> Iterator[Linked]:
    # From before 1: a record that somebody put in may stand anywhere.
    after = -(2**62)
    while rows := events.chain(connection, after, ROWS):
        yield from rows
        after = rows[-1].sequence


def _check_end(report: Report, state: State, known: Sequence[Place]) -> None:
    head, sealed = report.head, state.head
    if sealed != BEGINNING and head.sequence > sealed.sequence:
        report.add(head.sequence, f"Records {sealed.sequence + 1} to {head.sequence} were put in.")
    elif head.sequence < sealed.sequence:
        report.add(
            head.sequence + 1, f"Records {head.sequence + 1} to {sealed.sequence} were cut off the end."
        )
    elif sealed != BEGINNING and head.hash != sealed.hash:
        report.add(head.sequence, "The chain ends in another hash than the sealed one: it was computed anew.")
    furthest = max((place.sequence for place in known), default=0)
    if furthest > max(head.sequence, sealed.sequence):
        report.add(furthest, f"Record {furthest} was written, but the log ends with record {head.sequence}.")


def _name(row: Linked) -> str:
    return f"event {row.event.event_id}"
