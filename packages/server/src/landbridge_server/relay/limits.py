"""The bounds of the relay in one place; tests wind them down, nothing else reads a clock."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Times in seconds, sizes in bytes.

    ``recent``: a sender is held for ``hold`` seconds while the machine's last listener left
    (or the relay started) less than this ago, because the agent comes back within that.
    ``refusal_hold``: how long a refused listener waits for its answer; hyco-ws dials again
    at once and twice, so a quick refusal is answered by a storm. At most ``held`` wait. One whose
    channels end within ``brief`` seconds, twice in a row, waits as long for its 101.
    ``data_beats`` is long because a stopped client (Ctrl-Z, a sleeping laptop) cannot answer
    pings; a dead one is found by TCP as soon as anything is sent to it.
    """

    listeners_per_path: int = 25
    pending_per_path: int = 64
    pending_total: int = 4096
    sessions_per_path: int = 512
    rendezvous: float = 30.0
    recent: float = 30.0
    hold: float = 8.0
    refusal_hold: float = 1.5
    brief: float = 1.0  # a control channel that ends sooner makes its machine restless
    held: int = 1024
    control_texts: int = 200  # messages of a listener between two pings; each costs reads
    head: int = 48 * 1024
    connect_headers: int = 32 * 1024
    ping: float = 25.0
    control_beats: int = 3  # pings without any answer before a control channel is dropped
    data_beats: int = 12
    linger: float = 5.0  # for a close handshake, as long as nothing moves
    high_water: int = 512 * 1024
    low_water: int = 128 * 1024
