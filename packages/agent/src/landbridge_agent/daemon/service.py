"""The daemon's life: wait until the machine is connected, stay connected, follow changes.

Changes are noticed at once through the local socket, and within ``POLL_SECONDS`` from the
files themselves, should somebody have edited them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

from landbridge_agent.codes import AgentError
from landbridge_agent.daemon.connection import Connection
from landbridge_agent.daemon.identity_service import IdentityService
from landbridge_agent.daemon.log import Log
from landbridge_agent.daemon.news import News
from landbridge_agent.daemon.status import Status
from landbridge_agent.dial import Proxy, Unreachable
from landbridge_agent.local_socket import MAX_LINE, RELOAD, STATUS, WAIT
from landbridge_agent.machine import AgentConfig, Machine, StateError
from landbridge_agent.platform import here
from landbridge_wire.listener import ListenerConfig

POLL_SECONDS = 5.0
ASK_SECONDS = 5.0


class Service:
    """One daemon over one state folder."""

    def __init__(
        self,
        machine: Machine,
        log: Log,
        proxy: Proxy,
        clock: Callable[[], float],
        random: Callable[[], float],
        listener: ListenerConfig,
    ) -> None:
        self._machine, self._log, self._proxy = machine, log, proxy
        self._clock, self._random, self._listener = clock, random, listener
        self._status = Status()
        self._identity = IdentityService(machine, log, clock, self._state)
        self._poke = asyncio.Event()
        self._news = News()
        self._complaint = ""

    async def run(self) -> None:
        """Run until cancelled.

        Raises:
            OSError: the local socket cannot be made.
        """
        self._door = here().listen(self._machine.paths.socket)
        server = await self._door.serve(self._answer, MAX_LINE)
        identity = asyncio.ensure_future(self._identity.run())
        try:
            await self._follow()
        finally:
            server.close()
            identity.cancel()
            await asyncio.gather(identity, return_exceptions=True)
            self._door.close()

    async def _follow(self) -> None:
        while True:
            config = self._config()
            self._identity.follow(config)
            if config is None:
                await self._changed(POLL_SECONDS)
                continue
            self._log.info(f"This machine is {config.resourceId}")
            await self._stay_connected(config)

    async def _stay_connected(self, config: AgentConfig) -> None:
        """Return once the machine is another one, or none."""
        self._status = Status()
        try:
            connection = Connection(
                self._machine, config, self._status, self._log, self._proxy,
                self._clock, self._random, self._listener, self._news.tell,
            )  # fmt: skip
        except (AgentError, Unreachable) as error:
            self._complain(str(error))
            await self._changed(POLL_SECONDS)
            return
        self._identity.follow(config, connection)
        running = asyncio.ensure_future(connection.run())
        watching = asyncio.ensure_future(self._watch(config, connection))
        try:
            await asyncio.wait({running, watching}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (running, watching):
                task.cancel()
            self._identity.follow(config)
            results = await asyncio.gather(running, watching, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                self._log.error(f"A defect ended the connection: {_root(result)!r}. It begins anew.")
                await asyncio.sleep(POLL_SECONDS)

    async def _watch(self, config: AgentConfig, connection: Connection) -> None:
        settings = self._settings_mark()
        while True:
            poked = await self._changed(POLL_SECONDS)
            found = self._config()
            if found is None or found.identity != config.identity:
                return
            mark = self._settings_mark()
            if mark != settings:
                self._log.info("The local configuration was changed")
            if poked and not self._status.channel_open:
                return  # azcmagent has changed something, and there is nothing to lose by a new attempt
            if mark != settings or poked:
                settings = mark
                connection.refresh()

    def _settings_mark(self) -> tuple[int, int]:
        try:
            found = self._machine.paths.local_config.stat()
        except OSError:
            return (0, 0)
        return (found.st_mtime_ns, found.st_ino)

    async def _changed(self, seconds: float) -> bool:
        """Wait for a poke; return whether one came in time."""
        try:
            async with asyncio.timeout(seconds):
                await self._poke.wait()
        except TimeoutError:
            return False
        self._poke.clear()
        return True

    def _config(self) -> AgentConfig | None:
        try:
            config = self._machine.config()
        except StateError as error:
            self._complain(str(error))
            return None
        if config is None:
            self._complain("This machine is not connected; waiting for azcmagent connect.")
        else:
            self._complaint = ""
        return config

    def _complain(self, text: str) -> None:
        """Log a standing condition once."""
        if text != self._complaint:
            self._complaint = text
            self._log.warning(text)
            self._status = Status()
            self._status.failed("AZCM0065", text, self._clock())

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request on the local socket."""
        try:
            async with asyncio.timeout(ASK_SECONDS):
                line = await reader.readline()
            reply = await self._reply(line, reader)
            async with asyncio.timeout(ASK_SECONDS):
                writer.write(json.dumps(reply).encode() + b"\n")
                await writer.drain()
        except (TimeoutError, ValueError, OSError):
            pass
        finally:
            writer.close()

    def _state(self) -> dict[str, object]:
        """Return how the agent is doing, with nothing secret in it."""
        proxy = self._identity.proxy(self._proxy)
        return {
            **self._status.to_json(self._clock()),
            "httpsProxy": proxy.shown,
            "proxyBypass": ",".join(proxy.bypass),
            **self._identity.endpoint(),
        }

    async def _reply(self, line: bytes, reader: asyncio.StreamReader) -> dict[str, object]:
        message = json.loads(line)
        command = message.get("command") if isinstance(message, dict) else None
        if command is None or not self._door.admits(message):
            return {"error": "not for you"}
        if command == STATUS:
            return self._state()
        if command == RELOAD:
            self._poke.set()
            self._news.tell()
            return {"ok": True}
        if command == WAIT:
            return {"news": await self._news.after(str(message.get("seen", "")), reader)}
        return {"error": "unknown command"}


def _root(error: BaseException) -> BaseException:
    """Return the first exception within groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
