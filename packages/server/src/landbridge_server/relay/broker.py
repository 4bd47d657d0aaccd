"""The broker: which listeners stand, which senders wait, and who is joined with whom.

A sender's way: ``connect`` offers it to the newest listener of its path, which dials the
rendezvous within 30 s, where ``protocol`` takes it from ``pending`` and joins the two.
A machine whose listener left a moment ago is waited for, then the answer is 404.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Any

from landbridge_server.relay import sas
from landbridge_server.relay.admission import Admission
from landbridge_server.relay.directory import RelayDirectory
from landbridge_server.relay.limits import Limits
from landbridge_server.relay.neighbours import Alone, Neighbours
from landbridge_server.relay.pending import Pending, Refusal
from landbridge_server.relay.restless import Restless
from landbridge_server.relay.sessions import OnSession, Session, nobody_listens, refused
from landbridge_server.relay.sockets import ControlSocket, DataSocket
from landbridge_wire import hybrid_connections as wire
from landbridge_wire import websocket

RECHECKED_AT_ONCE = 20
"""Machines whose senders are looked at in one turn of the loop: each costs some point reads."""


class Broker:
    """Belongs to one event loop; everything is in memory and bounded by ``Limits``.

    ``hosts`` are as for ``Admission``. ``clock`` is unix time, for tokens. The callbacks may be
    replaced until the first listener comes; ``on_heartbeat`` may raise ``ValueError``, which closes
    the channel.
    """

    def __init__(
        self,
        directory: RelayDirectory,
        master: bytes,
        clock: Callable[[], float],
        hosts: Collection[str] = (),
        limits: Limits | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.clock = clock
        self.held = 0  # listeners, refused or restless, that still wait for their answer
        self.ending = False
        self.restless = Restless(self.limits.brief, self.limits.refusal_hold)
        self.on_listener_up: Callable[[str], None] = lambda path: None
        self.on_listener_down: Callable[[str], None] = lambda path: None
        self.on_heartbeat: Callable[[str, dict[str, Any]], dict[str, Any] | None] = lambda path, body: None
        self.on_session: OnSession = nobody_listens
        self.offline_since: Callable[[str], float | None] = lambda path: None
        self.caller: Callable[[str, Sequence[str]], str] = lambda peer, forwarded: peer
        self.neighbours: Neighbours = Alone()
        self.base = ""  # wss://host:port of this node, if the name that listeners use may lead elsewhere
        self.admission = Admission(directory, master, clock, hosts)
        self._directory = directory
        self._started = clock()
        self._listeners: dict[str, list[ControlSocket]] = {}
        self._left: dict[str, float] = {}  # path -> when its last listener left
        self._pending: dict[str, Pending] = {}  # by rendezvous
        self._waiting: dict[str, list[Pending]] = {}  # by path, all of them
        self._waiting_total = 0
        self._sessions: dict[str, set[Session]] = {}

    # -- for the rest of the control plane

    def admit_listener(self, token: str, path: str) -> sas.Grant:
        """Verify a listener's token, that its machine is there, and that there is room.

        Raises:
            Refusal: 401, 403 or 404.
        """
        grant = self.admission.of_listener(token, path)
        if len(self._listeners.get(path, ())) >= self.limits.listeners_per_path:
            raise Refusal(403, f"At most {self.limits.listeners_per_path} listeners may stand at once.")
        return grant

    def listening(self, path: str) -> bool:
        """Tell whether a control channel of ``path`` stands."""
        return path in self._listeners

    async def answers(self, path: str, seconds: float) -> bool:
        """Say whether a control channel of ``path`` stands at whose end somebody answers in time."""
        asked = [listener.answers(seconds) for listener in self._listeners.get(path, ())]
        return any(await asyncio.gather(*asked))

    def tell(self, path: str, reply: dict[str, Any]) -> bool:
        """Send a heartbeat's reply that nobody asked for; False if no control channel of ``path`` takes it.

        To all of them: an older one may be the dead end of a connection that was cut, or the living one.
        """
        standing = self._listeners.get(path)
        if not standing:
            return False
        text = wire.heartbeat_reply_message(reply)
        return any([listener.send(text) for listener in standing])

    def sessions(self, path: str) -> int:
        """Return how many senders are joined with the machine at ``path``."""
        return len(self._sessions.get(path, ()))

    def everybody(self) -> list[Session]:
        """Return all sessions of this node."""
        return [session for standing in self._sessions.values() for session in standing]

    def close(self, path: str, code: int = websocket.GOING_AWAY) -> None:
        """End everything of ``path``: its listeners, those who wait, and the sessions."""
        for listener in list(self._listeners.get(path, ())):
            listener.close(code, "The hybrid connection was deleted or disabled.")
        for pending in list(self._waiting.get(path, ())):
            self._refuse(pending, 404, self.admission.not_there(path))
        for session in list(self._sessions.get(path, ())):
            self._end(session, "The machine was removed.")

    def recheck_listeners(self, path: str) -> None:
        """Close the control channels of ``path`` whose token is of a key that the machine had before."""
        for listener in list(self._listeners.get(path, ())):
            if not self._directory.may_listen(path, listener.expires_on):
                listener.close(websocket.POLICY_VIOLATION, "The machine has got another key.")

    async def recheck(self) -> None:
        """Ask the directory again for all who send or wait; end what it no longer allows.

        Call it every second: a session that is open would otherwise outlive the right to open it. Its
        cost grows with the sessions, not with the listeners: those are ended by ``close`` when their
        machine is removed, and asked again when they renew their token. What the directory raises ends
        it: nobody is judged by what could not be read.
        """
        for number, path in enumerate([*{*self._waiting, *self._sessions}], 1):
            if self._directory.entity(path) is None:
                self.close(path)
            else:
                self._recheck_senders(path)
            if number % RECHECKED_AT_ONCE == 0:
                await asyncio.sleep(0)

    def _recheck_senders(self, path: str) -> None:
        allowed: dict[str, bool] = {}
        for entry in [*self._waiting.get(path, ()), *self._sessions.get(path, ())]:
            if entry.who not in allowed:
                allowed[entry.who] = self._directory.may_send(entry.who, path)
            if allowed[entry.who]:
                continue
            if isinstance(entry, Pending):
                self._refuse(entry, 403, wire.UNAUTHORIZED_SEND)
            else:
                self._end(entry, "The right to connect to this machine was taken away.")

    def shut_down(self) -> None:
        """End everything: the process stops, and takes in nobody who still waits to be let in."""
        self.ending = True
        for path in {*self._listeners, *self._waiting, *self._sessions}:
            for listener in list(self._listeners.get(path, ())):
                listener.close(websocket.GOING_AWAY, "The relay is going away.")
            for pending in list(self._waiting.get(path, ())):
                self._refuse(pending, 503, "The relay is going away.")
            for session in list(self._sessions.get(path, ())):
                self._end(session, "The relay is going away.")

    # -- listeners

    def attach(self, listener: ControlSocket) -> None:
        """Take a listener whose 101 was sent; senders that wait are offered to it."""
        standing = self._listeners.setdefault(listener.path, [])
        standing.append(listener)
        if len(standing) == 1:
            self._left.pop(listener.path, None)
            self.on_listener_up(listener.path)
        for pending in list(self._waiting.get(listener.path, ())):
            if pending.abroad or pending.rendezvous not in self._pending:
                self._offer(pending)

    def detach(self, listener: ControlSocket) -> None:
        """Forget a listener that is gone."""
        standing = self._listeners.get(listener.path, [])
        if listener in standing:
            standing.remove(listener)
            self.restless.left(listener.path, listener.began, asyncio.get_running_loop().time())
            if not standing:
                del self._listeners[listener.path]
                self._note_left(listener.path)
                self.on_listener_down(listener.path)

    def _note_left(self, path: str) -> None:
        """Remember a departure for ``recent`` seconds, so that the table does not grow."""
        now = self.clock()
        if len(self._left) >= 1024:
            self._left = {p: at for p, at in self._left.items() if now - at < self.limits.recent}
        self._left[path] = now

    def handle(self, listener: ControlSocket, text: str) -> None:
        """Act on a listener's message; one of an unknown kind is ignored.

        Raises:
            ValueError: the channel is to be closed with 1008.
        """
        kind, body = wire.parse_control(text)
        if kind == "renewToken":
            try:
                grant = self.admission.of_renewal(str(body.get("token", "")), listener.path)
            except Refusal as refusal:
                raise ValueError(refusal.reason) from None
            listener.renew(grant.expires_on)
        elif kind == wire.HEARTBEAT:
            reply = self.on_heartbeat(listener.path, body)
            if reply is not None:
                listener.send(wire.heartbeat_reply_message(reply))

    # -- senders

    def connect(self, pending: Pending) -> None:
        """Offer a sender to a listener, or hold it for one that should come back soon.

        Raises:
            Refusal: 404 without a listener, 503 when too many wait.
        """
        path, limits = pending.path, self.limits
        waiting = len(self._waiting.get(path, ()))
        if waiting >= limits.pending_per_path or self._waiting_total >= limits.pending_total:
            raise Refusal(503, "Too many connections wait for this machine. Try again in a moment.")
        # Those who wait become sessions whenever the machine answers: they count from now on.
        if len(self._sessions.get(path, ())) + waiting >= limits.sessions_per_path:
            raise Refusal(503, f"This machine already has {limits.sessions_per_path} sessions.")
        self._waiting.setdefault(path, []).append(pending)
        self._waiting_total += 1
        if self._offer(pending):
            return
        left = max(self._left.get(path, self._started), self.neighbours.left_at(path))
        if self.clock() - left >= limits.recent:
            self.forget(pending)
            raise Refusal(404, self.admission.not_there(path, self.offline_since(path)))
        self._hold(pending)

    def _hold(self, pending: Pending) -> None:
        """Let a sender wait for a listener to come."""
        if pending.timer is not None:
            pending.timer.cancel()
        pending.timer = asyncio.get_running_loop().call_later(self.limits.hold, self._gone, pending)

    def _offer(self, pending: Pending) -> bool:
        """Send ``accept`` to the newest listener that takes it, here or at another node.

        The newest: an older one may be the dead end of a connection that was cut.
        """
        here = any(
            listener.send(self._accept(pending, self.base or listener.base))
            for listener in reversed(self._listeners.get(pending.path, []))
        )
        if not here:
            text = self._accept(pending, self.neighbours.base)
            if not self.neighbours.offer(pending.path, pending.rendezvous, text):
                return False
        if pending.timer is not None:
            pending.timer.cancel()
        pending.abroad = "" if here else self.neighbours.holder(pending.path)
        self._pending[pending.rendezvous] = pending
        loop = asyncio.get_running_loop()
        pending.timer = loop.call_later(self.limits.rendezvous, self._late, pending)
        return True

    def _accept(self, pending: Pending, base: str) -> str:
        """Return the message that makes a machine dial ``base`` for a sender that waits there."""
        path = f"{pending.path}/{pending.suffix}" if pending.suffix else pending.path
        address = wire.address(base, path, wire.ACCEPT, pending.rendezvous, pending.query)
        remote = pending.remote if pending.remote[0] else None
        return wire.accept_message(address, pending.id, pending.headers, remote)

    # -- other nodes

    def hand_over(self, path: str, accept: str) -> bool:
        """Send another node's ``accept`` to our newest listener; False if none takes it."""
        return any(listener.send(accept) for listener in reversed(self._listeners.get(path, [])))

    def declined(self, rendezvous: str) -> None:
        """Hold a sender whose machine was not where we thought: it should come back soon."""
        pending = self._pending.get(rendezvous)
        if pending is not None and pending.abroad:
            del self._pending[rendezvous]
            self._hold(pending)

    def offer_again(self) -> None:
        """Offer those who wait once more: there is news of where machines are.

        Whoever asked a node that no longer holds the machine would wait in vain for it.
        """
        for pending in [one for waiting in self._waiting.values() for one in waiting]:
            if pending.abroad and self.neighbours.holder(pending.path) != pending.abroad:
                self.declined(pending.rendezvous)
            if pending.rendezvous not in self._pending:
                self._offer(pending)

    def paths(self) -> list[str]:
        """Return where control channels stand."""
        return list(self._listeners)

    def _gone(self, pending: Pending) -> None:
        self._refuse(pending, 404, self.admission.not_there(pending.path, self.offline_since(pending.path)))

    def _late(self, pending: Pending) -> None:
        text = f"The machine did not answer within {self.limits.rendezvous:.0f} s."
        self._refuse(pending, 504, text)

    def _refuse(self, pending: Pending, status: int, reason: str) -> None:
        self.forget(pending)
        self.on_session(refused(pending, status, reason))
        pending.sender.refuse(status, reason)

    def forget(self, pending: Pending) -> None:
        """Drop a sender that waits no longer; its address is void from now on."""
        if pending.timer is not None:
            pending.timer.cancel()
        self._pending.pop(pending.rendezvous, None)
        waiting = self._waiting.get(pending.path, [])
        if pending in waiting:
            waiting.remove(pending)
            self._waiting_total -= 1
        if not waiting:
            self._waiting.pop(pending.path, None)

    def take(self, rendezvous: str, path: str) -> Pending:
        """Return the sender that waits at an address, which is void afterwards.

        Raises:
            Refusal: 404, unknown, used, or too late.
        """
        pending = self._pending.get(rendezvous)
        if pending is None or pending.path != path:
            raise Refusal(404, self.admission.not_there(path))
        self.forget(pending)
        return pending

    # -- sessions

    def join(self, pending: Pending, sender: asyncio.Transport, listener: asyncio.Transport) -> None:
        """Splice two transports whose 101s were sent; they belong to the session from now on."""

        def ended() -> None:
            if session in standing:  # each half ends
                standing.remove(session)
                self.on_session(session.ended(self.clock()))
            if not standing and self._sessions.get(pending.path) is standing:
                del self._sessions[pending.path]

        one = DataSocket(sender, self.limits, listens=False, ended=ended)
        other = DataSocket(listener, self.limits, listens=True, ended=ended)
        DataSocket.splice(one, other)
        session = Session(pending, one, other, self.clock())
        standing = self._sessions.setdefault(pending.path, set())
        standing.add(session)
        sender.set_protocol(one)
        listener.set_protocol(other)
        self.on_session(session.opened())

    def _end(self, session: Session, why: str) -> None:
        session.sender.close(websocket.POLICY_VIOLATION, why)
        session.listener.close(websocket.GOING_AWAY, why)
