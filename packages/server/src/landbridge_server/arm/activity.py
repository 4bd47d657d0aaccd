"""What goes into the activity log, noted as it happens: writes, refusals, sign-ins, sessions.

Noting costs the request next to nothing: what happened is remembered in memory, and written in
batches (``reconcile.flush_activity``). A crash loses the events of the last second, never what
they were about. Requests that never reached a known type of a subscription of the caller's
tenant are not noted: nobody can write into somebody else's log, or fill it with nonsense. What
repeats is counted (``note_bounds``). No note holds a secret, a header or a body.
"""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable, Hashable, Mapping

from landbridge_server.arm.call import Call
from landbridge_server.arm.event_documents import ADMINISTRATIVE, DIRECTORY, NOBODY, Happened, Who, event
from landbridge_server.arm.note_bounds import STRANGERS, Bounds
from landbridge_server.identity.addresses import network_of
from landbridge_server.identity.caller import Caller
from landbridge_server.store.events import Event
from landbridge_wire.errors import ArmError

MOST = 20_000
"""Events that are remembered while the store cannot take them; then the oldest are lost, and counted."""

TICK = 1e-6
"""Seconds between two events at least: what their times can tell apart."""

UNNOTED = frozenset(
    {
        "InvalidApiVersionParameter",
        "InvalidAuthenticationTokenTenant",
        "InvalidResourceNamespace",
        "InvalidResourceType",
        "InvalidSubscriptionId",
        "MethodNotAllowed",
        "MissingApiVersionParameter",
        "NotFound",
        "SubscriptionNotFound",
    }
)
"""Refusals of what is no request about anything here."""

READING = frozenset({"GET", "HEAD"})
REPEATED = frozenset({"readoutput"})
"""Actions that read what grows, again and again: of equal ones within a minute the number is kept."""

REFUSED = frozenset({401, 403})

LOST = "Landbridge/activityLog/lost/action"
"""The action of the events that say how many others were not written."""


class Activity:
    """What happened and is not written yet."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Begin with nothing."""
        self.clock = clock
        self._waiting: deque[Happened] = deque(maxlen=MOST)
        self._summaries: deque[Happened] = deque(maxlen=MOST)
        self._bounds: Bounds[Happened] = Bounds(clock)
        self._last = 0.0
        self._lost = 0

    @property
    def waiting(self) -> int:
        """How many events are not written yet."""
        return len(self._waiting) + len(self._summaries)

    def note(self, call: Call, status: int, error: ArmError | None = None) -> None:
        """Remember how a request to the resource manager was answered: a write, or a refusal."""
        refused = status in REFUSED and error is not None
        if call.method in READING and not refused:
            return
        if error is not None and (error.code in UNNOTED or status == 429):
            return
        happened = Happened(
            self._now(),
            call.method,
            call.path,
            call.caller,
            call.request_id,
            id_of(call.headers.get("x-ms-correlation-request-id", ""), call.request_id),
            id_of(call.headers.get("x-ms-client-request-id", ""), ""),
            status,
            (error.code, error.message) if error is not None else None,
            call.address,
        )
        if refused or call.path.rpartition("/")[2].lower() in REPEATED:
            self._bounded(happened, (call.method, call.path.lower()), call.caller.object_id)
        else:
            self._remember(happened)

    def refused(
        self,
        error: ArmError,
        method: str,
        path: str,
        caller: Caller | None,
        address: str,
        headers: Mapping[str, str],
        request_id: str,
    ) -> None:
        """Remember what the edge refused: a request without a good token, or beyond the resource manager.

        Of strangers only the address and the first path of each are kept: paths are theirs to invent.
        """
        happened = Happened(
            self._now(),
            method,
            path[:2048],
            caller or NOBODY,
            request_id,
            id_of(headers.get("x-ms-correlation-request-id", ""), request_id),
            id_of(headers.get("x-ms-client-request-id", ""), ""),
            error.status,
            (error.code, error.message),
            address,
        )
        key = (method, path.lower()) if caller else (network_of(address), error.code)
        self._bounded(happened, key, caller.object_id if caller else STRANGERS)

    def directory_change(
        self,
        caller: Caller | Who,
        action: str,
        target: str,
        *,
        status: int = 200,
        error: tuple[str, str] | None = None,
        address: str = "",
        request_id: str = "",
        correlation_id: str = "",
        more: Mapping[str, str] | None = None,
    ) -> None:
        """Remember a write to the directory, done or refused with code and text.

            path = f"/providers/Microsoft.Graph/users/{object_id}"
            activity.directory_change(caller, "Microsoft.Graph/users/write", path, status=201)

        ``action`` is ``Microsoft.Graph/<collection>/<write|delete|addPassword/action|...>``,
        ``target`` the path of the object. Call it once for each write, after it was committed, or
        with the error that refused it: equal refusals are counted. ``more`` is shown as it is:
        never a secret.
        """
        self.happened(
            action,
            target,
            caller,
            method="POST",
            status=status,
            error=error,
            address=address,
            request_id=request_id,
            correlation_id=correlation_id,
            category=DIRECTORY,
            more=more or {},
        )

    def happened(
        self,
        action: str,
        path: str,
        caller: Caller | Who,
        *,
        method: str = "POST",
        status: int = 200,
        error: tuple[str, str] | None = None,
        address: str = "",
        request_id: str = "",
        correlation_id: str = "",
        category: str = ADMINISTRATIVE,
        more: Mapping[str, str] | None = None,
        equal: Hashable = None,
    ) -> None:
        """Remember anything else. With ``equal``, what has the same one is counted, within bounds.

        The budget is that of the caller, or of all strangers if the caller has no object id.
        """
        own_id = request_id or str(uuid.uuid4())
        one = Happened(
            self._now(),
            method,
            path,
            caller,
            own_id,
            id_of(correlation_id, own_id),
            "",
            status,
            error,
            address,
            action,
            category,
            more or {},
        )
        if equal is None and error is None:
            self._remember(one)
        else:
            self._bounded(one, (action, path, equal), caller.object_id or STRANGERS)

    def _now(self) -> float:
        # Each a little later than the one before: lists are in the order in which it happened.
        self._last = max(self.clock(), self._last + TICK)
        return self._last

    def _bounded(self, happened: Happened, key: Hashable, who: str) -> None:
        code = happened.error[0] if happened.error else ""
        whole_key = (who, key, code, happened.address if who else "", happened.category)
        if self._bounds.admit(happened, whole_key, who):
            self._remember(happened)

    def _remember(self, happened: Happened) -> None:
        self._lost += len(self._waiting) == MOST
        self._waiting.append(happened)

    def take(self, most: int) -> list[Event]:
        """Return up to ``most`` events, the oldest first, and forget them."""
        self._count_up()
        count = min(most, len(self._waiting))
        taken = [self._waiting.popleft() for _ in range(count)]
        while self._summaries and len(taken) < most:
            taken.append(self._summaries.popleft())
        return [event(one) for one in taken]

    def conclude(self) -> None:
        """Have everything that was only counted so far written with the next turn, as at the end."""
        self._count_up(all_of_them=True)

    def _count_up(self, *, all_of_them: bool = False) -> None:
        for note, count in self._bounds.repeated(all_of_them=all_of_them):
            self._summaries.append(note._replace(times=count))
        for who, count in self._bounds.exceeded(all_of_them=all_of_them):
            self._say_lost(count, "refusals and sign-ins beyond what may be written", who)
        if self._lost:
            lost, self._lost = self._lost, 0
            self._say_lost(lost, "events that the store could not take in time", "")

    def _say_lost(self, count: int, what: str, who: str) -> None:
        error = ("TooManyEvents", f"{count} {what} are not in this log.")
        note_id, by = str(uuid.uuid4()), Who(object_id=who)
        lost = Happened(self._now(), "", "/", by, note_id, note_id, "", 503, error, action=LOST, times=count)
        self._summaries.append(lost)


def id_of(unverified: str, default: str) -> str:
    """Return an id that a caller made up, if it can be one."""
    return unverified if 0 < len(unverified) <= 128 and unverified.isprintable() else default
