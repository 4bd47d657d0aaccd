"""The calls that ``extd`` and its workers make: fetch work, report, send output, assignments.

They are the machine's (``daemon/control_plane.py`` has the token), go only to the cloud that
``trusted.py`` allows, and follow the local configuration: proxy, CA file and roots as they are when
a call is made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

from landbridge_agent import local_policy
from landbridge_agent.daemon.control_plane import ControlPlane, Refused
from landbridge_agent.dial import Dialer, Unreachable, proxy_from, split_https
from landbridge_agent.facts import fingerprint
from landbridge_agent.https import Client, Response
from landbridge_agent.local_config import InvalidSetting
from landbridge_agent.machine import AgentConfig, CloudFile, Machine, StateError
from landbridge_agent.proxies import Proxy
from landbridge_agent.version import AGENT_VERSION
from landbridge_agent.work import trusted
from landbridge_wire import work_api
from landbridge_wire.agent_api import MalformedMessage
from landbridge_wire.work_api import Assignments, Stored, Work, WorkReport


@dataclass
class Calls:
    """The machine's calls to its cloud. ``refresh`` before a call takes over what changed on disk."""

    machine: Machine
    config: AgentConfig
    cloud: CloudFile
    environment: Mapping[str, str]
    dialer: Dialer
    api: ControlPlane
    _mark: tuple[int, ...] = ()

    @property
    def proxy(self) -> Proxy:
        """The proxy of now."""
        return self.dialer.proxy

    def refresh(self) -> None:
        """Follow the CA file, the roots and the proxy, which may have changed.

        Raises:
            Unreachable: the CA file cannot be used, or the local configuration is damaged; then
                nothing is reached by a way that nobody wants.
        """
        paths = self.machine.paths
        watched = (Path(self.cloud.ca_file or "/"), paths.work / trusted.LEARNT)
        mark = tuple(_changed_at(path) for path in watched)
        if mark != self._mark:
            self.dialer.use(trusted.context_of(paths, self.cloud))
            self._mark = mark
        try:
            self.dialer.proxy = proxy_of(self.machine, self.config, self.environment)
        except (StateError, InvalidSetting) as error:
            raise Unreachable(f"The local configuration cannot be used: {error}") from error

    async def work(self) -> Work:
        """Return what this machine has to do.

        Raises:
            Refused, Unreachable: as every call here.
        """
        asked = {"fingerprint": fingerprint.read(self.machine.paths)}
        answer = await self.call("POST", work_api.WORK, asked)
        try:
            return Work.from_json(answer.json())
        except MalformedMessage as error:
            raise Refused(answer.status, f"The work cannot be read: {error}") from error

    async def report(self, work_id: str, said: WorkReport) -> None:
        """Say what became of an item; 404: it has ended."""
        await self.call("POST", work_api.WORK_REPORT.format(id=quote(work_id, safe="")), said.to_json())

    async def output(self, work_id: str, stream: str, offset: int, data: bytes) -> int:
        """Send a piece of output; return where the next begins."""
        path = work_api.WORK_OUTPUT.format(id=quote(work_id, safe=""), stream=stream)
        self.refresh()
        answer = await self.api.call("POST", f"{path}?offset={offset}", content=data)
        try:
            return Stored.from_json(answer.json()).offset
        except MalformedMessage as error:
            raise Refused(answer.status, f"The answer to output cannot be read: {error}") from error

    async def assignments(self) -> Assignments:
        """Return the guest configuration assignments of this machine."""
        query = urlencode({"fingerprint": fingerprint.read(self.machine.paths)})
        answer = await self.call("GET", f"{work_api.ASSIGNMENTS}?{query}")
        try:
            return Assignments.from_json(answer.json())
        except MalformedMessage as error:
            raise Refused(answer.status, f"The assignments cannot be read: {error}") from error

    async def put_report(self, assignment_name: str, report_id: str, report: Mapping[str, object]) -> None:
        """Say what an assignment's evaluation found; the same report twice is one."""
        name, number = (quote(one, safe="") for one in (assignment_name, report_id))
        await self.call("PUT", work_api.ASSIGNMENT_REPORT.format(name=name, id=number), dict(report))

    async def call(self, method: str, path: str, body: object = None) -> Response:
        """Make a call of the agent API that has no method here.

        Raises:
            Refused, Unreachable: as every call here.
        """
        self.refresh()
        return await self.api.call(method, path, body)


def _changed_at(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def proxy_of(machine: Machine, config: AgentConfig, environment: Mapping[str, str]) -> Proxy:
    """Return the proxy of the local configuration or the environment, and what goes past it.

    Raises:
        StateError, InvalidSetting: the local configuration is damaged.
    """
    used = local_policy.proxy(machine.local_settings(), proxy_from(environment))
    endpoint, login = (str(split_https(url).hostname) for url in (config.endpoint, config.tokenEndpoint))
    return used.expanded({"arm": [endpoint], "arc": [endpoint], "aad": [login]})


def connect(
    machine: Machine,
    config: AgentConfig,
    environment: Mapping[str, str],
    monotonic: Callable[[], float],
) -> Calls:
    """Return the calls of this machine. Nothing is dialled yet.

    Raises:
        StateError: root may not carry out orders of that cloud, or the local configuration is damaged.
        Unreachable: the CA file cannot be used. InvalidSetting: as ``StateError``.
    """
    cloud = trusted.cloud_of(machine, config)
    dialer = Dialer(trusted.context_of(machine.paths, cloud), proxy_of(machine, config, environment))
    client = Client(dialer, f"extd/{AGENT_VERSION}")
    own = config._replace(endpoint=cloud.endpoint)
    api = ControlPlane(client, own, str(machine.paths.identity), monotonic)
    return Calls(machine, own, cloud, environment, dialer, api)
