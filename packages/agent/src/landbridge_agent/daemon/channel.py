"""Drive the wire's ``Listener``: carry out its commands, and tell it what happened.

One attempt at a time is under way, in one task; everything else happens in the callbacks of
the control channel's link. The heartbeat goes over the channel, or over HTTPS without it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace

from landbridge_agent.daemon.control_plane import CLONED, ControlPlane, Refused
from landbridge_agent.daemon.link import Link, LinkRefused, open_link
from landbridge_agent.daemon.log import Log
from landbridge_agent.daemon.rendezvous import Rendezvous
from landbridge_agent.daemon.status import Status
from landbridge_agent.dial import Dialer, Unreachable
from landbridge_wire import agent_api
from landbridge_wire.hybrid_connections import MAX_CONTROL_TEXT, TOKEN_HEADER
from landbridge_wire.listener import (
    Accept,
    Close,
    Command,
    Dial,
    Drop,
    Heartbeat,
    Listener,
    ListenerConfig,
    MalformedMessage,
    Reconnect,
    RenewToken,
    SendPing,
    SendText,
)
from landbridge_wire.websocket import PING, POLICY_VIOLATION, TEXT, MessageBuffer, Piece, ProtocolError

READ_SIZE = 16 * 1024
GOING_AWAY = 1001

GONE = (
    "If the machine was deleted in the cloud, run azcmagent disconnect --force-local-only, "
    "then connect it again."
)


class Channel:
    """The control channel of one machine; it is its link's ``Sink``."""

    def __init__(
        self,
        api: ControlPlane,
        dialer: Dialer,
        rendezvous: Rendezvous,
        status: Status,
        log: Log,
        clock: Callable[[], float],
        random: Callable[[], float],
        heartbeat: Callable[[], agent_api.Heartbeat],
        answered: Callable[[agent_api.HeartbeatReply], None],
        established: Callable[[agent_api.Session], None],
        config: ListenerConfig,
    ) -> None:
        loop = asyncio.get_running_loop()
        self._api, self._dialer, self._rendezvous = api, dialer, rendezvous
        self._status, self._log, self._clock = status, log, clock
        self._heartbeat, self._answered, self._established = heartbeat, answered, established
        self._now = loop.time
        self._listener = Listener(config, random, loop.time())
        self._session: agent_api.Session | None = None
        self._link: Link | None = None
        self._messages = MessageBuffer(MAX_CONTROL_TEXT)
        # What came in the same read as the relay's 101, before our task could note the opening.
        self._early: list[str] = []
        self._attempt: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._beat = asyncio.Event()
        self._gone = asyncio.Event()
        self._contact = float("-inf")

    async def run(self) -> None:
        """Listen until cancelled; then close the channel cleanly."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                tasks.create_task(self._beats())
                self._do(self._listener.start(self._now()))
                await self._ticks()
        finally:
            await self._leave()

    async def _ticks(self) -> None:
        while True:
            self._do(self._listener.tick(self._now()))
            self._wake.clear()
            wait = self._listener.deadline - self._now()
            try:
                async with asyncio.timeout(None if wait == float("inf") else max(wait, 0.0)):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _leave(self) -> None:
        link, self._link = self._link, None
        self._status.channel_open = False
        for command in self._listener.stop(self._now()):
            if isinstance(command, Close) and link is not None:
                link.close(command.code, command.reason)
                try:
                    async with asyncio.timeout(1.0):
                        await self._gone.wait()
                except TimeoutError:
                    link.abort()

    def redial(self, why: str) -> None:
        """End the channel and come back at once by the way that is configured now; sessions stay."""
        self._log.debug(f"The control channel is made anew: {why}")
        if self._link is not None:
            self._link.close(GOING_AWAY, why)

    # -- commands ------------------------------------------------------------------------------

    def _do(self, commands: list[Command]) -> None:
        for command in commands:
            self._carry_out(command)
        self._wake.set()  # the deadline may have changed

    def _carry_out(self, command: Command) -> None:
        match command:
            case RenewToken():
                self._start(self._renew())
            case Dial(token=token):
                self._start(self._dial(token))
            case SendText(text=text):
                self._send(TEXT, text.encode())
            case SendPing():
                self._send(PING, b"")
            case Accept():
                self._tasks.create_task(self._rendezvous.serve(command))
            case Heartbeat(body=body):
                self._reply(body)
            case Close(code=code, reason=reason):
                if self._link is not None:
                    self._link.close(code, reason)
            case Drop(reason=reason):
                self._drop(reason)
            case Reconnect(at=at, why=why):
                self._reconnect(at, why)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        self._attempt = self._tasks.create_task(work)

    def _send(self, opcode: int, payload: bytes) -> None:
        if self._link is not None:
            self._link.send(opcode, payload)

    def _drop(self, reason: str) -> None:
        self._log.debug(f"Giving up on the control plane: {reason}")
        if self._attempt is not None:
            self._attempt.cancel()
            self._attempt = None
        link, self._link = self._link, None
        if link is not None:
            link.abort()

    def _reconnect(self, at: float, why: str) -> None:
        self._status.channel_open = False
        if self._listener_was_reached(why):
            self._log.warning(f"Not listening: {why.rstrip('.')}. Next attempt in {at - self._now():.1f} s")
        self._status.failed(self._code, why, self._clock())
        beats = self._session.heartbeatSeconds if self._session else agent_api.HEARTBEAT_SECONDS
        if self._session is not None and self._now() - self._contact > beats:
            self._beat.set()  # the relay is away; the control plane may not be

    _code, _last_why = "AZCM0026", ""

    def _listener_was_reached(self, why: str) -> bool:
        """Log a reason once, not with each of a hundred attempts."""
        changed, self._last_why = why != self._last_why, why
        return changed

    async def _renew(self) -> None:
        try:
            session = await self._api.session()
        except Refused as error:
            why = f"{error.reason.rstrip('.')}. {GONE}" if error.status in (401, 404) else error.reason
            self._code = "AZCM0027" if error.code == CLONED else "AZCM0026"
            self._do(self._listener.token_failed(error.status or 500, why, self._now()))
        except Unreachable as error:
            self._do(self._listener.token_failed(None, str(error), self._now()))
        else:
            self._code = "AZCM0026"
            self._session = session
            self._rendezvous.configure(session)
            self._established(session)
            valid_for = session.listenTokenExpiresOn - session.serverTime
            self._do(self._listener.token_renewed(session.listenToken, valid_for, self._now()))

    async def _dial(self, token: str) -> None:
        if self._session is None:
            return
        self._messages = MessageBuffer(MAX_CONTROL_TEXT)
        self._early = []
        self._gone.clear()
        url, headers = self._session.listenAddress, ((TOKEN_HEADER, token),)
        try:
            link = await open_link(self._dialer, url, headers, self, bytearray(READ_SIZE))
        except LinkRefused as error:
            reason = error.reason.partition(" TrackingId:")[0]
            # A 404 may mean that the machine was deleted: the next session's answer tells.
            status = 401 if error.status == 404 else error.status
            self._do(self._listener.failed(status, reason, self._now()))
        except (Unreachable, ValueError) as error:
            self._do(self._listener.failed(None, str(error), self._now()))
        else:
            self._link = link
            self._status.channel_open = True
            self._last_why = ""
            self._log.info("Listening on the control channel")
            self._do(self._listener.opened(self._now()))
            self._beat.set()
            self._catch_up(link)

    def _catch_up(self, link: Link) -> None:
        """Act on what the relay sent together with its 101."""
        early, self._early = self._early, []
        for text in early:
            self._hear(text)
        if link.end is not None:
            self.ended(*link.end)

    # -- heartbeats ----------------------------------------------------------------------------

    async def _beats(self) -> None:
        """One at once when the channel opens, then one in every interval, whichever way there is."""
        while True:
            seconds = self._session.heartbeatSeconds if self._session else agent_api.HEARTBEAT_SECONDS
            try:
                async with asyncio.timeout(min(max(seconds, 5), agent_api.HEARTBEAT_SECONDS)):
                    await self._beat.wait()
            except TimeoutError:
                pass
            self._beat.clear()
            if self._session is None:
                continue
            message = self._heartbeat()
            if self._listener.connected:
                self._do(self._listener.send_heartbeat(message.to_json(), self._now()))
                continue
            try:
                reply = await self._api.heartbeat(message)
            except (Refused, Unreachable) as error:
                self._log.debug(f"The heartbeat over HTTPS failed: {error}")
            else:
                self._heard_reply(reply)

    def _reply(self, body: dict[str, object]) -> None:
        try:
            self._heard_reply(agent_api.HeartbeatReply.from_json(body))
        except agent_api.MalformedMessage as error:
            self._log.warning(f"The answer to a heartbeat cannot be read: {error}")

    def _heard_reply(self, reply: agent_api.HeartbeatReply) -> None:
        self._contact = self._now()
        self._status.heard(self._clock())
        if self._session is not None:
            self._session = replace(self._session, heartbeatSeconds=reply.heartbeatSeconds)
        self._answered(reply)

    # -- the link's sink -----------------------------------------------------------------------

    def piece(self, piece: Piece) -> None:
        """Join pieces into messages and hand them to the listener."""
        try:
            message = self._messages.add(piece)
            text = message[1].decode() if message is not None and message[0] == TEXT else None
        except (ProtocolError, UnicodeDecodeError) as error:
            self._malformed(error)
            return
        if text is not None and self._link is None:
            self._early.append(text)
        elif text is not None:
            self._hear(text)

    def _hear(self, text: str) -> None:
        try:
            self._do(self._listener.receive_text(text, self._now()))
        except MalformedMessage as error:
            self._malformed(error)

    def _malformed(self, error: Exception) -> None:
        self._log.warning(f"The relay sent a message that cannot be read: {error}")
        link, self._link = self._link, None
        if link is not None:
            link.close(POLICY_VIOLATION, "malformed message")
        self._do(self._listener.closed(POLICY_VIOLATION, str(error), self._now()))

    def heard(self) -> None:
        """Note that the relay lives."""
        self._listener.received(self._now())

    def ended(self, code: int, reason: str) -> None:
        """The channel has ended."""
        self._gone.set()
        self._link = None
        self._do(self._listener.closed(code, reason, self._now()))

    def pause(self) -> None:
        """Nothing to do: control messages are small and few."""

    def resume(self) -> None:
        """Nothing to do."""
