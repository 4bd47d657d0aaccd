"""Follows the roots that the cloud names, so that it can replace them.

A machine that trusts the system's store, or a file that is not its own copy, is left as it is. New
roots are taken only after the cloud was reached with them, and nothing else, by the way that the
machine uses now: whatever somebody names by mistake, no machine locks itself out.
"""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

from landbridge_agent.cloud import METADATA
from landbridge_agent.codes import AgentError
from landbridge_agent.daemon.log import Log
from landbridge_agent.dial import Dialer, Unreachable, trust_text
from landbridge_agent.machine import AgentConfig, Machine, StateError
from landbridge_agent.roots import certificates, merged


class Trust:
    """The trust of one connection's dialers."""

    def __init__(self, machine: Machine, config: AgentConfig, dialers: tuple[Dialer, ...], log: Log) -> None:
        self._machine, self._config, self._dialers, self._log = machine, config, dialers, log

    async def learn(self, told: str) -> bool:
        """Trust the roots that the cloud names (PEM); say whether the machine does so now."""
        own = self._machine.paths.cloud_ca
        if not certificates(told) or not self._config.caFile:
            return True
        if Path(self._config.caFile) != own:
            self._log.debug(f"{self._config.caFile} is not the agent's own copy, and stays as it is")
            return True
        try:
            held = (self._machine.roots() or b"").decode("ascii", "replace")
            wanted = merged(held, told)
            if wanted == held:
                return True
            context = trust_text(wanted)
            await self._reach(context)
            self._machine.replace_roots(wanted.encode("ascii"))
        except (StateError, AgentError, Unreachable, ValueError) as error:
            self._log.warning(f"The cloud's roots stay as they are: {error}")
            return False
        for dialer in self._dialers:
            dialer.use(context)
        self._log.info(f"The cloud names {len(certificates(told))} root(s); they are trusted from now on")
        return True

    async def _reach(self, context: ssl.SSLContext) -> None:
        """Open and close a connection to the cloud that trusts nothing else.

        Raises:
            Unreachable: it cannot be reached so.
        """
        trial = Dialer(context, self._dialers[0].proxy)
        transport, _ = await trial.open(self._config.endpoint + METADATA, asyncio.Protocol)
        transport.abort()
