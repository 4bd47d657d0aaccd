"""The protocol that an upgraded connection meets first: it reads the request and decides.

uvicorn hands over the transport with the request head that it has read, and sets this
object as the transport's protocol afterwards; so the decision waits for the next turn of
the loop. Then the transport goes to a ``ControlSocket`` or a ``DataSocket``, or gets an
HTTP answer whose reason phrase says why, as WebSocket clients show nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from landbridge_server.relay.broker import Broker
from landbridge_server.relay.names import split_entity
from landbridge_server.relay.pending import Pending, Refusal
from landbridge_server.relay.sessions import REFUSED, SessionNews
from landbridge_server.relay.sockets import ControlSocket, peer_of
from landbridge_server.store.database import StoreUnavailable
from landbridge_wire import hybrid_connections as wire
from landbridge_wire import upgrade

_EARLY = 64 * 1024
"""How much a peer may send before its 101; RFC 6455 allows it nothing."""


class Doorkeeper(asyncio.Protocol):
    """Answers one opening request."""

    __slots__ = ("_broker", "_head", "_key", "_loop", "_pending", "_rest", "_timer", "_transport")

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._loop = asyncio.get_running_loop()
        self._rest = b""
        self._key = ""
        self._head = upgrade.Head("", [])
        self._pending: Pending | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport; its TLS handshake and its request are done."""
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Take the request head, whole; anything after it must wait for the 101."""
        self._rest += data
        if not self._key and self._timer is None:
            self._key = "-"
            self._loop.call_soon(self._decide)
        elif len(self._rest) > _EARLY:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a sender that no longer waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._broker.held -= 1
        if self._pending is not None:
            self._broker.forget(self._pending)

    def _decide(self) -> None:
        if self._transport.is_closing():
            return
        try:
            target = self._read_head()
        except Refusal as refusal:
            self.refuse(refusal.status, refusal.reason)
            return
        broker, path = self._broker, split_entity(target.path)[0]
        hasty = target.action == wire.LISTEN and broker.restless.hasty(path, self._loop.time())
        if hasty and broker.held < broker.limits.held:
            broker.held += 1
            self._timer = self._loop.call_later(broker.limits.refusal_hold, self._act_after_all, target)
        else:
            self._act(target)

    def _act_after_all(self, target: wire.Target) -> None:
        self._timer = None
        self._broker.held -= 1
        self._act(target)

    def _act(self, target: wire.Target) -> None:
        if self._transport.is_closing():
            return
        if self._broker.ending:
            self.refuse(503, "The relay is going away.")
            return
        hold = target.action == wire.LISTEN
        try:
            actions = {wire.LISTEN: self._listen, wire.CONNECT: self._connect, wire.ACCEPT: self._accept}
            if target.action not in actions:
                raise Refusal(400, "sb-hc-action must be listen, connect or accept.")
            actions[target.action](target)
        except Refusal as refusal:
            self._refuse_later(refusal) if hold else self.refuse(refusal.status, refusal.reason)
        except StoreUnavailable:
            lost = Refusal(503, "The control plane cannot reach its database. Try again in a moment.")
            self._refuse_later(lost) if hold else self.refuse(lost.status, lost.reason)

    def _read_head(self) -> wire.Target:
        try:
            length = upgrade.head_length(self._rest, self._broker.limits.head)
            if not length:
                raise Refusal(400, "The request head is not whole.")
            self._head, self._rest = upgrade.parse_head(self._rest[:length]), self._rest[length:]
            requested = self._head.start.split(" ")[1]
            if not requested.lower().startswith((wire.PREFIX, "/%24hc/")):
                raise Refusal(404, "Only addresses below /$hc/ speak WebSocket here.")
            self._key = upgrade.check_request(self._head)
            self._check_origin()
            return wire.parse_target(requested)
        except (upgrade.HandshakeError, wire.MalformedMessage) as error:
            raise Refusal(400, str(error)) from None

    def _check_origin(self) -> None:
        """Refuse a page of another site: browsers send WebSockets anywhere (RFC 6455 section 10.2)."""
        origin = self._head.get("Origin")
        if origin and origin.partition("://")[2].lower() != self._head.get("Host").lower():
            raise Refusal(403, "Pages of other origins may not open WebSockets here.")

    # -- the three actions

    def _listen(self, target: wire.Target) -> None:
        path, _ = split_entity(target.path)
        grant = self._broker.admit_listener(self._token(target), path)
        self.switch()
        broker = self._broker
        listener = ControlSocket(
            self._transport,
            broker.limits,
            path,
            self._base(),
            grant.expires_on,
            broker.clock,
            broker.handle,
            broker.detach,
        )
        self._transport.set_protocol(listener)
        broker.attach(listener)
        self.replay()

    def _connect(self, target: wire.Target) -> None:
        path, suffix = split_entity(target.path)
        who = ""
        try:
            who = self._broker.admission.of_sender(self._token(target), path)
            pending = Pending(path, suffix, target, who, self)
            pending.headers = self._connect_headers()
            pending.remote = self._caller()
            self._pending = pending
            self._broker.connect(pending)
        except Refusal as refusal:
            address = self._caller()[0]
            news = SessionNews(
                REFUSED, path, who or refusal.who, address, target.id[:128], refusal.status, refusal.reason
            )
            self._broker.on_session(news)
            raise

    def _accept(self, target: wire.Target) -> None:
        path, _ = split_entity(target.path)
        pending = self._broker.take(target.id, path)
        sender = pending.sender
        if sender.transport.is_closing():  # it has left in this very turn of the loop
            raise Refusal(404, self._broker.admission.not_there(path))
        if target.status_code is not None:
            status = target.status_code if 400 <= target.status_code < 600 else 502
            sender.refuse(status, target.status_description or "The listener rejected the connection.")
            raise Refusal(410, "The rejection was passed on.")
        # The listener's first sub-protocol is the one it has chosen (contract B4).
        chosen = self._protocols()[0] if self._protocols() else ""
        self.switch(chosen)
        sender.switch(chosen)
        self._broker.join(pending, sender.transport, self._transport)
        sender.replay()
        self.replay()

    # -- what the broker asks of a sender that waits

    @property
    def transport(self) -> asyncio.Transport:
        """The transport of this request."""
        return self._transport

    def switch(self, protocol: str = "") -> None:
        """Send the 101; the transport's next protocol follows."""
        self._pending = None
        chosen = [("Sec-WebSocket-Protocol", protocol)] if protocol in self._protocols() else []
        self._transport.write(upgrade.accept_head(self._key, chosen))

    def replay(self) -> None:
        """Give what came before the 101 to the transport's new protocol."""
        if self._rest:
            self._transport.get_protocol().data_received(self._rest)  # type: ignore[attr-defined]

    # -- parts

    def _caller(self) -> tuple[str, int]:
        """Return the sender's address; behind a proxy that is trusted, what that says of it."""
        address, port = peer_of(self._transport)
        named = [value for name, value in self._head.headers if name.lower() == "x-forwarded-for"]
        return self._broker.caller(address, named), port

    def _token(self, target: wire.Target) -> str:
        return self._head.get(wire.TOKEN_HEADER) or target.token

    def _base(self) -> str:
        """Return how this listener reached us: it will reach the rendezvous the same way."""
        secure = self._transport.get_extra_info("ssl_object") or self._transport.get_extra_info("sslcontext")
        return f"{'wss' if secure else 'ws'}://{self._head.get('Host')}"

    def _connect_headers(self) -> dict[str, str]:
        """Return what the listener is told of the sender's headers.

        Sec-WebSocket-Key stays, as hyco-ws cannot live without it; Sec-WebSocket-Extensions
        goes, as hyco-ws would answer it with a broken header (contract B4).
        """
        headers: dict[str, str] = {}
        size = 0
        for name, value in self._head.headers:
            size += len(name) + len(value)
            if name.lower() != "sec-websocket-extensions":
                headers.setdefault(name, value)
        if size > self._broker.limits.connect_headers:
            raise Refusal(431, f"The headers are larger than {self._broker.limits.connect_headers} bytes.")
        return headers

    def _protocols(self) -> list[str]:
        offered = self._head.get("Sec-WebSocket-Protocol")
        return [name.strip() for name in offered.split(",") if name.strip()]

    # -- refusals

    def _refuse_later(self, refusal: Refusal) -> None:
        """Keep a refused listener waiting: hyco-ws answers a quick refusal with a storm."""
        broker = self._broker
        if broker.held >= broker.limits.held:
            self.refuse(refusal.status, refusal.reason)
            return
        broker.held += 1
        self._timer = self._loop.call_later(
            broker.limits.refusal_hold, self.refuse, refusal.status, refusal.reason
        )

    def refuse(self, status: int, reason: str) -> None:
        """Answer with a status; the reason is both the phrase and the body."""
        self._pending = None
        if self._transport.is_closing():
            return
        text = _printable(reason) or "Refused"
        body = text.encode() + b"\n"
        headers = [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
        ]
        self._transport.write(upgrade.build_head(f"HTTP/1.1 {status} {text}", headers) + body)
        self._transport.close()


def _printable(text: str) -> str:
    """Keep what a reason phrase may hold, at most 512 characters of ASCII: a listener may have sent it."""
    return "".join(char if " " <= char <= "~" else " " for char in text[:512]).strip()


def upgraded_to(broker: Broker) -> Callable[..., asyncio.Protocol]:
    """Return what uvicorn calls as its ``ws`` protocol class for each upgrade."""

    def make(**unused: Any) -> asyncio.Protocol:
        return Doorkeeper(broker)

    return make
