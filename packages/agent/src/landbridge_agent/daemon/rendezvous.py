"""Answer an ``accept``: decide, dial the local port, dial the rendezvous, splice; or say why not."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable
from urllib.parse import unquote, urlsplit

from landbridge_agent.daemon.incoming import Allowed, Denied, decide, token_port
from landbridge_agent.daemon.link import LinkRefused, open_link
from landbridge_agent.daemon.log import Log
from landbridge_agent.daemon.splice import HEADROOM, READ_SIZE, Session
from landbridge_agent.daemon.status import Status
from landbridge_agent.dial import Dialer, Unreachable
from landbridge_agent.local_config import InvalidSetting, incoming
from landbridge_agent.machine import Machine, StateError
from landbridge_wire import agent_api
from landbridge_wire.hybrid_connections import CONFIGURATION_HEADER, PREFIX, TARGET_HEADER, refusal
from landbridge_wire.listener import Accept
from landbridge_wire.websocket import Piece

MAX_SESSIONS = 256
"""Sessions at once; one more is refused with 503. Each takes up to a mebibyte while it moves data."""

LOCAL_SECONDS = 10.0
"""How long the local port may take to answer."""


class Rendezvous:
    """Serves senders for one machine. ``clock`` is the wall clock."""

    def __init__(
        self,
        machine: Machine,
        dialer: Dialer,
        status: Status,
        log: Log,
        clock: Callable[[], float],
        port_used: Callable[[int], None],
    ) -> None:
        self._machine = machine
        self._dialer = dialer
        self._status = status
        self._log = log
        self._clock = clock
        self._port_used = port_used
        self._key = b""
        self._audiences: frozenset[str] = frozenset()
        self._local_buffer = bytearray(HEADROOM + READ_SIZE)
        self._link_buffer = bytearray(READ_SIZE)
        self._clock_offset = 0.0

    def configure(self, session: agent_api.Session) -> None:
        """Take the key and the names by which this machine's tokens are verified."""
        try:
            self._key = base64.b64decode(session.serviceConfigurationKey, validate=True)
        except (binascii.Error, ValueError):
            self._key = b""
        path = unquote(urlsplit(session.listenAddress).path).removeprefix(PREFIX)
        self._audiences = frozenset((session.resourceId.lower(), path.lower()))
        self._clock_offset = session.serverTime - self._clock()

    def _verify(self, unverified_token: str) -> int:
        now = self._clock() + self._clock_offset
        return token_port(unverified_token, self._key, self._audiences, now)

    def _decide(self, accept: Accept) -> Allowed | Denied:
        try:
            settings = incoming(self._machine.local_settings())
        except (StateError, InvalidSetting) as error:
            self._log.error(f"The local configuration cannot be used, so nothing may come in: {error}")
            return Denied(403, "This machine's local configuration is damaged: azcmagent config list")
        target = accept.header(TARGET_HEADER)
        return decide(settings, target, accept.header(CONFIGURATION_HEADER), self._verify)

    async def serve(self, accept: Accept) -> None:
        """Serve one sender from its ``accept`` to its end. Raises nothing but cancellation."""
        if self._status.sessions >= MAX_SESSIONS:
            await self._refuse(accept, Denied(503, f"This machine has {MAX_SESSIONS} sessions already."))
            return
        self._status.sessions += 1
        try:
            await self._serve(accept)
        except Exception as error:  # one session's defect must not end the others
            self._log.error(f"A session ended by a defect: {type(error).__name__}: {error}")
        finally:
            self._status.sessions -= 1

    async def _serve(self, accept: Accept) -> None:
        decision = self._decide(accept)
        if isinstance(decision, Denied):
            await self._refuse(accept, decision)
            return
        session = Session(self._local_buffer)
        try:
            failed = await _dial_local(session, decision)
            if failed is not None:
                await self._refuse(accept, failed)
                return
            try:
                link = await open_link(self._dialer, accept.address, (), session, self._link_buffer)
            except (LinkRefused, Unreachable, ValueError) as error:
                self._log.warning(f"The rendezvous of {accept.remote or 'a sender'} failed: {error}")
                return
            self._log.info(f"Session from {accept.remote or 'a sender'} to port {decision.port} began")
            self._port_used(decision.port)
            session.start(link)
            why = await session.run()
            self._log.info(f"Session from {accept.remote or 'a sender'} to port {decision.port} ended: {why}")
        finally:
            session.local.finish()
            if session.link is not None:
                session.link.close(1001)

    async def _refuse(self, accept: Accept, denied: Denied) -> None:
        self._log.warning(f"Refused {accept.remote or 'a sender'}: {denied.reason}")
        try:
            address = refusal(accept.address, denied.status, denied.reason)
            link = await open_link(self._dialer, address, (), _Nothing(), bytearray(1024))
            link.abort()
        except LinkRefused as answer:
            if answer.status != 410:
                self._log.warning(f"The relay answered a refusal with {answer.status}: {answer.reason}")
        except (Unreachable, ValueError) as error:
            self._log.warning(f"The refusal did not reach the relay: {error}")


async def _dial_local(session: Session, allowed: Allowed) -> Denied | None:
    """Connect the session's local side; return why not."""
    loop = asyncio.get_running_loop()
    what = "sshd" if allowed.port == 22 else "the service"
    denied = Denied(502, f"{what} refused the connection on port {allowed.port}; is it running?")
    for host in allowed.hosts:
        try:
            async with asyncio.timeout(LOCAL_SECONDS):
                await loop.create_connection(lambda: session.local, host, allowed.port)
            return None
        except TimeoutError:
            denied = Denied(504, f"{what} did not answer on port {allowed.port}.")
        except ConnectionRefusedError:
            continue
        except OSError as error:
            if host == allowed.hosts[0]:
                text = error.strerror or str(error)
                denied = Denied(502, f"{what} on port {allowed.port} cannot be reached: {text}.")
    return denied


class _Nothing:
    """The sink of a refusal: nothing is expected."""

    def piece(self, piece: Piece) -> None:
        """Drop it."""

    def heard(self) -> None:
        """Ignore it."""

    def ended(self, code: int, reason: str) -> None:
        """Ignore it."""

    def pause(self) -> None:
        """Ignore it."""

    def resume(self) -> None:
        """Ignore it."""
