"""Everything that runs while the machine is connected: channel, facts, certificate."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping

from landbridge_agent import local_policy
from landbridge_agent.cloud import trusted
from landbridge_agent.daemon.channel import Channel
from landbridge_agent.daemon.child import ChildFailed, run
from landbridge_agent.daemon.control_plane import ControlPlane, Refused
from landbridge_agent.daemon.log import Log
from landbridge_agent.daemon.rendezvous import Rendezvous
from landbridge_agent.daemon.status import Status
from landbridge_agent.daemon.trust import Trust
from landbridge_agent.dial import Dialer, Unreachable, split_https
from landbridge_agent.facts import fingerprint, report
from landbridge_agent.facts.dmi import Dmi
from landbridge_agent.https import Client
from landbridge_agent.local_config import Incoming, InvalidSetting, incoming
from landbridge_agent.machine import AgentConfig, Machine, StateError
from landbridge_agent.platform import here
from landbridge_agent.proxies import NO_PROXY, Proxy
from landbridge_agent.version import AGENT_VERSION
from landbridge_wire import agent_api
from landbridge_wire.listener import ListenerConfig

FACTS_SECONDS = 900.0
"""How often the facts are gathered again; they are sent only when they changed."""

RETRY_SECONDS = 30.0
RENEWAL_RETRY_SECONDS = 3600.0
RENEWAL_CHECK_SECONDS = 12 * 3600.0

Facts = Mapping[str, object]


def _host(url: str) -> str:
    return str(split_https(url).hostname)


class Connection:
    """One machine's connection to its cloud, until it is cancelled."""

    def __init__(
        self,
        machine: Machine,
        config: AgentConfig,
        status: Status,
        log: Log,
        proxy: Proxy,
        clock: Callable[[], float],
        random: Callable[[], float],
        listener: ListenerConfig,
        news: Callable[[], None] = lambda: None,
    ) -> None:
        """Take the parts; ``news`` is called when the cloud may have work for this machine.

        Raises:
            AgentError: the CA file cannot be used.
        """
        self._machine, self._status, self._log, self._clock = machine, status, log, clock
        self._config, self._environment, self._news = config, proxy, news
        loop = asyncio.get_running_loop()
        context = trusted(config.caFile)
        self._dialer, self._relay = Dialer(context), Dialer(context)
        self._trust = Trust(machine, config, (self._dialer, self._relay), log)
        self._told: agent_api.Session | None = None
        self._sessions, self._renewal_wanted = asyncio.Event(), asyncio.Event()
        self._renew_before = 0
        self._proxy = self._use_proxy()
        client = Client(self._dialer, f"himdsd/{AGENT_VERSION}")
        self._api = ControlPlane(
            client, config, str(machine.paths.identity), loop.time, fingerprint.read(machine.paths)
        )
        self.instance, self.machine_token = self._api.instance, self._api.machine_token
        rendezvous = Rendezvous(machine, self._relay, status, log, clock, self._port_used)
        self._channel = Channel(
            self._api,
            self._relay,
            rendezvous,
            status,
            log,
            clock,
            random,
            self._heartbeat,
            self._answered,
            self._established,
            listener,
        )
        self._sequence = 0
        self._digest = ""
        self._wanted = asyncio.Event()
        self._force = False
        self._ports: tuple[int, ...] = ()

    async def run(self) -> None:
        """Stay connected until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._facts())
            tasks.create_task(self._renewal())
            tasks.create_task(self._trusting())
            await self._channel.run()

    def refresh(self) -> None:
        """Follow the local configuration, which may have changed: the proxy, and what is reported."""
        used = self._use_proxy()
        if used != self._proxy:
            self._proxy = used
            self._log.info(f"The proxy is {used.shown or 'none'} now")
            self._channel.redial("the proxy was changed")
        self._wanted.set()

    @property
    def proxy(self) -> Proxy:
        """The proxy that is used, with the words for services in its bypass list."""
        return self._proxy

    # -- the proxy -----------------------------------------------------------------------------

    def _use_proxy(self) -> Proxy:
        """Have every later connection take the proxy of the configuration; return it.

        A configuration that cannot be read leaves the proxy as it was: nothing is reached by a
        way that its administrator may not want.
        """
        try:
            used = local_policy.proxy(self._machine.local_settings(), self._environment)
        except (StateError, InvalidSetting) as error:
            self._log.error(f"The local configuration cannot be used, so the proxy stays: {error}")
            return getattr(self, "_proxy", self._environment)
        hosts = {
            "arm": [_host(self._config.endpoint)],
            "aad": [_host(self._config.tokenEndpoint)],
            "arc": [_host(self._config.endpoint)],
        }
        self._dialer.proxy = used.expanded(hosts)
        # The relay is a part of what the original calls Arc, whatever its name is here.
        self._relay.proxy = NO_PROXY if used.bypasses("Arc") else used.expanded(hosts)
        return used

    # -- heartbeat -----------------------------------------------------------------------------

    def _heartbeat(self) -> agent_api.Heartbeat:
        self._sequence += 1
        return agent_api.Heartbeat(AGENT_VERSION, self._sequence, self._digest)

    def _answered(self, reply: agent_api.HeartbeatReply) -> None:
        if reply.factsWanted and self._digest:
            self._force = True
            self._wanted.set()
        if reply.workWanted:
            self._news()

    def _established(self, session: agent_api.Session) -> None:
        """Follow a machine that was moved: its id is another one now, its identity the same."""
        self._told = session
        self._sessions.set()
        self._news()
        if session.resourceId.lower() == self._config.resourceId.lower():
            return
        try:
            self._config = self._machine.moved(self._config, session.resourceId)
        except (StateError, ValueError) as error:
            self._log.error(f"The machine's new place {session.resourceId} cannot be noted: {error}")
            return
        self._log.info(f"This machine was moved: it is {session.resourceId} now")

    # -- facts ---------------------------------------------------------------------------------

    def _port_used(self, port: int) -> None:
        """A port that the cloud opened: its host keys are worth reporting."""
        if port not in self._ports:
            self._ports = (*self._ports, port)[-8:]
            self._wanted.set()

    def _settings(self) -> tuple[Incoming, Mapping[str, object]]:
        """Return what may come in, and what is reported of the local configuration."""
        try:
            settings = self._machine.local_settings()
            return incoming(settings), local_policy.reported(settings, self._proxy)
        except (StateError, InvalidSetting):
            return Incoming(False, ()), local_policy.NOTHING_ALLOWED

    def _hardware(self) -> Dmi:
        try:
            return self._machine.hardware()
        except StateError as error:
            self._log.warning(str(error))
            return here().hardware()

    def _gather(self, settings: tuple[Incoming, Mapping[str, object]], ports: tuple[int, ...]) -> Facts:
        allowed, configuration = settings
        return report.build(report.gather(allowed, self._hardware(), ports), configuration)

    async def _facts(self) -> None:
        sent = ""
        while True:
            self._wanted.clear()
            facts = await asyncio.to_thread(self._gather, self._settings(), self._ports)
            digest = agent_api.facts_digest(facts)
            wait = FACTS_SECONDS
            if digest != sent or self._force:
                try:
                    await self._api.put_facts(facts)
                    sent, self._force = digest, False
                    self._log.info("The machine's facts were reported")
                except (Refused, Unreachable) as error:
                    self._log.debug(f"The facts could not be reported: {error}")
                    wait = RETRY_SECONDS
            self._digest = digest
            try:
                async with asyncio.timeout(wait):
                    await self._wanted.wait()
            except TimeoutError:
                pass

    # -- whom the cloud has us trust -----------------------------------------------------------

    async def _trusting(self) -> None:
        """Learn the cloud's roots, and only then have a certificate from the newest renewed."""
        while True:
            await self._sessions.wait()
            self._sessions.clear()
            told = self._told
            if told is not None and await self._trust.learn(told.roots) and told.renewBefore:
                self._renew_before = told.renewBefore
                self._renewal_wanted.set()

    # -- certificate ---------------------------------------------------------------------------

    async def _renewal(self) -> None:
        while True:
            try:
                wait = await self._renew()
            except (ChildFailed, Refused, Unreachable) as error:
                self._log.warning(
                    f"The certificate could not be renewed: {str(error).rstrip('.')}. It is tried again."
                )
                wait = RENEWAL_RETRY_SECONDS
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(max(wait, 1.0), RENEWAL_CHECK_SECONDS)):
                    await self._renewal_wanted.wait()
            self._renewal_wanted.clear()

    async def _renew(self) -> float:
        """Renew if half of the certificate's life is over; return when to look again."""
        paths = self._machine.paths
        # Once for each session: a cloud whose certificates stay old must not be asked without end.
        before, self._renew_before = str(self._renew_before), 0
        async with run("renewal", str(paths.root), "1" if paths.relocated else "0", before) as child:
            answer = json.loads(await child.line())
            self._status.certificate_ends = self._clock() + float(answer["expiresIn"])
            if "dueIn" in answer:
                return float(answer["dueIn"])
            came_back = "rejoin" in answer
            if came_back:
                chain = await self._api.rejoin(answer["rejoin"])
            else:
                chain = await self._api.renew(answer["request"])
            await child.send({"certificate": chain})
            await child.end()
        if came_back:
            self._log.info("The machine's certificate had ended; its key brought a new one")
            self._channel.redial("the machine came back")
        else:
            self._log.info("The machine's certificate was renewed")
        return 0.0
