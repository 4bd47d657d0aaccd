"""The listener of a hybrid connection as a state machine without I/O.

A driver (the agent's daemon) owns the sockets and feeds a ``Listener`` with what happens;
each method returns commands for the driver to carry out, in order::

    listener = Listener(ListenerConfig(), random.random, now)
    commands = listener.start(now)            # [RenewToken()], then [Dial()]
    listener.token_renewed(token, valid_for, now)   # the driver fetched one
    listener.token_failed(status, reason, now)      # ... or could not
    listener.opened(now)                      # the control channel's 101 has come
    listener.failed(status, reason, now)      # ... or it has not; status None: no answer at all
    listener.received(now)                    # any byte came in: the peer lives
    listener.receive_text(text, now)          # a whole text message of the control channel
    listener.closed(code, reason, now)        # the control channel ended
    listener.send_heartbeat(body, now)        # our own addition, see HEARTBEAT
    listener.tick(now)                        # call at or after ``listener.deadline``
    listener.stop(now)

``now`` is any clock that only goes forward (``time.monotonic``), in seconds. Token life is
given as seconds from now, so a wrong wall clock on a machine does no harm.

Commands: ``Dial``, ``RenewToken``, ``SendText``, ``SendPing``, ``Accept``, ``Heartbeat``,
``Close``, ``Drop``, ``Reconnect``. A ``Reconnect`` only tells when the next ``Dial`` will
come and why; ``tick`` gives that ``Dial``. There is never more than one attempt under way.

Established data sockets are not this module's: losing the control channel leaves them be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from landbridge_wire.hybrid_connections import (
    HEARTBEAT_REPLY,
    heartbeat_message,
    parse_control,
    renew_token_message,
)
from landbridge_wire.hybrid_connections import MalformedMessage as MalformedMessage


@dataclass(frozen=True)
class Dial:
    """Open the control channel with ``token``, then call ``opened`` or ``failed``."""

    token: str = field(repr=False)


@dataclass(frozen=True)
class RenewToken:
    """Fetch a new listen token, then call ``token_renewed`` or ``token_failed``."""


@dataclass(frozen=True)
class SendText:
    """Send a text message on the control channel. May hold a token: do not log it."""

    text: str = field(repr=False)


@dataclass(frozen=True)
class SendPing:
    """Send a ping on the control channel."""


@dataclass(frozen=True)
class Accept:
    """A sender wants in: dial ``address`` (or ``refusal`` of it) within 30 s.

    ``headers`` are the sender's, unverified; ``header(name)`` ignores case.
    """

    address: str
    id: str
    headers: dict[str, str] = field(repr=False)
    remote: str = ""

    def header(self, name: str) -> str:
        """Return a header of the sender, or an empty text."""
        name = name.lower()
        return next((value for key, value in self.headers.items() if key.lower() == name), "")


@dataclass(frozen=True)
class Heartbeat:
    """The control plane answered a heartbeat; ``body`` is an ``agent_api.HeartbeatReply``."""

    body: dict[str, Any]


@dataclass(frozen=True)
class Close:
    """Send a close frame on the control channel and end it."""

    code: int
    reason: str


@dataclass(frozen=True)
class Drop:
    """Abort the control channel without a handshake: the peer is silent."""

    reason: str


@dataclass(frozen=True)
class Reconnect:
    """The next attempt comes at ``at``; for logs and ``show``. Nothing to do before."""

    at: float
    why: str


Command = Dial | RenewToken | SendText | SendPing | Accept | Heartbeat | Close | Drop | Reconnect


class Backoff:
    """Delays between attempts: 0.5 to 1 s at first, then doubling with jitter up to a cap.

    The jitter (the upper half of each step) keeps a fleet from coming back in one wave.
    """

    def __init__(self, random: Callable[[], float], first: float = 1.0) -> None:
        self._random = random
        self._first = first
        self._attempt = 0

    def next(self, cap: float) -> float:
        """Return how long to wait before the next attempt, never more than ``cap`` seconds."""
        step = min(cap, self._first * 2.0 ** min(self._attempt, 16))
        self._attempt += 1
        return step * (0.5 + 0.5 * self._random())

    def reset(self) -> None:
        """Begin anew: the connection has proven itself."""
        self._attempt = 0


@dataclass(frozen=True)
class ListenerConfig:
    """How a listener behaves; all in seconds.

    ``unreachable_cap`` bounds the wait while nobody answers at all: a control plane that
    is started again is found within 10 s, and knocking at a closed port costs it nothing.
    ``cap`` bounds the wait after an answer that refuses. ``stable`` is how long a channel
    must have stood before the back-off begins anew. ``attempt`` bounds one dial or renewal.
    """

    ping: float = 25.0
    silence: float = 60.0
    renew_before: float = 300.0
    first: float = 1.0
    unreachable_cap: float = 7.0
    cap: float = 30.0
    stable: float = 10.0
    attempt: float = 20.0


_IDLE, _WAITING, _RENEWING, _DIALLING, _OPEN, _STOPPED = range(6)
_NEVER = float("inf")


class Listener:
    """The state machine of one control channel; see the module's text for its use.

    An event that does not fit the state (a late ``failed``, a second ``closed``) is ignored:
    drivers race with their sockets, and a second back-off must not come of that.
    """

    def __init__(self, config: ListenerConfig, random: Callable[[], float], now: float) -> None:
        self._config = config
        self._backoff = Backoff(random, config.first)
        self._state = _IDLE
        self._token = ""
        self._token_ends = now
        self._wake = _NEVER  # of a wait, a dial or a renewal
        self._heard = self._pinged = self._since = now
        self._renew_at = _NEVER  # while open
        self._renewing = False  # while open: a RenewToken is out

    @property
    def connected(self) -> bool:
        """The control channel stands."""
        return self._state == _OPEN

    @property
    def deadline(self) -> float:
        """When ``tick`` is due; infinity if nothing is."""
        if self._state != _OPEN:
            return self._wake
        config = self._config
        return min(self._pinged + config.ping, self._heard + config.silence, self._renew_at)

    def start(self, now: float) -> list[Command]:
        """Begin; a second start does nothing."""
        return self._attempt(now) if self._state == _IDLE else []

    def stop(self, now: float) -> list[Command]:
        """End for good: no command comes after this one's."""
        was_open, self._state, self._wake = self.connected, _STOPPED, _NEVER
        return [Close(1001, "The listener is going away.")] if was_open else []

    def token_renewed(self, token: str, valid_for: float, now: float) -> list[Command]:
        """Take a token that lives ``valid_for`` seconds from now."""
        self._token, self._token_ends = token, now + valid_for
        if self._state == _RENEWING:
            return self._dial(now)
        if self._state == _OPEN:
            self._plan_renewal(now)
            return [SendText(renew_token_message(token))]
        return []

    def token_failed(self, status: int | None, reason: str, now: float) -> list[Command]:
        """Note that no token could be had; ``status`` is None when nobody answered."""
        if self._state == _RENEWING:
            return self._wait(status, reason, now)
        if self._state == _OPEN and self._renewing:
            self._renewing = False
            self._renew_at = now + self._config.cap
        return []

    def opened(self, now: float) -> list[Command]:
        """Note that the control channel stands."""
        if self._state != _DIALLING:
            return []
        self._state = _OPEN
        self._heard = self._pinged = self._since = now
        self._plan_renewal(now)
        return []

    def failed(self, status: int | None, reason: str, now: float) -> list[Command]:
        """Note that the dial did not succeed; ``status`` is None when nobody answered.

        A 401 or 403 also gives up the token, so that the next attempt fetches another.
        """
        if self._state != _DIALLING:
            return []
        if status in (401, 403):
            self._token_ends = now
        return self._wait(status, reason, now)

    def closed(self, code: int, reason: str, now: float) -> list[Command]:
        """Note that the control channel ended, with what its close frame said (1006: none)."""
        if self._state != _OPEN:
            return []
        if code == 1008:  # the relay no longer takes our token
            self._token_ends = now
        if now - self._since >= self._config.stable:
            self._backoff.reset()
        unreachable = code in (1001, 1006, 1011, 1012)
        return self._wait(None if unreachable else code, reason or f"closed with {code}", now)

    def received(self, now: float) -> None:
        """Note that the peer lives: call it for every read."""
        self._heard = now

    def receive_text(self, text: str, now: float) -> list[Command]:
        """Read a control message; one of an unknown kind is ignored.

        Raises:
            MalformedMessage: close with 1008 and call ``closed``.
        """
        self._heard = now
        if self._state != _OPEN:
            return []
        kind, body = parse_control(text)
        if kind == "accept":
            return [_accept(body)]
        return [Heartbeat(body)] if kind == HEARTBEAT_REPLY else []

    def send_heartbeat(self, body: dict[str, Any], now: float) -> list[Command]:
        """Return the heartbeat if the channel stands; nothing (use HTTPS) if it does not."""
        return [SendText(heartbeat_message(body))] if self._state == _OPEN else []

    def tick(self, now: float) -> list[Command]:
        """Do what is due at ``now``."""
        if self._state == _OPEN:
            return self._tick_open(now)
        if now < self._wake:
            return []
        if self._state == _WAITING:
            return self._attempt(now)
        if self._state in (_RENEWING, _DIALLING):
            return [Drop("no answer in time"), *self._wait(None, "no answer in time", now)]
        return []

    def _tick_open(self, now: float) -> list[Command]:
        config = self._config
        if now >= self._heard + config.silence:
            why = f"nothing heard for {config.silence:.0f} s"
            return [Drop(why), *self.closed(1006, why, now)]
        commands: list[Command] = []
        if now >= self._pinged + config.ping:
            self._pinged = now
            commands.append(SendPing())
        if now >= self._renew_at:
            self._renewing, self._renew_at = True, now + config.attempt
            commands.append(RenewToken())
        return commands

    def _attempt(self, now: float) -> list[Command]:
        # A token about to end is not worth a dial: the channel would be dropped at once.
        if self._token_ends - now > min(60.0, self._config.renew_before):
            return self._dial(now)
        self._state, self._wake = _RENEWING, now + self._config.attempt
        return [RenewToken()]

    def _dial(self, now: float) -> list[Command]:
        self._state, self._wake = _DIALLING, now + self._config.attempt
        return [Dial(self._token)]

    def _wait(self, status: int | None, why: str, now: float) -> list[Command]:
        config = self._config
        cap = config.unreachable_cap if status is None else config.cap
        self._state, self._wake = _WAITING, now + self._backoff.next(cap)
        self._renewing, self._renew_at = False, _NEVER
        return [Reconnect(self._wake, why)]

    def _plan_renewal(self, now: float) -> None:
        """Renew well before the end, but never more often than every few seconds."""
        self._renewing = False
        left = self._token_ends - now
        self._renew_at = now + max(left - self._config.renew_before, left / 2, 5.0)


def _accept(body: dict[str, Any]) -> Accept:
    where, id, headers = body.get("address"), body.get("id"), body.get("connectHeaders", {})
    if not isinstance(where, str) or not isinstance(id, str) or not isinstance(headers, dict):
        raise MalformedMessage("'accept' needs address, id and connectHeaders.")
    remote = body.get("remoteEndpoint")
    peer = f"{remote.get('address')}:{remote.get('port')}" if isinstance(remote, dict) else ""
    texts = {name: value for name, value in headers.items() if isinstance(value, str)}
    return Accept(where, id, texts, peer)
