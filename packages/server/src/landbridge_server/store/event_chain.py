"""The chain of the activity log: each event holds a hash of itself and of all before it.

    hash(n) = SHA-256( JSON [ hash(n - 1), n, every column of event n ] )

Where the chain begins (old events go) and ends is written down under a seal, an HMAC by a key
that lies in no database: who can write into the database alone can neither cut off the end nor
compute the chain anew. A copy of the seal from yesterday would still fit yesterday's events: so
whoever appends also compares with the place that it remembers itself (``known``), which the
control plane keeps in a file.

An append that finds something amiss does not hide it by going on: what it found is written
under the seal, and stays there.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection

from landbridge_server.store import events, settings
from landbridge_server.store.events import Event, Linked

SETTING = "activity_chain"

DAMAGE_KEPT = 20
"""How many findings the seal remembers: the first ones."""

_PURPOSE = b"landbridge.activity-chain"


class Place(NamedTuple):
    """A place in the chain: the hash there covers everything up to it."""

    sequence: int
    hash: str


BEGINNING = Place(0, "")
"""Before the first event."""


class Damage(NamedTuple):
    """What an append found amiss; ``at`` is unix seconds."""

    at: float
    text: str


class State(NamedTuple):
    """What is under the seal: ``start`` is the last event that has gone, ``head`` the newest."""

    start: Place
    head: Place
    damage: tuple[Damage, ...] = ()


class Forged(ValueError):
    """The seal is not by this cloud's key, or what it covers was changed."""


class Seal:
    """Seals by a key that follows from a secret among the cloud's key files."""

    def __init__(self, secret: bytes) -> None:
        """Take a secret of at least 32 random bytes, which may serve other purposes too."""
        self._key = hmac.digest(secret, _PURPOSE, hashlib.sha256)

    def of(self, content: str) -> str:
        """Return the seal of a text."""
        return hmac.digest(self._key, content.encode(), hashlib.sha256).hex()

    def fits(self, content: str, unverified: str) -> bool:
        """Say whether a seal is that of a text."""
        return hmac.compare_digest(self.of(content).encode(), unverified.encode())


class _Sealed(msgspec.Struct):
    content: str
    seal: str


def hash_of(previous: str, sequence: int, event: Event) -> str:
    """Return the hash of an event at a place, after the hash before it."""
    return hashlib.sha256(msgspec.json.encode([previous, sequence, *event])).hexdigest()


def state(connection: Connection, seal: Seal) -> State | None:
    """Return where the chain begins and ends; nothing before the first event.

    Raises:
        Forged: the seal does not fit.
    """
    text = settings.get(connection, SETTING)
    if text is None:
        return None
    try:
        sealed = msgspec.json.decode(text, type=_Sealed)
        if not seal.fits(sealed.content, sealed.seal):
            raise Forged("The seal of the activity log does not fit what it covers.")
        return msgspec.json.decode(sealed.content, type=State)
    except msgspec.MsgspecError as error:
        raise Forged(f"The seal of the activity log cannot be read: {error}.") from error


def write_state(connection: Connection, seal: Seal, new: State) -> None:
    """Seal where the chain begins and ends."""
    content = msgspec.json.encode(new).decode()
    settings.put(connection, SETTING, msgspec.json.encode(_Sealed(content, seal.of(content))).decode())


class Appended(NamedTuple):
    """The new end of the chain, and what was found amiss with the old one."""

    head: Place
    amiss: list[str]


def append(connection: Connection, seal: Seal, batch: Sequence[Event], known: Place, now: float) -> Appended:
    """Add events at the end; those that are there already stay as they are.

    ``known`` is an end of the chain that the caller saw before, ``BEGINNING`` if none. Runs
    inside a write transaction: no two appends see the same end, on whichever nodes.
    """
    before, amiss = _examined(connection, seal, known)
    damage = before.damage + tuple(Damage(now, text) for text in amiss)
    there = events.known(connection, [one.event_id for one in batch])
    head, rows = before.head, []
    for event in batch:
        if event.event_id not in there:
            sequence = head.sequence + 1
            head = Place(sequence, hash_of(head.hash, sequence, event))
            rows.append(Linked(head.sequence, head.hash, event))
    events.add(connection, rows)
    write_state(connection, seal, State(before.start, head, damage[:DAMAGE_KEPT]))
    return Appended(head, amiss)


def _examined(connection: Connection, seal: Seal, known: Place) -> tuple[State, list[str]]:
    """Return where the chain goes on, and what is wrong with its end in comparison to what is known.

    Only the end and the known place are looked at: the whole chain is ``arm.chain_check``'s.
    """
    amiss: list[str] = []
    last = events.newest(connection, 1)
    end = Place(last[0].sequence, last[0].hash) if last else BEGINNING
    try:
        sealed = state(connection, seal)
        if sealed is None and known != BEGINNING:
            amiss.append("the seal was removed")
    except Forged as error:
        sealed = None
        amiss.append(str(error))
    found = sealed or State(BEGINNING, end)
    if not last and found.start == found.head:
        end = found.head
    if end != found.head:
        amiss.append(f"the log ended with record {end.sequence}, not with record {found.head.sequence}")
    if known.sequence > end.sequence:
        amiss.append(f"record {known.sequence} was written, but the log ended with record {end.sequence}")
    elif known.sequence > found.start.sequence and events.hash_at(connection, known.sequence) != known.hash:
        amiss.append(f"record {known.sequence} is no longer the one that was written")
    # Never a place twice: the gap stays to be seen.
    furthest = max(end.sequence, found.head.sequence, known.sequence)
    return State(found.start, Place(furthest, end.hash), found.damage), amiss


def trim(connection: Connection, seal: Seal, before: float, most: int, at_once: int) -> bool:
    """Let the beginning go: events from before a time, and what is more than ``most``.

    Takes at most ``at_once`` of them and says whether more may follow. A chain whose seal does
    not fit is left as it is.
    """
    try:
        found = state(connection, seal)
    except Forged:
        return False
    if found is None:
        return False
    first, last = found.start.sequence, found.head.sequence
    limit = min(last, first + at_once)
    young = events.first_since(connection, before, first, at_once)
    end = max(limit if young is None else min(limit, young - 1), min(limit, last - most))
    if end <= first:
        return False
    text = events.hash_at(connection, end)
    events.remove_to(connection, end)
    # Where somebody took that very event away, the next one has nothing to be compared with.
    write_state(connection, seal, found._replace(start=Place(end, text or "")))
    return end == limit
