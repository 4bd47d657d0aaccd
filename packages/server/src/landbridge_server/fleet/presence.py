"""Who is alive: kept in memory, flushed in batches, computed when read.

A machine is Connected while its control channel is open, or while its last heartbeat over
HTTPS is fresh. A channel that closes may come back within ``GRACE`` seconds before anybody
is told. No status is ever stored: only when a machine was last heard from.

States: AwaitingConnection (enrolled, never heard from), Connected, Disconnected, and
Expired once the certificate of a silent machine has ended.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

from landbridge_server.store.machines import Seen

GRACE = 5.0
"""Seconds that a closed control channel may take to come back."""

STALE = 900.0
"""Seconds without a heartbeat after which a machine without a channel is Disconnected."""


@dataclass
class _State:
    last_seen: float
    departed_at: float | None
    changed_at: float
    agent_version: str


def iso(now: float) -> str:
    """Return a time as ARM writes it."""
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


class Presence:
    """The memory of one control plane. Not thread-safe: it belongs to the event loop.

    ``node`` names this node among several; each row says which node holds the control
    channel. The node that a machine came to last writes its row.
    """

    def __init__(self, node: str = "") -> None:
        """Begin without any machine."""
        self.node = node
        self._elsewhere: dict[str, str] = {}
        self._states: dict[str, _State] = {}
        self._open: dict[str, int] = {}
        self._expires: dict[str, float] = {}
        self._changed: dict[str, None] = {}  # keys to write, in the order in which they changed

    def load(self, seen: Iterable[Seen], expiries: dict[str, float]) -> None:
        """Take over what the store kept. No channel is open yet."""
        for row in seen:
            self._states[row.machine_key] = _State(
                row.last_seen, row.departed_at, row.status_changed_at, row.agent_version
            )
        self._expires.update(expiries)

    def issued(self, machine_key: str, not_after: float) -> None:
        """Note until when the machine's newest certificate is valid."""
        self._expires[machine_key] = max(not_after, self._expires.get(machine_key, 0.0))

    def arrived(self, machine_key: str, now: float) -> None:
        """Note that a control channel was opened."""
        was = self.status(machine_key, now)[0]
        self._open[machine_key] = self._open.get(machine_key, 0) + 1
        self._elsewhere.pop(machine_key, None)
        state = self._touch(machine_key, now)
        state.departed_at = None
        if was != "Connected":
            state.changed_at = now

    def departed(self, machine_key: str, now: float) -> None:
        """Note that a control channel was closed; others of the machine may stay open."""
        left = self._open.get(machine_key, 0) - 1
        if left > 0:
            self._open[machine_key] = left
            return
        self._open.pop(machine_key, None)
        if machine_key in self._states:
            self._touch(machine_key, now).departed_at = now

    def heartbeat(self, machine_key: str, agent_version: str, now: float) -> None:
        """Note a heartbeat, whichever way it came."""
        was = self.status(machine_key, now)[0]
        state = self._touch(machine_key, now)
        state.agent_version = agent_version or state.agent_version
        state.departed_at = None
        if was != "Connected":
            state.changed_at = now

    def _touch(self, machine_key: str, now: float) -> _State:
        state = self._states.setdefault(machine_key, _State(now, None, now, ""))
        state.last_seen = now
        self._changed[machine_key] = None
        return state

    def status(self, machine_key: str, now: float) -> tuple[str, float]:
        """Return the status and since when (unix seconds; 0 when never heard from)."""
        state = self._states.get(machine_key)
        if state is None:
            return "AwaitingConnection", 0.0
        if machine_key in self._open or machine_key in self._elsewhere:
            return "Connected", state.changed_at
        end = state.last_seen + STALE if state.departed_at is None else state.departed_at + GRACE
        if now <= end:
            return "Connected", state.changed_at
        expires = self._expires.get(machine_key, float("inf"))
        return ("Expired", expires) if expires < now else ("Disconnected", end)

    def last_seen(self, machine_key: str) -> float | None:
        """Return when the machine was last heard from."""
        state = self._states.get(machine_key)
        return state.last_seen if state else None

    def agent_version(self, machine_key: str) -> str:
        """Return the version that the agent last gave."""
        state = self._states.get(machine_key)
        return state.agent_version if state else ""

    def enrolled(self) -> list[str]:
        """Return the keys of all machines that have a certificate, or were ever heard from."""
        return list(self._states.keys() | self._expires.keys())

    def forget(self, machine_key: str) -> None:
        """Drop a machine that was removed."""
        self._changed.pop(machine_key, None)
        self._states.pop(machine_key, None)
        self._open.pop(machine_key, None)
        self._elsewhere.pop(machine_key, None)
        self._expires.pop(machine_key, None)

    def rename(self, machine_key: str, new_key: str) -> None:
        """Go on with a machine that has another key now."""
        for known in (self._states, self._open, self._elsewhere, self._expires, self._changed):
            if machine_key in known:
                known[new_key] = known.pop(machine_key)  # type: ignore[assignment]

    # -- other nodes

    def holder(self, machine_key: str) -> str | None:
        """Return the other node that holds the machine's control channel, if one does."""
        return self._elsewhere.get(machine_key)

    def departed_at(self, machine_key: str) -> float:
        """Return when the machine's last control channel closed; 0 while one is open, or never was."""
        state = self._states.get(machine_key)
        return (state.departed_at or 0.0) if state else 0.0

    def machines(self) -> list[str]:
        """Return the keys of all machines that were heard from."""
        return list(self._states)

    def merge(self, rows: Iterable[Seen], expiries: dict[str, float], now: float) -> None:
        """Take over what any node wrote; what only we know yet is kept and written again."""
        for row in rows:
            self._merge(row, now)
        for machine_key, not_after in expiries.items():
            self.issued(machine_key, not_after)

    def _merge(self, row: Seen, now: float) -> None:
        key = row.machine_key
        state = self._states.get(key)
        if state is not None and key in self._open:
            # Another node that holds it too came later. Once that one has lost it, it is ours.
            if row.holder is None:
                self._changed[key] = None
            return
        if row.holder and row.holder != self.node:
            self._elsewhere[key] = row.holder
        else:
            self._elsewhere.pop(key, None)
        if state is not None and key in self._changed and state.last_seen >= row.last_seen:
            return
        departed_at, ours = row.departed_at, bool(row.holder) and row.holder == self.node
        if ours and departed_at is None:
            departed_at = now  # an older row of ours: the channel is closed
        self._states[key] = _State(row.last_seen, departed_at, row.status_changed_at, row.agent_version)
        if ours:
            self._changed[key] = None
        else:
            self._changed.pop(key, None)

    def claim(self) -> None:
        """Write again every machine that we hold: the others had given us up."""
        for machine_key in self._open:
            self._changed[machine_key] = None

    # -- for the flush

    def take_dirty(self, most: int) -> list[Seen]:
        """Return up to ``most`` rows that changed since they were last taken."""
        keys = list(islice(self._changed, most))
        for key in keys:
            del self._changed[key]
        return [self._row(key, self._states[key]) for key in keys if key in self._states]

    def _row(self, key: str, state: _State) -> Seen:
        holder = self.node if key in self._open else self._elsewhere.get(key)
        return Seen(
            key, state.last_seen, state.departed_at, state.changed_at, state.agent_version, holder or None
        )

    def put_back(self, batch: Iterable[Seen]) -> None:
        """Mark rows as changed again, after a flush that failed."""
        for row in batch:
            if row.machine_key in self._states:
                self._changed[row.machine_key] = None
