"""The machine's identity for the programs on it: the parts of the metadata service put together.

It lives as long as the daemon and follows what the machine is: before a connect and after a
disconnect it answers that the machine is not connected.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from landbridge_agent.daemon.challenge import Challenges
from landbridge_agent.daemon.connection import Connection
from landbridge_agent.daemon.control_plane import Granted, Refused
from landbridge_agent.daemon.identity_endpoint import IdentityEndpoint
from landbridge_agent.daemon.local_http import LocalServer
from landbridge_agent.daemon.log import Log
from landbridge_agent.daemon.machine_tokens import Tokens
from landbridge_agent.daemon.metadata_service import MetadataService
from landbridge_agent.dial import Unreachable
from landbridge_agent.machine import AgentConfig, Machine, StateError
from landbridge_agent.platform import here
from landbridge_agent.proxies import Proxy

TAGS_SECONDS = 30.0
TAGS_WAIT = 2.0
"""How long tags are taken from memory, and how long somebody waits for newer ones."""


class IdentityService:
    """The metadata service of one daemon. ``state`` says how the agent is doing."""

    def __init__(
        self,
        machine: Machine,
        log: Log,
        clock: Callable[[], float],
        state: Callable[[], Mapping[str, object]],
    ) -> None:
        self._machine, self._log, self._state, self._clock = machine, log, state, clock
        self._monotonic = asyncio.get_running_loop().time
        self._identity: tuple[str, str] | None = None
        self._tokens = self._new_tokens()
        self._config: AgentConfig | None = None
        self._connection: Connection | None = None
        self._tags: Mapping[str, str] = {}
        self._tags_until = float("-inf")
        self._challenges = Challenges(machine.paths.tokens, here().token_group())
        service = MetadataService(self, self._challenges, log, clock)
        server = LocalServer(service.answer, self._defect)
        self._endpoint = IdentityEndpoint(server, machine.paths.relocated, log)

    async def run(self) -> None:
        """Serve until cancelled; then no challenge is left."""
        self._challenges.clear()
        try:
            await self._endpoint.run()
        except Exception as error:  # the rest of the daemon goes on
            self._defect(error)
        finally:
            self._challenges.clear()

    def follow(self, config: AgentConfig | None, connection: Connection | None = None) -> None:
        """Take what the machine is now, and the connection by which tokens are got.

        What is held stays while the identity is the same, however often the connection is made
        anew: a token is good as long as it says.
        """
        identity = (config.endpoint, config.clientId) if config is not None else None
        if identity != self._identity:
            self._identity = identity
            self._tokens.close()
            self._tokens = self._new_tokens()
        if config is None:
            self._tags = {}
        elif self._config is None or config.principalId != self._config.principalId:
            self._tags = self._known(config)
        self._config, self._connection = config, connection
        self._tags_until = float("-inf")

    def _known(self, config: AgentConfig) -> Mapping[str, str]:
        try:
            return self._machine.known_tags(config.principalId)
        except StateError as error:
            self._log.warning(f"{error} The tags are asked for again.")
            return {}

    def _new_tokens(self) -> Tokens:
        return Tokens(self._fetch, self._monotonic, self._clock)

    async def _fetch(self, audience: str) -> Granted:
        if self._connection is None:
            raise Unreachable("The agent has no connection to the cloud; see azcmagent show.")
        return await self._connection.machine_token(audience)

    def endpoint(self) -> dict[str, object]:
        """Return where the service listens, and otherwise why not."""
        return {"identityEndpoint": self._endpoint.url, "identityProblem": self._endpoint.problem}

    def proxy(self, default: Proxy) -> Proxy:
        """Return the proxy in use; ``default`` while there is no connection."""
        return self._connection.proxy if self._connection is not None else default

    def _defect(self, error: Exception) -> None:
        self._log.error(f"A request to the metadata service met a defect: {type(error).__name__}: {error}")

    # -- what the service asks --------------------------------------------------------------------

    def machine(self) -> AgentConfig | None:
        """Return what this machine is, or None while it is not connected."""
        return self._config

    def tokens(self) -> Tokens | None:
        """Return the machine's tokens; None while it is not connected."""
        return self._tokens if self._config is not None else None

    async def tags(self) -> Mapping[str, str]:
        """Return the tags of the machine's resource; those last known where the cloud is slow or away."""
        connection, now = self._connection, asyncio.get_running_loop().time()
        if connection is not None and now > self._tags_until:
            self._tags_until = now + TAGS_SECONDS  # others who ask meanwhile take what is known
            try:
                async with asyncio.timeout(TAGS_WAIT):
                    told = (await connection.instance()).tags
            except (TimeoutError, Refused, Unreachable) as error:
                self._log.debug(f"The tags could not be asked for: {error}")
            else:
                await self._learn(told)
        return self._tags

    async def _learn(self, tags: Mapping[str, str]) -> None:
        """Take what the cloud said of the tags, and note it for a restart while the cloud is away."""
        changed, self._tags = dict(tags) != dict(self._tags), tags
        if not changed or self._config is None:
            return
        try:
            await asyncio.to_thread(self._machine.note_tags, self._config.principalId, tags)
        except StateError as error:
            self._log.warning(str(error))

    def status(self) -> Mapping[str, object]:
        """Return how the agent is doing."""
        return self._state()

    def system(self) -> str:
        """Return the operating system's name as people know it."""
        return here().os_release().pretty_name
