"""What ``/metrics`` tells of a control plane, collected when somebody asks.

Labels hold words of closed lists only, never ids, names or addresses. What only the database
knows is asked at most every ``FRESH`` seconds, on another thread; machines are counted in turns,
so that a scrape of a large fleet holds nobody up.
"""

from __future__ import annotations

import asyncio
import platform
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from cryptography import x509

from landbridge_server import __version__
from landbridge_server.ca.keyring import load_certificate
from landbridge_server.edge import exposition
from landbridge_server.edge.exposition import COUNTER, GAUGE, HISTOGRAM, Family, Sample, by_label, gauge
from landbridge_server.identity.errors import REFUSALS
from landbridge_server.identity.sign_in_log import PAGE, SignIn, short_name
from landbridge_server.identity.token_endpoint import GRANTS
from landbridge_server.relay.sessions import ENDED, OPENED, REFUSED, SessionNews
from landbridge_server.store import load
from landbridge_server.store.database import StoreUnavailable

if TYPE_CHECKING:
    from landbridge_server.app.control_plane import ControlPlane

T = TypeVar("T")

FRESH = 10.0
"""Seconds for which an answer of the database is good."""

AT_ONCE = 2000
"""Machines that are counted before everybody else has a turn."""

STATUSES = ("Connected", "Disconnected", "Expired", "AwaitingConnection")
_GRANTS = frozenset({PAGE, *map(short_name, GRANTS)})


class Metrics:
    """Counts what passes, and collects the rest from ``plane``."""

    def __init__(self, plane: ControlPlane) -> None:
        """Count from now on."""
        self.plane = plane
        self._sign_ins: Counter[tuple[str, str]] = Counter()
        self._sessions: Counter[str] = Counter()
        self._bytes = 0
        self._load = load.Load({}, 0, 0)
        self._load_at = float("-inf")
        self._probe = 0.0
        self._up = 0

    def signed_in(self, sign_in: SignIn) -> None:
        """Count a sign-in."""
        grant = sign_in.grant if sign_in.grant in _GRANTS else "other"
        known = sign_in.number in REFUSALS
        self._sign_ins[
            grant, "succeeded" if not sign_in.number else f"AADSTS{sign_in.number}" if known else "other"
        ] += 1

    def session(self, news: SessionNews) -> None:
        """Count a session at the relay."""
        self._sessions[news.what] += 1
        self._bytes += news.bytes

    async def exposition(self) -> bytes:
        """Return everything in the format of Prometheus."""
        await self._ask_store()
        machines = await self._machines()
        return exposition.rendered(
            [*self._process(), *self._traffic(), *self._fleet(machines), *self._store()]
        )

    # -- the parts

    def _process(self) -> Iterator[Family]:
        plane, used = self.plane, resource.getrusage(resource.RUSAGE_SELF)
        about = {
            "version": __version__,
            "python": platform.python_version(),
            "store": "postgresql" if plane.db.shared else "sqlite",
        }
        yield Family("landbridge_build_info", GAUGE, "What runs; always 1.", [Sample(1, about)])
        seconds = used.ru_utime + used.ru_stime
        yield Family("process_cpu_seconds_total", COUNTER, "CPU time used.", [Sample(seconds)])
        yield gauge("process_resident_memory_bytes", "Memory in use.", _resident())
        yield gauge("process_open_fds", "Open file descriptors.", _descriptors())
        yield by_label(
            "landbridge_certificate_days_left",
            GAUGE,
            "Days until a certificate ends; below 0: it has ended.",
            "certificate",
            dict(self._days_left()),
        )

    def _traffic(self) -> Iterator[Family]:
        broker = self.plane.broker
        yield self.plane.requests.family()
        samples = [
            Sample(count, {"grant": grant, "outcome": outcome})
            for (grant, outcome), count in sorted(self._sign_ins.items())
        ]
        yield Family(
            "landbridge_sign_ins_total", COUNTER, "Sign-ins: 'succeeded', or the AADSTS code.", samples
        )
        standing = broker.everybody()
        yield gauge("landbridge_relay_sessions", "Sessions that are open at this node.", len(standing))
        yield gauge("landbridge_relay_listeners", "Machines that listen at this node.", len(broker.paths()))
        yield by_label(
            "landbridge_relay_sessions_total",
            COUNTER,
            "Sessions that were opened, have ended, or were refused.",
            "event",
            {word: self._sessions[word] for word in (OPENED, ENDED, REFUSED)},
        )
        total = self._bytes + sum(session.bytes for session in standing)
        yield Family(
            "landbridge_relay_bytes_total",
            COUNTER,
            "Bytes that senders and machines have sent through sessions, WebSocket framing included.",
            [Sample(total)],
        )

    def _fleet(self, machines: Counter[str]) -> Iterator[Family]:
        yield by_label(
            "landbridge_machines",
            GAUGE,
            "Enrolled machines by status; every node tells all of them.",
            "status",
            {status: machines[status] for status in STATUSES},
        )
        yield by_label(
            "landbridge_operations",
            GAUGE,
            "Operations of the last days by state.",
            "state",
            {state: self._load.operations.get(state, 0) for state in load.STATES},
        )
        yield by_label(
            "landbridge_work_items",
            GAUGE,
            "What machines are asked to do: waiting for them, or fetched and not ended.",
            "state",
            {"waiting": self._load.waiting, "fetched": self._load.fetched},
        )

    def _store(self) -> Iterator[Family]:
        yield gauge("landbridge_database_up", "Whether the database answered the last question.", self._up)
        yield gauge(
            "landbridge_database_read_seconds", "How long the last question took, about load.", self._probe
        )
        yield Family(
            "landbridge_database_write_duration_seconds",
            HISTOGRAM,
            "How long writes took, from their queue to the disk.",
            exposition.buckets(self.plane.db.write_times, {}),
        )
        waiting = self.plane.activity.waiting
        yield gauge("landbridge_activity_events_waiting", "Events that are not written yet.", waiting)

    # -- what takes a moment

    async def _ask_store(self) -> None:
        now = time.monotonic()
        if now - self._load_at < FRESH:
            return
        try:
            self._load = await self.plane.db.read_aside(load.measured)
            self._up = 1
        except StoreUnavailable:
            self._up = 0
        self._load_at, self._probe = now, time.monotonic() - now

    async def _machines(self) -> Counter[str]:
        found: Counter[str] = Counter()
        presence, now = self.plane.presence, self.plane.clock()
        for number, key in enumerate(presence.enrolled(), 1):
            found[presence.status(key, now)[0]] += 1
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
        return found

    def _days_left(self) -> Iterator[tuple[str, float]]:
        now, authority = self.plane.clock(), self.plane.authority
        yield "root", _days(authority.root, now)
        yield "issuing", _days(authority.issuing.certificate, now)
        try:
            yield "server", _days(load_certificate(self.plane.tls.file), now)
        except (OSError, ValueError):
            return  # somebody replaces it now


def _days(certificate: x509.Certificate, now: float) -> float:
    return round((certificate.not_valid_after_utc.timestamp() - now) / 86400, 2)


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def both(first: Callable[[T], None], second: Callable[[T], None]) -> Callable[[T], None]:
    """Return what tells two listeners."""

    def tell(news: T) -> None:
        first(news)
        second(news)

    return tell
