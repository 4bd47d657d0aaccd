"""The life of ``extd``: wait until the machine is connected, fetch its work, have it carried out.

It asks the cloud when it starts, when ``himdsd`` says that there is something new, and every
``PULL_SECONDS`` anyway. It takes orders only from the cloud that root has named (``trusted.py``).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from landbridge_agent.daemon.control_plane import Refused
from landbridge_agent.daemon.log import Log
from landbridge_agent.dial import Unreachable
from landbridge_agent.local_config import InvalidSetting
from landbridge_agent.machine import AgentConfig, Machine, StateError
from landbridge_agent.work import cloud_calls, runner, trusted, wake
from landbridge_agent.work.cloud_calls import Calls
from landbridge_agent.work.journal import Journal
from landbridge_agent.work.runner import Runner
from landbridge_wire.work_api import PULL_SECONDS, Work

if TYPE_CHECKING:
    from landbridge_agent.guest.reconciler import GuestConfiguration

LOOK_SECONDS = 15.0
"""How often is looked whether the machine is still the same one, without anybody telling."""

RETRIES = (1.0, 5.0, 15.0, 60.0)
"""The pauses after which the cloud is asked again that could not be reached; each up to half longer."""

QUIET_SECONDS = 0.2
AGAIN_SECONDS = 30.0


class Service:
    """One ``extd`` over one folder."""

    def __init__(
        self,
        machine: Machine,
        log: Log,
        environment: Mapping[str, str],
        clock: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        self._machine, self._log, self._environment = machine, log, environment
        self._clock, self._random = clock, random
        self._journal = Journal(machine.paths.work)
        self._poke = asyncio.Event()
        self._complaint = ""

    async def run(self) -> None:
        """Run until cancelled; workers go on.

        Raises:
            OSError: the journal's folder cannot be made.
        """
        self._journal.prepare()
        waking = asyncio.ensure_future(wake.listen(self._machine.paths.socket, self._poke.set))
        try:
            while True:
                config = self._config()
                calls = self._calls(config) if config is not None else None
                if config is None or calls is None:
                    await self._changed(LOOK_SECONDS)
                    continue
                await self._serve(config, calls)
        finally:
            waking.cancel()
            await asyncio.gather(waking, return_exceptions=True)

    # -- whose machine this is -----------------------------------------------------------------

    def _config(self) -> AgentConfig | None:
        """Return what the machine is; work of what it was before is ended and forgotten."""
        try:
            config = self._machine.config()
        except StateError as error:
            self._complain(str(error))
            return None
        owner = config.principalId if config is not None else ""
        if self._journal.owner != owner:
            ended = runner.drop(self._journal, self._machine.paths)
            trusted.forget(self._machine.paths)
            self._journal.own(owner)
            if ended:
                self._log.warning(f"The machine is not the one of before: {ended} items were ended")
        if config is None:
            self._complain("This machine is not connected; waiting for azcmagent connect.")
        return config

    def _calls(self, config: AgentConfig) -> Calls | None:
        try:
            loop = asyncio.get_running_loop()
            return cloud_calls.connect(self._machine, config, self._environment, loop.time)
        except (StateError, InvalidSetting, Unreachable, ValueError, OSError) as error:
            self._complain(str(error))
            return None

    def _complain(self, text: str) -> None:
        """Log a standing condition once."""
        if text != self._complaint:
            self._complaint = text
            if text:
                self._log.warning(text)

    async def _changed(self, seconds: float) -> bool:
        """Wait for news; return whether some came in time."""
        try:
            async with asyncio.timeout(max(seconds, 0.0)):
                await self._poke.wait()
        except TimeoutError:
            return False
        self._poke.clear()
        return True

    # -- while it is connected -----------------------------------------------------------------

    async def _serve(self, config: AgentConfig, calls: Calls) -> None:
        """Return once the machine is another one, or none."""
        self._complain("")
        self._log.info(f"Work of {config.resourceId} is carried out for {calls.config.endpoint}")
        queues = Runner(self._machine.paths, self._journal, calls, self._environment, self._log, self._clock)
        guest = self._guest(calls)
        parts = [
            asyncio.ensure_future(one)
            for one in (
                queues.run(),
                self._configure(guest),
                self._fetch_again(config, calls, queues, guest.poke),
            )
        ]
        try:
            await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in parts:
                task.cancel()
            results = await asyncio.gather(*parts, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                self._log.error(f"A defect ended the queues: {result!r}. They begin anew.")
                await asyncio.sleep(LOOK_SECONDS)

    def _guest(self, calls: Calls) -> GuestConfiguration:
        from landbridge_agent.guest.reconciler import GuestConfiguration  # who is not connected needs none

        machine = self._machine
        return GuestConfiguration(
            machine.paths, self._log, calls, machine.local_settings, self._clock, self._environment
        )

    async def _configure(self, guest: GuestConfiguration) -> None:
        """Have guest configuration go on, whatever befalls it: the queues do not wait for it."""
        while True:
            try:
                await guest.run()
            except Exception as error:
                self._log.error(
                    f"Guest configuration ended: {type(error).__name__}: {error}. It begins anew."
                )
            await asyncio.sleep(AGAIN_SECONDS)

    def _is_the_same(self, config: AgentConfig) -> bool:
        try:
            found = self._machine.config()
        except StateError:
            return True  # a file that cannot be read says nothing
        return found is not None and found.identity == config.identity

    async def _fetch_again(
        self, config: AgentConfig, calls: Calls, queues: Runner, also: Callable[[], None]
    ) -> None:
        """Fetch whenever there may be something new, until the machine is another one; ``also`` is told."""
        loop = asyncio.get_running_loop()
        failures = 0
        while self._is_the_same(config):
            self._poke.clear()
            reached = await self._fetch(calls, queues)
            failures = 0 if reached else failures + 1
            pause = PULL_SECONDS if reached else RETRIES[min(failures, len(RETRIES)) - 1]
            until = loop.time() + pause * (1 + self._random() / 2)
            await asyncio.sleep(QUIET_SECONDS)
            while loop.time() < until and self._is_the_same(config):
                if await self._changed(min(LOOK_SECONDS, until - loop.time())):
                    also()
                    break

    async def _fetch(self, calls: Calls, queues: Runner) -> bool:
        """Fetch the work once; say whether the cloud could be asked."""
        try:
            work = await calls.work()
        except (Refused, Unreachable, OSError) as error:
            self._complain(f"The work of this machine cannot be fetched: {error}")
            return isinstance(error, Refused) and error.status not in (429, 500, 502, 503, 504)
        self._complain("")
        self._learn(calls, work)
        queues.take(work.items)
        queues.poke()
        return True

    def _learn(self, calls: Calls, work: Work) -> None:
        with contextlib.suppress(OSError, Unreachable):
            if trusted.learn(self._machine.paths, calls.cloud, work.roots):
                self._log.info("The cloud names other roots; they are trusted from now on")
